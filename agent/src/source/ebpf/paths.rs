//! Paths of files, and names of Unix sockets.
//!
//! The kernel sends each path once, in a ring buffer of its own. The agent keeps it as long as the
//! file is used. The kernel sends it again only after it has left the map `FILE_SEEN`, so a path
//! is forgotten there first. If the programs are pinned, the journal keeps the paths for the next run.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use aya::maps::{MapData, RingBuf};
use bubble_common::kernel::Plain;
use bubble_common::kernel::file::{FIRST_PATH, FileRecord, SOCKET_MAGIC};
use bubble_common::segment::file::{File, FileKind};

use super::bpf::{self, Entries};
use super::load::{LoadError, Loaded};
use super::record::text;
use super::sums::Sums;
use crate::journal::Texts;
use crate::printable::escape_bytes;

/// The path of a file that the kernel does not know.
pub const UNKNOWN_PATH: &str = "(unknown)";

/// Maximum number of paths. The kernel has fewer (`FILE_SEEN`).
const MAX_PATHS: usize = 12_288;
/// Number from which on unused ones are forgotten.
const HALF_OF_PATHS: usize = MAX_PATHS / 2;
/// Drains that a path is kept after its last use.
const TTL: u64 = 5;
/// Drains that a path is kept after the kernel has forgotten it: sums with its number may be waiting.
const FORGOTTEN_TTL: u64 = 2;

/// A path or a socket's name.
struct Entry {
    file: File,
    /// Drain of its last use.
    used: u64,
    /// Drain in which it was removed from `FILE_SEEN`.
    forgotten: Option<u64>,
}

impl Entry {
    fn new(file: File, used: u64) -> Self {
        Self {
            file,
            used,
            forgotten: None,
        }
    }
}

/// Paths and names by the kernel's numbers.
pub struct Paths {
    ring: RingBuf<MapData>,
    seen: OwnedFd,
    /// New paths of each cgroup. The kernel side limits them; the agent only empties the maps.
    new: Sums<u64, u64>,
    entries: HashMap<u64, Entry>,
    drains: u64,
    /// Keeps the paths for the next run.
    texts: Option<Texts>,
    /// There was no room for a path since the last drain.
    is_full: bool,
}

impl Paths {
    /// Opens the maps.
    ///
    /// # Errors
    /// When the kernel side lacks one.
    pub fn open(loaded: &mut Loaded) -> Result<Self, LoadError> {
        let seen = loaded.hash::<u64, u32>("FILE_SEEN")?;
        let ring = loaded
            .take_map("FILE_PATHS")
            .and_then(|map| RingBuf::try_from(map).ok())
            .ok_or_else(|| LoadError::Missing("ring buffer FILE_PATHS".into()))?;
        Ok(Self {
            ring,
            seen,
            new: Sums::open(loaded, "FILE_NEW")?,
            entries: HashMap::new(),
            drains: 0,
            texts: None,
            is_full: false,
        })
    }

    /// Takes in the records of the ring buffer.
    pub fn absorb(&mut self) {
        while let Some(item) = self.ring.next() {
            match decode(&item) {
                Some((number, file)) => {
                    // Before the ring buffer forgets it.
                    if let Some(texts) = self.texts.as_mut().filter(|_| !self.is_full) {
                        self.is_full = !keep(texts, number, &file, &self.entries);
                    }
                    self.entries.insert(number, Entry::new(file, self.drains));
                }
                None => tracing::debug!("a record of a path is too short"),
            }
        }
    }

    /// Takes over the paths that an earlier run kept. The kernel sends all others again.
    ///
    /// # Errors
    /// When the maps cannot be read.
    pub fn resume(&mut self, texts: Texts) -> io::Result<()> {
        for (number, kind, path) in texts.all() {
            let file = File {
                path: String::from_utf8_lossy(&path).into_owned(),
                kind: FileKind::from_u8(kind).unwrap_or_default(),
            };
            self.entries.insert(number, Entry::new(file, self.drains));
        }
        self.texts = Some(texts);
        // Those that it sends meanwhile are in the ring buffer, so that is read last.
        let mut seen = Entries::<u64, u32>::new();
        seen.copy_all(self.seen.as_fd(), MAX_PATHS * 4)?;
        self.absorb();
        for (number, _) in seen.iter() {
            if !self.entries.contains_key(number) {
                bpf::remove(self.seen.as_fd(), number)?;
            }
        }
        Ok(())
    }

