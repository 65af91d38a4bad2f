//! Commands of bpf(2) that aya does not offer: taking many entries of a map at once, running a
//! program on a chosen core, waiting for running programs, statistics of a program.
//!
//! Layouts: Linux `include/uapi/linux/bpf.h` (`union bpf_attr`, `struct bpf_prog_info`).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use bubble_common::kernel::Plain;

/// Command: create a map.
pub const MAP_CREATE: libc::c_int = 0;
/// Command: set an entry of a map.
pub const MAP_UPDATE: libc::c_int = 2;
const MAP_DELETE: libc::c_int = 3;
const PROGRAM_TEST_RUN: libc::c_int = 10;
/// Command: describe a map or a program.
pub const OBJECT_INFO: libc::c_int = 15;
const LOOKUP_BATCH: libc::c_int = 24;
const LOOKUP_AND_DELETE_BATCH: libc::c_int = 25;
const ENABLE_STATS: libc::c_int = 32;

const TYPE_ARRAY: u32 = 2;
const TYPE_ARRAY_OF_MAPS: u32 = 12;
const TEST_RUN_ON_CPU: u32 = 1;

/// Calls bpf(2).
///
/// # Errors
/// When the kernel refuses.
///
/// # Safety
/// `attr` has the kernel's layout for this command (a shorter one counts as zero-padded), and the
/// addresses in it are valid for what the command does there.
pub unsafe fn bpf<T>(command: libc::c_int, attr: &mut T) -> io::Result<i32> {
    // SAFETY: the caller's promise.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            core::ptr::from_mut(attr),
            size_of::<T>(),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result as i32)
    }
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd() as u32
}

#[repr(C)]
#[derive(Default)]
struct Batch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

/// Entries taken out of a map. The memory is reused.
pub struct Entries<K, V> {
    keys: Vec<K>,
    values: Vec<V>,
}

impl<K: Plain + Default, V: Plain + Default> Entries<K, V> {
    /// Number of entries that the first call asks for.
    const FIRST_BATCH: usize = 1024;

    /// No entries.
    pub fn new() -> Self {
        Self {
            keys: Vec::new(),
            values: Vec::new(),
        }
    }

    /// The entries taken last.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.keys.iter().zip(&self.values)
    }

    /// Takes up to `limit` entries out of a hash map (not a per-CPU one).
    ///
    /// # Errors
    /// When the kernel refuses. Entries taken before are kept.
    pub fn take_all(&mut self, map: BorrowedFd<'_>, limit: usize) -> io::Result<()> {
        self.read_all(LOOKUP_AND_DELETE_BATCH, map, limit)
    }

    /// The same, but leaves the entries in the map. Nothing may write it meanwhile.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn copy_all(&mut self, map: BorrowedFd<'_>, limit: usize) -> io::Result<()> {
        self.read_all(LOOKUP_BATCH, map, limit)
    }

    fn read_all(
        &mut self,
        command: libc::c_int,
        map: BorrowedFd<'_>,
        limit: usize,
    ) -> io::Result<()> {
        self.keys.clear();
        self.values.clear();
        let mut position = 0u32;
        let mut is_begun = false;
        let mut batch = Self::FIRST_BATCH;
        while self.keys.len() < limit {
            let had = self.keys.len();
            self.keys.resize(had + batch, K::default());
            self.values.resize(had + batch, V::default());
            let mut next = 0u32;
            let mut attr = Batch {
                in_batch: if is_begun { address(&mut position) } else { 0 },
                out_batch: address(&mut next),
                keys: self.keys[had..].as_mut_ptr() as u64,
                values: self.values[had..].as_mut_ptr() as u64,
                count: batch as u32,
                map: number(map),
                ..Batch::default()
            };
            // SAFETY: space for `count` keys and values of the types' sizes, which are the map's
            // (`Sums::open` checks that), and two words for the position.
            let result = unsafe { bpf(command, &mut attr) };
            let error = result.err().and_then(|error| error.raw_os_error());
            // The count is only valid on success and on ENOENT.
            let taken = match error {
                None | Some(libc::ENOENT) => (attr.count as usize).min(batch),
                _ => 0,
            };
            self.keys.truncate(had + taken);
            self.values.truncate(had + taken);
            match error {
                None => {
                    position = next;
                    is_begun = true;
                }
                Some(libc::ENOENT) => break,
                // One bucket holds more entries than the batch.
                Some(libc::ENOSPC) if batch < limit => batch *= 4,
                Some(libc::EINTR | libc::EAGAIN) => {}
                Some(code) => return Err(io::Error::from_raw_os_error(code)),
            }
        }
        Ok(())
    }

    /// Frees memory after an unusual second.
    pub fn shrink(&mut self) {
        let keep = self.keys.len().max(Self::FIRST_BATCH) * 2;
        self.keys.shrink_to(keep);
        self.values.shrink_to(keep);
    }
}

impl<K: Plain + Default, V: Plain + Default> Default for Entries<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

fn address<T>(of: &mut T) -> u64 {
    core::ptr::from_mut(of) as u64
}

#[repr(C)]
#[derive(Default)]
struct TestRun {
    program: u32,
    result: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_size_in: u32,
    context_size_out: u32,
    context_in: u64,
    context_out: u64,
    flags: u32,
    cpu: u32,
}

