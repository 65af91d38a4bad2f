//! One host, one agent: two would post everything twice.
//!
//! All containers of a host share its kernel, so the lock is an object of the kernel: a BPF map with a
//! name that agents know. It exists as long as the agent that made it. Each agent makes one and then
//! looks for those of others; the one that was made first counts. The map has a flag that only root
//! may set, so nobody else can keep an agent from starting.
//!
//! Where BPF is not allowed (`--source procfs` without root), the lock is flock(2) on the root of the
//! cgroups, which is the same file in all containers. Any user can hold that one.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::source::ebpf::bpf::{MAP_CREATE, MAP_UPDATE, OBJECT_INFO, bpf};

/// Time that an agent that has just ended may hold the lock.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);
/// Delay between two attempts in that time.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// Name of the map.
const NAME: [u8; 16] = *b"bubble_agent\0\0\0\0";
/// Longest host name that is noted, in bytes.
const MAX_HOST: usize = 64;

// Linux, include/uapi/linux/bpf.h: `enum bpf_cmd`, `enum bpf_map_type`, flags of a map.
const MAP_LOOKUP: libc::c_int = 1;
const MAP_NEXT_ID: libc::c_int = 12;
const MAP_BY_ID: libc::c_int = 14;
const TYPE_HASH: u32 = 1;
const READ_ONLY: u32 = 1 << 3;
/// Needs CAP_SYS_ADMIN.
const ZERO_SEED: u32 = 1 << 6;

/// The lock. Another agent can count once it is dropped, or this process has ended.
#[derive(Debug)]
pub struct HostLock {
    /// Never read: closing them releases the lock.
    _map: Option<OwnedFd>,
    _root: Option<File>,
}

/// Another agent counts on this host.
#[derive(Debug, thiserror::Error)]
#[error(
    "another bubble-agent counts on this host already ({holder}), and two would count everything \
     twice: stop one of them, or let this one count for another server with --beside-others"
)]
pub struct HostIsCounted {
    /// Who holds the lock, as far as this process can see.
    holder: String,
}

impl HostLock {
    /// Takes the lock of this host. `cgroups` is the root of the cgroups.
    ///
    /// # Errors
    /// If another agent holds it.
    pub fn acquire(cgroups: &Path) -> Result<Self, HostIsCounted> {
        let deadline = Instant::now() + RELEASE_TIMEOUT;
        loop {
            match Self::attempt(cgroups) {
                Err(_) if Instant::now() < deadline => sleep(RETRY_DELAY),
                result => return result,
            }
        }
    }

    fn attempt(cgroups: &Path) -> Result<Self, HostIsCounted> {
        let map = match MapLock::attempt() {
            Ok(MapLock::Mine(map)) => Some(map),
            Ok(MapLock::Held(holder)) => return Err(HostIsCounted { holder }),
            Err(error) => {
                tracing::info!(%error, "no lock by BPF: the root of the cgroups is locked instead");
                None
            }
        };
        let root = match (lock(cgroups), &map) {
            (Ok(root), Some(_)) => root,
            (Ok(root), None) => {
                if root.is_none() {
                    tracing::warn!(
                        "cannot tell whether another agent counts on this host: two would count \
                         everything twice"
                    );
                }
                root
            }
            // Any user may hold this one, so the map decides.
            (Err(_), Some(_)) => None,
            (Err(holder), None) => return Err(HostIsCounted { holder }),
        };
        Ok(Self {
            _map: map,
            _root: root,
        })
    }
}

/// Locks a folder by flock(2); `None` if that cannot be done.
///
/// # Errors
/// If another process holds the lock: which one.
fn lock(folder: &Path) -> Result<Option<File>, String> {
    let Ok(file) = File::open(folder) else {
        return Ok(None);
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => {
            Err(flock_holder(&file).map_or_else(unseen, |pid| format!("process {pid}")))
        }
        Err(fs::TryLockError::Error(_)) => Ok(None),
    }
}

/// Result of an attempt to lock by a map.
enum MapLock {
    Mine(OwnedFd),
    Held(String),
}

#[repr(C)]
struct Create {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    inner_map: u32,
    numa_node: u32,
    name: [u8; 16],
}