    /// Removes the counts of new paths of a generation that the kernel retains.
    ///
    /// # Errors
    /// When the maps cannot be read.
    pub fn clear(&mut self, generation: u64) -> io::Result<()> {
        self.new.clear(generation)
    }

    /// The file of a number.
    ///
    /// A program that still ran when the drain began may have sent it since [`Self::absorb`], and have
    /// added its sum after that.
    pub fn get(&mut self, number: u64) -> Option<&File> {
        if number >= FIRST_PATH && !self.entries.contains_key(&number) {
            self.absorb();
        }
        let entry = self.entries.get_mut(&number)?;
        entry.used = self.drains;
        Some(&entry.file)
    }

    /// Forgets unused paths when there are many, in the kernel first. Empties the counts of new
    /// paths of this generation.
    ///
    /// # Errors
    /// When the maps cannot be read.
    pub fn forget(&mut self, generation: u64) -> io::Result<()> {
        let _ = self.new.take(generation)?;
        self.drains += 1;
        self.is_full = false;
        let ttl = match self.entries.len() {
            ..HALF_OF_PATHS => u64::MAX,
            HALF_OF_PATHS..MAX_PATHS => TTL,
            _ => 1,
        };
        let drains = self.drains;
        let oldest = drains.saturating_sub(ttl);
        let seen = &self.seen;
        self.entries.retain(|number, entry| match entry.forgotten {
            Some(at) => drains <= at + FORGOTTEN_TTL,
            None => {
                if entry.used < oldest && bpf::remove(seen.as_fd(), number).is_ok() {
                    entry.forgotten = Some(drains);
                }
                true
            }
        });
        Ok(())
    }
}

/// Keeps a path. If there is no room, it replaces all by those in use.
fn keep(texts: &mut Texts, number: u64, file: &File, entries: &HashMap<u64, Entry>) -> bool {
    let kept = (number, file.kind as u8, file.path.as_bytes());
    texts.keep(kept.0, kept.1, kept.2) || {
        let used = entries.iter().map(|(number, entry)| {
            let file = &entry.file;
            (*number, file.kind as u8, file.path.as_bytes())
        });
        texts.replace(used.chain([kept]))
    }
}

/// Decodes a record. `None` when it is too short.
fn decode(bytes: &[u8]) -> Option<(u64, File)> {
    let at = bytes.len().checked_sub(size_of::<FileRecord>())?;
    let (path, record) = bytes.split_at(at);
    let record = FileRecord::read(record)?;
    let length = record.path_len as usize;
    let file = if record.magic == SOCKET_MAGIC {
        File {
            path: socket_name(path.get(..length)?),
            kind: FileKind::Unknown,
        }
    } else {
        file_of(record, path.get(path.len().checked_sub(length)?..)?)
    };
    Some((record.file, file))
}

/// `PIPEFS_MAGIC` and `ANON_INODE_FS_MAGIC` of `linux/magic.h`.
const PIPE_MAGIC: u64 = 0x5049_5045;
const ANONYMOUS_MAGIC: u64 = 0x0904_1934;

fn file_of(record: FileRecord, path: &[u8]) -> File {
    if record.magic == PIPE_MAGIC {
        return File {
            path: "pipe".to_owned(),
            kind: FileKind::Pipe,
        };
    }
    let text = escape_bytes(path);
    if record.magic == ANONYMOUS_MAGIC {
        // `/[eventfd]`
        let name = text.trim_start_matches('/');
        let name = name.strip_prefix('[').unwrap_or(name);
        let name = name.strip_suffix(']').unwrap_or(name);
        return File {
            path: name.to_owned(),
            kind: FileKind::Anonymous,
        };
    }
    // The type of the file: `S_IFMT` of `linux/stat.h`.
    let kind = match record.mode & 0o170_000 {
        0o100_000 => FileKind::Regular,
        0o040_000 => FileKind::Directory,
        0o010_000 => FileKind::Pipe,
        0o020_000 => FileKind::CharDevice,
        0o060_000 => FileKind::BlockDevice,
        _ => FileKind::Unknown,
    };
    File {
        path: rooted(text),
        kind,
    }
}

