//! Constants that the agent decides before it loads the programs. They are in frozen read-only memory,
//! which the verifier takes for constants.

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
};

/// The constants; take single ones by [`setting`].
#[inline(always)]
pub fn settings() -> *const Settings {
    &raw const SETTINGS
}

/// Reads one constant: the verifier knows it, the compiler must not, which has it from the agent only.
macro_rules! setting {
    ($field:ident) => {{
        // SAFETY: a global of that type.
        unsafe { core::ptr::read_volatile(&raw const (*$crate::settings::settings()).$field) }
    }};
}
pub(crate) use setting;
