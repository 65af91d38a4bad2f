//! Pins: names of the maps, programs and links in a BPF file system, through which the kernel goes on
//! counting without an agent, and the next agent finds the sums.
//!
//! ```text
//! /sys/fs/bpf/bubble-agent/        0700; locked by the agent that uses it
//!     FAMILY-KEY/                  complete, as it gets this name last
//!         maps/NAME  programs/NAME  links/NAME  journal
//! ```
//!
//! The key is a hash of everything that the meaning of the maps depends on: the programs with the
//! kernel's offsets, their settings, the sizes of the maps, the layout of the journal. An agent with
//! another key starts anew, and removes these.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use aya::maps::{Map, MapData};

use super::bpf_object;

/// Where the kernel's BPF file system belongs.
const MOUNT_POINT: &str = "/sys/fs/bpf";
/// `BPF_FS_MAGIC` of `linux/magic.h`.
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;
/// Name of a folder that is not complete.
const PART: &str = "part";
const JOURNAL: &str = "journal";

/// Why nothing can be pinned.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// The folder is in no BPF file system.
    #[error(
        "{0} is in no BPF file system: mount one (`mount -t bpf bpf /sys/fs/bpf`; in Docker, -v /sys/fs/bpf:/sys/fs/bpf), or choose another folder with --pins"
    )]
    NoFileSystem(PathBuf),
    /// Another agent uses the folder.
    #[error(
        "the pins in {0} are in use by another agent: stop that one, or choose another folder with --pins"
    )]
    InUse(PathBuf),
    /// The folder or something in it cannot be used.
    #[error("cannot use the pins in {path}: {source}")]
    Io {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> PinError {
    move |source| PinError::Io {
        path: path.to_owned(),
        source,
    }
}

/// The folder of pins, locked.
#[derive(Debug)]
pub struct Pins {
    folder: PathBuf,
    _lock: File,
}

/// What is pinned under one key.
pub struct Pinned {
    /// The maps by name.
    pub maps: HashMap<String, Map>,
    /// The programs by name.
    pub programs: HashMap<String, OwnedFd>,
    /// The memory of the journal.
    pub journal: OwnedFd,
}

impl Pins {
    /// Locks the folder, which is created if absent. Mounts the kernel's BPF file system if its place is
    /// empty.
    ///
    /// # Errors
    /// When the folder cannot be used, or another agent uses it.
    pub fn open(folder: &Path) -> Result<Self, PinError> {
        let parent = folder.parent().unwrap_or(Path::new("/"));
        let is_mounted = || is_bpf(parent).map_err(failed(parent));
        if !is_mounted()? && parent == Path::new(MOUNT_POINT) {
            match mount(parent) {
                Ok(()) => tracing::info!(
                    "mounted a BPF file system at {MOUNT_POINT}; one that is mounted in a container ends with it: in Docker, use -v {MOUNT_POINT}:{MOUNT_POINT}"
                ),
                Err(error) => tracing::debug!(%error, "cannot mount a BPF file system"),
            }
        }
        if !is_mounted()? {
            return Err(PinError::NoFileSystem(folder.to_owned()));
        }
        Self::lock(folder)
    }

    fn lock(folder: &Path) -> Result<Self, PinError> {
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
            }
            created => created,
        }
        .map_err(failed(folder))?;
        let lock = File::open(folder).map_err(failed(folder))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                folder: folder.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(PinError::InUse(folder.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed(folder)(error)),
        }
    }

    /// Whether a key begins with `prefix`. Computing a key takes time.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn has(&self, prefix: &str) -> Result<bool, PinError> {
        let names = names(&self.folder)?;
        let mut keys = names.iter().filter(|(name, _)| name != PART);
        Ok(keys.any(|(name, _)| name.starts_with(prefix)))
    }

    /// Opens what is pinned under `key`. `None` if nothing is.
    ///
    /// # Errors
    /// When it cannot be looked up, or something of it cannot be opened.
    pub fn adopt(&self, key: &str) -> Result<Option<Pinned>, PinError> {
        let folder = self.folder.join(key);
        if !folder.try_exists().map_err(failed(&folder))? {
            return Ok(None);
        }
        let mut maps = HashMap::new();
        for (name, path) in names(&folder.join("maps"))? {
            let map = MapData::from_pin(&path)
                .and_then(Map::from_map_data)
                .map_err(io::Error::other)
                .map_err(failed(&path))?;
            maps.insert(map_name(&name), map);
        }
        let mut programs = HashMap::new();
        for (name, path) in names(&folder.join("programs"))? {
            let program = bpf_object::open(&path).map_err(failed(&path))?;
            programs.insert(name, program);
        }
        let journal = folder.join(JOURNAL);
        let journal = bpf_object::open(&journal).map_err(failed(&journal))?;
        Ok(Some(Pinned {
            maps,
            programs,
            journal,
        }))
    }

    /// Begins to pin: removes what an earlier run left.
    ///
    /// # Errors
    /// When the folders cannot be made.
    pub fn begin(&self) -> Result<PathBuf, PinError> {
        self.clear()?;
        let part = self.folder.join(PART);
        for folder in [
            part.clone(),
            part.join("maps"),
            part.join("programs"),
            part.join("links"),
        ] {
            fs::create_dir(&folder).map_err(failed(&folder))?;
        }
        Ok(part)
    }

    /// Creates the memory of a journal.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn create_journal(part: &Path, bytes: usize) -> Result<OwnedFd, PinError> {
        let path = part.join(JOURNAL);
        let memory = bpf_object::create_memory(bytes).map_err(failed(&path))?;
        bpf_object::pin(memory.as_fd(), &path).map_err(failed(&path))?;
        Ok(memory)
    }

    /// Pins a map.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn pin_map(part: &Path, name: &str, map: &Map) -> Result<(), PinError> {
        let path = part.join("maps").join(pin_name(name));
        map.pin(&path)
            .map_err(io::Error::other)
            .map_err(failed(&path))
    }

    /// Names what was pinned by its key: it is complete.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn complete(&self, part: &Path, key: &str) -> Result<(), PinError> {
        fs::rename(part, self.folder.join(key)).map_err(failed(part))
    }

    /// Removes everything that is pinned. Returns whether there was anything. What no other program uses
    /// ends with it.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn clear(&self) -> Result<bool, PinError> {
        let part = self.folder.join(PART);
        let remove_part = || match fs::remove_dir_all(&part) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(failed(&part)),
        };
        let mut any = false;
        for (name, path) in names(&self.folder)? {
            any = true;
            if name != PART {
                // Half of a key could not be taken over if the agent is killed meanwhile.
                remove_part()?;
                fs::rename(&path, &part).map_err(failed(&path))?;
            }
            remove_part()?;
        }
        Ok(any)
    }

    /// Removes everything, and the folder.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(self) -> Result<bool, PinError> {
        let any = self.clear()?;
        fs::remove_dir(&self.folder).map_err(failed(&self.folder))?;
        Ok(any)
    }

    /// Removes what is pinned in `folder`, and the folder. Returns whether there was anything.
    ///
    /// # Errors
    /// When an agent uses it, or it cannot be looked up or removed.
    pub fn unpin(folder: &Path) -> Result<bool, PinError> {
        if !folder.try_exists().map_err(failed(folder))? {
            return Ok(false);
        }
        if !is_bpf(folder).map_err(failed(folder))? {
            return Err(PinError::NoFileSystem(folder.to_owned()));
        }
        Self::lock(folder)?.remove()
    }
}