#[repr(C)]
#[derive(Default)]
struct Element {
    map: u32,
    unused: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
#[derive(Default)]
struct ById {
    id: u32,
    next: u32,
    open_flags: u32,
}

#[repr(C)]
struct ObjectInfo {
    fd: u32,
    length: u32,
    info: u64,
}

/// The first fields of `struct bpf_map_info`.
#[repr(C)]
#[derive(Default)]
struct Info {
    map_type: u32,
    id: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    name: [u8; 16],
}

/// Value of the only entry, at key 0.
#[repr(C)]
#[derive(Clone, Copy)]
struct Holder {
    /// Host name where the agent runs: in a container of Docker, the beginning of its id.
    host: [u8; MAX_HOST],
}

impl MapLock {
    fn attempt() -> io::Result<Self> {
        let map = create()?;
        set_holder(&map)?;
        let own = info(&map)?.id;
        // The kernel gives each map a greater id than the one before.
        for id in all_ids()? {
            if id < own
                && let Some(other) = open(id)?
                && is_lock(&info(&other)?)
            {
                return Ok(Self::Held(describe(id, &other)));
            }
        }
        Ok(Self::Mine(map))
    }
}

fn address<T>(of: &mut T) -> u64 {
    core::ptr::from_mut(of) as u64
}

fn owned(fd: i32) -> OwnedFd {
    // SAFETY: the kernel has just returned this descriptor; nothing else owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn create() -> io::Result<OwnedFd> {
    let mut attr = Create {
        map_type: TYPE_HASH,
        key_size: 4,
        value_size: size_of::<Holder>() as u32,
        max_entries: 1,
        flags: ZERO_SEED,
        inner_map: 0,
        numa_node: 0,
        name: NAME,
    };
    // SAFETY: `attr` has the kernel's layout and no addresses.
    unsafe { bpf(MAP_CREATE, &mut attr) }.map(owned)
}

/// Notes this host name in the map.
fn set_holder(map: &OwnedFd) -> io::Result<()> {
    let mut key = 0_u32;
    let mut holder = Holder {
        host: [0; MAX_HOST],
    };
    let name = fs::read("/proc/sys/kernel/hostname").unwrap_or_default();
    for (to, from) in holder.host.iter_mut().zip(name.trim_ascii()) {
        *to = *from;
    }
    let mut attr = Element {
        map: map.as_raw_fd() as u32,
        key: address(&mut key),
        value: address(&mut holder),
        ..Element::default()
    };
    // SAFETY: key and value have the sizes that the map was created with.
    unsafe { bpf(MAP_UPDATE, &mut attr) }.map(drop)
}

fn info(map: &OwnedFd) -> io::Result<Info> {
    let mut info = Info::default();
    let mut attr = ObjectInfo {
        fd: map.as_raw_fd() as u32,
        length: size_of::<Info>() as u32,
        info: address(&mut info),
    };
    // SAFETY: the kernel writes at most `length` bytes there.
    unsafe { bpf(OBJECT_INFO, &mut attr) }?;
    Ok(info)
}

/// Ids of all maps of the kernel, in order.
fn all_ids() -> io::Result<Vec<u32>> {
    let mut ids = Vec::new();
    let mut attr = ById::default();
    loop {
        // SAFETY: `attr` has the kernel's layout and no addresses.
        match unsafe { bpf(MAP_NEXT_ID, &mut attr) } {
            Ok(_) => {
                ids.push(attr.next);
                attr.id = attr.next;
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(ids),
            Err(error) => return Err(error),
        }
    }
}

/// Opens a map; `None` if it is gone.
fn open(id: u32) -> io::Result<Option<OwnedFd>> {
    let mut attr = ById {
        id,
        open_flags: READ_ONLY,
        ..ById::default()
    };
    // SAFETY: `attr` has the kernel's layout and no addresses.
    match unsafe { bpf(MAP_BY_ID, &mut attr) } {
        Ok(fd) => Ok(Some(owned(fd))),
        // A map that may not be read is not an agent's.
        Err(error)
            if [libc::ENOENT, libc::EPERM]
                .map(Some)
                .contains(&error.raw_os_error()) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn is_lock(info: &Info) -> bool {
    info.name == NAME && info.map_type == TYPE_HASH && info.flags & ZERO_SEED != 0
}

/// Who holds the map, in words.
fn describe(id: u32, map: &OwnedFd) -> String {
    if let Some(pid) = process_with_map(id) {
        return format!("process {pid}");
    }
    let mut key = 0_u32;
    let mut holder = Holder {
        host: [0; MAX_HOST],
    };
    let fits = info(map).is_ok_and(|info| info.value_size as usize == size_of::<Holder>());
    let mut attr = Element {
        map: map.as_raw_fd() as u32,
        key: address(&mut key),
        value: address(&mut holder),
        ..Element::default()
    };
    // SAFETY: key and value have the sizes of the map, as checked.
    if !fits || unsafe { bpf(MAP_LOOKUP, &mut attr) }.is_err() {
        return unseen();
    }
    let length = holder.host.iter().position(|b| *b == 0).unwrap_or(MAX_HOST);
    let host = String::from_utf8_lossy(&holder.host[..length]);
    format!("{}, where the host name is {host:?}", unseen())
}

fn unseen() -> String {
    "its process is not visible here, so it is in another container".to_owned()
}

/// The process, of those that are visible here, that has this map open.
fn process_with_map(id: u32) -> Option<u32> {
    let line = format!("map_id:\t{id}");
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let has_map = |name: &std::ffi::OsStr| {
            let link = fs::read_link(process.path().join("fd").join(name));
            let is_map = link.is_ok_and(|to| to.as_os_str() == "anon_inode:bpf-map");
            let info = || fs::read_to_string(process.path().join("fdinfo").join(name));
            is_map && info().is_ok_and(|text| text.lines().any(|it| it == line))
        };
        let open = fs::read_dir(process.path().join("fd")).ok()?;
        let is_holder =
            pid != std::process::id() && open.flatten().any(|file| has_map(&file.file_name()));
        is_holder.then_some(pid)
    })
}

/// The process that holds flock(2) on a file, by /proc/locks, which shows those of this namespace.
fn flock_holder(file: &File) -> Option<u32> {
    let inode = format!(":{}", file.metadata().ok()?.ino());
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (kind, pid, place) = (fields.get(1)?, fields.get(4)?, fields.get(5)?);
        let is_it = *kind == "FLOCK" && place.ends_with(&inode);
        is_it.then(|| pid.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::{Create, Element, Holder, Info, MAX_HOST, lock};

    #[test]
    fn layouts_are_those_of_the_kernel() {
        assert_eq!(size_of::<Create>(), 44);
        assert_eq!(size_of::<Element>(), 32);
        assert_eq!(size_of::<Info>(), 40);
        assert_eq!(size_of::<Holder>(), MAX_HOST);
    }

    /// Without BPF: another open file of the same folder is another holder.
    #[test]
    fn a_folder_has_one_holder() {
        let folder = tempfile::tempdir().unwrap();
        let first = lock(folder.path()).unwrap();
        assert!(first.is_some());
        let holder = lock(folder.path()).unwrap_err();
        assert_eq!(holder, format!("process {}", std::process::id()));
        drop(first);
        assert!(lock(folder.path()).unwrap().is_some());
    }
}
