//! Commands of bpf(2) that aya does not offer: many entries of a map at once, a
//! program run on a chosen core, a wait for programs that still run, and what a
//! program has cost.
//!
//! Layouts: Linux `include/uapi/linux/bpf.h` (`union bpf_attr`, `struct bpf_prog_info`).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use bubble_common::kernel::Plain;

const MAP_CREATE: libc::c_int = 0;
const MAP_UPDATE: libc::c_int = 2;
const MAP_DELETE: libc::c_int = 3;
const PROGRAM_TEST_RUN: libc::c_int = 10;
const OBJECT_INFO: libc::c_int = 15;
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
/// `attr` is laid out as the kernel has it for this command (zero where it is
/// shorter), and the addresses in it are good for what the command does there.
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

/// Entries taken out of maps, in memory that is used again.
pub struct Taken<K, V> {
    keys: Vec<K>,
    values: Vec<V>,
}

impl<K: Plain + Default, V: Plain + Default> Taken<K, V> {
    /// Room to begin with.
    const FIRST: usize = 1024;

    /// Nothing taken yet.
    pub fn new() -> Self {
        Self {
            keys: Vec::new(),
            values: Vec::new(),
        }
    }

    /// What was taken last.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.keys.iter().zip(&self.values)
    }

    /// Takes every entry out of a hash map (not a per-CPU one), up to `limit`.
    ///
    /// # Errors
    /// When the kernel refuses; what was taken before is there.
    pub fn take_all(&mut self, map: BorrowedFd<'_>, limit: usize) -> io::Result<()> {
        self.keys.clear();
        self.values.clear();
        let mut position = 0u32;
        let mut begun = false;
        let mut room = Self::FIRST;
        while self.keys.len() < limit {
            let had = self.keys.len();
            self.keys.resize(had + room, K::default());
            self.values.resize(had + room, V::default());
            let mut next = 0u32;
            let mut attr = Batch {
                in_batch: if begun { address(&mut position) } else { 0 },
                out_batch: address(&mut next),
                keys: self.keys[had..].as_mut_ptr() as u64,
                values: self.values[had..].as_mut_ptr() as u64,
                count: room as u32,
                map: number(map),
                ..Batch::default()
            };
            // SAFETY: room for `count` keys and values of the map's sizes, which are those of the
            // types (checked by `Sums::open`), and two words for the position.
            let result = unsafe { bpf(LOOKUP_AND_DELETE_BATCH, &mut attr) };
            let error = result.err().and_then(|error| error.raw_os_error());
            // On these two errors the count is of what was taken; on others it says nothing.
            let taken = match error {
                None | Some(libc::ENOENT) => (attr.count as usize).min(room),
                _ => 0,
            };
            self.keys.truncate(had + taken);
            self.values.truncate(had + taken);
            match error {
                None => {
                    position = next;
                    begun = true;
                }
                Some(libc::ENOENT) => break,
                // One bucket holds more than there was room for.
                Some(libc::ENOSPC) if room < limit => room *= 4,
                Some(libc::EINTR | libc::EAGAIN) => {}
                Some(code) => return Err(io::Error::from_raw_os_error(code)),
            }
        }
        Ok(())
    }

    /// Gives memory back after an unusual second.
    pub fn shrink(&mut self) {
        let keep = self.keys.len().max(Self::FIRST) * 2;
        self.keys.shrink_to(keep);
        self.values.shrink_to(keep);
    }
}

impl<K: Plain + Default, V: Plain + Default> Default for Taken<K, V> {
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

/// Runs a raw tracepoint's program with an argument, and gives its result.
///
/// With a core it runs there, as an interrupt of what runs there; without, here.
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
    // SAFETY: an address of as many bytes as it says.
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

/// Takes an entry out of a map with keys of 64 bits; it not being there is fine.
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
    // SAFETY: the key is of the map's size: our callers opened it as such.
    match unsafe { bpf(MAP_DELETE, &mut attr) } {
        Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
        _ => Ok(()),
    }
}

fn create(mut attr: Create) -> io::Result<OwnedFd> {
    // SAFETY: no addresses in it.
    let fd = unsafe { bpf(MAP_CREATE, &mut attr) }?;
    // SAFETY: a descriptor that the kernel has just made for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Waits for programs.
///
/// Setting an entry of a map of maps makes the kernel wait until no program can
/// use what was there before: a grace period of RCU, which is what we are after.
/// (`membarrier` waits likewise, but not where some cores run without a tick.)
pub struct Barrier {
    outer: OwnedFd,
    inner: OwnedFd,
}

impl Barrier {
    /// Makes the maps that it takes.
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

    /// Returns when every program that ran has ended.
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
        // SAFETY: a key and a value of the map's sizes.
        unsafe { bpf(MAP_UPDATE, &mut attr) }.map(drop)
    }
}

/// What a program has cost, and how often it could not run.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Time that it ran while this was being measured, ns.
    pub run_ns: u64,
    /// How often it ran while this was being measured.
    pub runs: u64,
    /// How often it was not run, as it was running already.
    pub misses: u64,
}

#[repr(C)]
struct Info {
    before: [u64; 24],
    cost: Cost,
}

#[repr(C)]
struct ObjectInfo {
    fd: u32,
    length: u32,
    info: u64,
}

/// What a program has cost so far.
///
/// # Errors
/// When the kernel refuses.
pub fn cost(program: BorrowedFd<'_>) -> io::Result<Cost> {
    let mut info = Info {
        before: [0; 24],
        cost: Cost::default(),
    };
    let mut attr = ObjectInfo {
        fd: number(program),
        length: size_of::<Info>() as u32,
        info: address(&mut info),
    };
    // SAFETY: the kernel writes at most `length` bytes there, and takes zeros for "send nothing
    // of variable length".
    unsafe { bpf(OBJECT_INFO, &mut attr) }?;
    Ok(info.cost)
}

/// Makes the kernel measure what programs cost, until the descriptor is closed: which costs itself.
///
/// # Errors
/// When the kernel refuses.
pub fn measure() -> io::Result<OwnedFd> {
    let mut run_time = 0u32;
    // SAFETY: no addresses in it.
    let fd = unsafe { bpf(ENABLE_STATS, &mut run_time) }?;
    // SAFETY: a descriptor that the kernel has just made for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
