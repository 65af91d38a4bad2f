//! Constants that the agent chooses before it loads the programs. They are in frozen read-only memory,
//! so the verifier treats them as constants.

use bubble_common::kernel::settings::Settings;

#[unsafe(no_mangle)]
static SETTINGS: Settings = Settings {
    controller: Settings::UNIFIED,
    hierarchy: 0,
    victim_is_task: 0,
    exit_has_memory: 0,
    datagrams: Settings::PEER_OF_SOCKET,
    sockets_at_exit: 0,
    opens_by_function: 0,
    completion_is_struct: 0,
    waits: 0,
    in_iowait: 0,
    cores: 0,
};

/// All constants. Use [`setting`] to read one.
#[inline(always)]
pub fn settings() -> *const Settings {
    &raw const SETTINGS
}

/// Reads one constant. The read is volatile: the verifier knows the value, the compiler must not.
macro_rules! setting {
    ($field:ident) => {{
        // SAFETY: a global of that type.
        unsafe { core::ptr::read_volatile(&raw const (*$crate::settings::settings()).$field) }
    }};
}
pub(crate) use setting;