/// The names in a folder, with their paths.
fn names(folder: &Path) -> Result<Vec<(String, PathBuf)>, PinError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let entry = entry.map_err(failed(folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        found.push((name, entry.path()));
    }
    Ok(found)
}

/// The name of a map's pin: the file system reserves names with dots.
fn pin_name(map: &str) -> String {
    map.replace('.', "section-")
}

fn map_name(pin: &str) -> String {
    pin.replace("section-", ".")
}

/// Whether a folder is in a BPF file system. One that is absent is in none.
fn is_bpf(folder: &Path) -> io::Result<bool> {
    let path = CString::new(folder.as_os_str().as_bytes())?;
    // SAFETY: zeros are a valid `statfs`.
    let mut facts: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: `path` is a string that ends with NUL, and the kernel writes one struct.
    if unsafe { libc::statfs(path.as_ptr(), &mut facts) } == 0 {
        return Ok(facts.f_type as u64 & 0xffff_ffff == BPF_FS_MAGIC);
    }
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::NotFound => Ok(false),
        error => Err(error),
    }
}

fn mount(folder: &Path) -> io::Result<()> {
    let path = CString::new(folder.as_os_str().as_bytes())?;
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    // SAFETY: strings that end with NUL; the last argument may be null.
    let result = unsafe {
        libc::mount(
            c"bpf".as_ptr(),
            path.as_ptr(),
            c"bpf".as_ptr(),
            flags,
            c"mode=0700".as_ptr().cast(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::{PART, PinError, Pins, map_name, pin_name};

    #[test]
    fn names_of_sections_are_read_back() {
        for name in [".data", "FILES_0", ".rodata"] {
            assert!(!pin_name(name).contains('.'));
            assert_eq!(map_name(&pin_name(name)), name);
        }
    }

    #[test]
    fn a_folder_outside_of_a_bpf_file_system_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let pins = folder.path().join("pins");
        assert!(matches!(Pins::open(&pins), Err(PinError::NoFileSystem(_))));
        assert!(!pins.exists());
        assert!(!Pins::unpin(&pins).unwrap());
    }

    #[test]
    fn what_cannot_be_read_is_not_absent() {
        let root = tempfile::tempdir().unwrap();
        // A link that leads to itself cannot be followed, even by root.
        let unreadable = root.path().join("unreadable");
        symlink("unreadable", &unreadable).unwrap();
        assert!(matches!(Pins::unpin(&unreadable), Err(PinError::Io { .. })));
        let below = Pins::open(&unreadable.join("pins"));
        assert!(matches!(below, Err(PinError::Io { .. })));
        let absent = Pins::open(&root.path().join("absent/pins"));
        assert!(matches!(absent, Err(PinError::NoFileSystem(_))));

        let folder = root.path().join("pins");
        let pins = Pins::lock(&folder).unwrap();
        symlink("vfs-1", folder.join("vfs-1")).unwrap();
        assert!(matches!(pins.adopt("vfs-1"), Err(PinError::Io { .. })));
        assert!(pins.adopt("vfs-2").unwrap().is_none());
        fs::remove_file(folder.join("vfs-1")).unwrap();

        fs::create_dir(folder.join(PART)).unwrap();
        assert!(!pins.has("").unwrap(), "not complete");
        fs::create_dir(folder.join("vfs-1")).unwrap();
        assert!(pins.has("vfs").unwrap() && !pins.has("syscall").unwrap());
        assert!(pins.clear().unwrap() && !pins.clear().unwrap());
        fs::remove_dir(&folder).unwrap();
        assert!(matches!(pins.has("vfs"), Err(PinError::Io { .. })));
    }

    #[test]
    fn one_agent_uses_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let pins = Pins::lock(folder.path()).unwrap();
        assert!(matches!(Pins::lock(folder.path()), Err(PinError::InUse(_))));
        drop(pins);
        Pins::lock(folder.path()).unwrap();
    }
}