/// Runs the program of a raw tracepoint with an argument, and returns its result.
///
/// With a core it runs there, in an interrupt; without, on the current core.
///
/// # Errors
/// `ENXIO` when the core is offline; otherwise when the kernel refuses.
pub fn run_on(program: BorrowedFd<'_>, core: Option<u32>, argument: u64) -> io::Result<u32> {
    let mut argument = argument;
    let mut attr = TestRun {
        program: number(program),
        flags: core.map_or(0, |_| TEST_RUN_ON_CPU),
        cpu: core.unwrap_or_default(),
        context_size_in: size_of_val(&argument) as u32,
        context_in: address(&mut argument),
        ..TestRun::default()
    };
    // SAFETY: `context_in` is the address of `context_size_in` bytes.
    unsafe { bpf(PROGRAM_TEST_RUN, &mut attr) }?;
    Ok(attr.result)
}

#[repr(C)]
#[derive(Default)]
struct Create {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    inner_map: u32,
}

#[repr(C)]
#[derive(Default)]
struct Update {
    map: u32,
    unused: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// Removes an entry from a map with keys of 64 bits. A missing entry is no error.
///
/// # Errors
/// When the kernel refuses.
pub fn remove(map: BorrowedFd<'_>, key: &u64) -> io::Result<()> {
    let mut key = *key;
    let mut attr = Update {
        map: number(map),
        key: address(&mut key),
        ..Update::default()
    };
    // SAFETY: the key has the map's size: callers opened the map with this type.
    match unsafe { bpf(MAP_DELETE, &mut attr) } {
        Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
        _ => Ok(()),
    }
}

fn create(mut attr: Create) -> io::Result<OwnedFd> {
    // SAFETY: `attr` has no addresses.
    let fd = unsafe { bpf(MAP_CREATE, &mut attr) }?;
    // SAFETY: the kernel has just returned this descriptor; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Waits for running programs.
///
/// An update of a map of maps makes the kernel wait for a grace period of RCU: until no program
/// can use the old entry. (`membarrier` does not wait for cores that run without a tick.)
pub struct Barrier {
    outer: OwnedFd,
    inner: OwnedFd,
}

impl Barrier {
    /// Creates its maps.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn new() -> io::Result<Self> {
        let inner = create(Create {
            map_type: TYPE_ARRAY,
            key_size: 4,
            value_size: 4,
            max_entries: 1,
            ..Create::default()
        })?;
        let outer = create(Create {
            map_type: TYPE_ARRAY_OF_MAPS,
            key_size: 4,
            value_size: 4,
            max_entries: 1,
            inner_map: inner.as_raw_fd() as u32,
            ..Create::default()
        })?;
        Ok(Self { outer, inner })
    }

    /// Returns when every program that was running has ended.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn wait(&self) -> io::Result<()> {
        let mut key = 0u32;
        let mut value = self.inner.as_raw_fd() as u32;
        let mut attr = Update {
            map: self.outer.as_raw_fd() as u32,
            key: address(&mut key),
            value: address(&mut value),
            ..Update::default()
        };
        // SAFETY: key and value have the map's sizes.
        unsafe { bpf(MAP_UPDATE, &mut attr) }.map(drop)
    }
}

/// Statistics of a program.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProgramStats {
    /// Time that it ran while statistics were enabled, ns.
    pub run_ns: u64,
    /// How often it ran while statistics were enabled.
    pub runs: u64,
    /// How often it was skipped, as it was running already.
    pub misses: u64,
}

#[repr(C)]
struct Info {
    before: [u64; 24],
    stats: ProgramStats,
}

#[repr(C)]
struct ObjectInfo {
    fd: u32,
    length: u32,
    info: u64,
}

/// The statistics of a program so far.
///
/// # Errors
/// When the kernel refuses.
pub fn program_stats(program: BorrowedFd<'_>) -> io::Result<ProgramStats> {
    program_info(program).map(|info| info.stats)
}

/// The kernel's number of a program.
///
/// # Errors
/// When the kernel refuses.
pub fn program_id(program: BorrowedFd<'_>) -> io::Result<u32> {
    // The second of the two numbers in the first word: `id` follows `type`.
    program_info(program).map(|info| (info.before[0] >> 32) as u32)
}

fn program_info(program: BorrowedFd<'_>) -> io::Result<Info> {
    let mut info = Info {
        before: [0; 24],
        stats: ProgramStats::default(),
    };
    let mut attr = ObjectInfo {
        fd: number(program),
        length: size_of::<Info>() as u32,
        info: address(&mut info),
    };
    // SAFETY: the kernel writes at most `length` bytes there. Zeros in `before` ask for no data of
    // variable length.
    unsafe { bpf(OBJECT_INFO, &mut attr) }?;
    Ok(info)
}

/// Enables statistics of all programs until the descriptor is closed. Measuring costs time itself.
///
/// # Errors
/// When the kernel refuses.
pub fn enable_stats() -> io::Result<OwnedFd> {
    let mut run_time = 0u32;
    // SAFETY: `run_time` has no addresses.
    let fd = unsafe { bpf(ENABLE_STATS, &mut run_time) }?;
    // SAFETY: the kernel has just returned this descriptor; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