/// A path from the root.
///
/// The kernel may know a file without its folders, if it was opened by a handle (`open_by_handle_at`). It
/// calls the end of what it knows `/` (`d_obtain_alias()`), so the path begins with two.
fn rooted(path: String) -> String {
    match path.strip_prefix("//") {
        Some("") => UNKNOWN_PATH.to_owned(),
        Some(known) => format!("{UNKNOWN_PATH}/{known}"),
        None if path.is_empty() => "/".to_owned(),
        None => path,
    }
}

/// The name of a Unix socket: a path, or abstract (after a NUL), written with `@`.
fn socket_name(bytes: &[u8]) -> String {
    match bytes.split_first() {
        Some((0, name)) => format!("@{}", escape_bytes(name)).replace('\0', "@"),
        _ => text(bytes),
    }
}

#[cfg(test)]
mod tests {
    use bubble_common::kernel::Plain;
    use bubble_common::kernel::file::{FileRecord, SOCKET_MAGIC};
    use bubble_common::segment::file::FileKind;
    use proptest::prelude::{any, proptest};

    use super::{ANONYMOUS_MAGIC, PIPE_MAGIC, decode};

    fn record(path: &[u8], magic: u64, mode: u32) -> Vec<u8> {
        let record = FileRecord {
            file: 7,
            magic,
            mode,
            path_len: path.len() as u32,
        };
        [path, record.bytes()].concat()
    }

    #[test]
    fn paths_and_kinds_are_read() {
        for (path, magic, mode, text, kind) in [
            (
                "/etc/passwd",
                0xef53,
                0o100_644,
                "/etc/passwd",
                FileKind::Regular,
            ),
            ("", 0xef53, 0o040_755, "/", FileKind::Directory),
            ("/", PIPE_MAGIC, 0o010_600, "pipe", FileKind::Pipe),
            ("/run/fifo", 0xef53, 0o010_600, "/run/fifo", FileKind::Pipe),
            (
                "/[eventfd]",
                ANONYMOUS_MAGIC,
                0o600,
                "eventfd",
                FileKind::Anonymous,
            ),
            (
                "/dev/null",
                0x0102_1994,
                0o020_666,
                "/dev/null",
                FileKind::CharDevice,
            ),
        ] {
            let (number, file) = decode(&record(path.as_bytes(), magic, mode)).unwrap();
            assert_eq!(number, 7);
            assert_eq!((file.path.as_str(), file.kind), (text, kind));
        }
    }

    #[test]
    fn files_with_names_that_are_no_text_stay_apart() {
        let path = |name: &[u8]| {
            let record = record(name, 0xef53, 0o100_644);
            decode(&record).unwrap().1.path
        };
        assert_eq!(path(b"/tmp/x\xff\xfe"), r"/tmp/x\xff\xfe");
        assert_eq!(path(b"/tmp/x\xfd\xfe"), r"/tmp/x\xfd\xfe");
        assert_eq!(path("/tmp/ä".as_bytes()), "/tmp/ä");
    }

    #[test]
    fn a_file_without_its_folders_is_not_in_the_root() {
        let path = |name: &[u8], mode: u32| {
            let record = record(name, 0xef53, mode);
            decode(&record).unwrap().1.path
        };
        assert_eq!(path(b"//", 0o100_644), "(unknown)");
        assert_eq!(path(b"//a/b", 0o100_644), "(unknown)/a/b");
        assert_eq!(path(b"/", 0o040_755), "/");
    }

    #[test]
    fn names_of_sockets_are_read() {
        let mut bytes = record(b"/run/x.sock\0", SOCKET_MAGIC, 0);
        assert_eq!(decode(&bytes).unwrap().1.path, "/run/x.sock");
        bytes = record(b"\0name", SOCKET_MAGIC, 0);
        assert_eq!(decode(&bytes).unwrap().1.path, "@name");
        bytes = record(b"\0name\xff", SOCKET_MAGIC, 0);
        assert_eq!(decode(&bytes).unwrap().1.path, r"@name\xff");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn a_length_beyond_the_bytes_is_refused(more in 1u32..) {
            let mut bytes = record(b"/a", 0xef53, 0o100_644);
            let at = bytes.len() - 4;
            bytes[at..].copy_from_slice(&2u32.saturating_add(more).to_ne_bytes());
            assert!(decode(&bytes).is_none());
        }
    }
}
