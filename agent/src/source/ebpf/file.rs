//! Files: what each process read, wrote and opened, and the paths.
//!
//! Paths come in a ring buffer of their own, each once; here they are kept as
//! long as someone uses the file. The kernel tells a path again only when it is
//! told that it was forgotten, so forgetting begins there.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use aya::maps::{MapData, RingBuf};
use bubble_common::kernel::Plain;
use bubble_common::kernel::file::{FileKey, FileRecord, FileSum, OTHER, SOCKET_MAGIC, UNKNOWN};
use bubble_common::kernel::process::ProcessKey;
use bubble_common::kernel::recent::{self, Core};
use bubble_common::segment::file::{File, FileIo, FileKind};
use bubble_common::segment::loss::{Loss, Reason};

use super::hooks::{Attach, Family, Hook};
use super::load::{LoadError, Loaded};
use super::sums::Sums;
use super::turn::Turn;
use crate::sink::{ContainerHandle, FileHandle, Sink};

/// A hook of one family, which differs from others in little.
const fn hook(
    program: &'static str,
    attach: Attach,
    family: Family,
    gives: &'static str,
    required: bool,
) -> Hook {
    Hook {
        program,
        attach,
        family,
        gives,
        needs: match family {
            Family::Vfs => "trampolines (fexit), and the function not inlined",
            _ => "the tracepoint",
        },
        fallback: if required {
            "files are not counted: try the other family of hooks"
        } else {
            "not counted"
        },
        required,
        unless: None,
        instead: None,
    }
}

const fn function(
    program: &'static str,
    name: &'static str,
    gives: &'static str,
    required: bool,
) -> Hook {
    hook(program, Attach::Exit(name), Family::Vfs, gives, required)
}

/// What sums it.
pub const HOOKS: &[Hook] = &[
    hook(
        "sys_exit",
        Attach::Tracepoint("sys_exit"),
        Family::Syscall,
        "bytes, operations and opens by process and file; connections accepted; peers of datagrams; \
         before 6.3 all that sockets take and give",
        true,
    ),
    function("vfs_read", "vfs_read", "bytes read (read, pread)", true),
    function(
        "vfs_write",
        "vfs_write",
        "bytes written (write, pwrite)",
        true,
    ),
    function(
        "vfs_readv",
        "vfs_readv",
        "bytes read by readv, preadv",
        true,
    ),
    function(
        "vfs_writev",
        "vfs_writev",
        "bytes written by writev, pwritev",
        true,
    ),
    function("do_filp_open", "do_filp_open", "opens", true),
    function(
        "call_sendfile",
        "__x64_sys_sendfile64",
        "bytes moved by sendfile of 64-bit programs",
        false,
    ),
    function(
        "call_splice",
        "__x64_sys_splice",
        "bytes moved by splice of 64-bit programs",
        false,
    ),
    function(
        "call_tee",
        "__x64_sys_tee",
        "bytes moved by tee of 64-bit programs",
        false,
    ),
    function(
        "call_vmsplice",
        "__x64_sys_vmsplice",
        "bytes moved by vmsplice of 64-bit programs",
        false,
    ),
    function(
        "call_copy_file_range",
        "__x64_sys_copy_file_range",
        "bytes moved by copy_file_range of 64-bit programs",
        false,
    ),
    function(
        "call_open_by_handle_at",
        "__x64_sys_open_by_handle_at",
        "opens by handle of 64-bit programs",
        false,
    ),
    hook(
        "io_uring_complete",
        Attach::Tracepoint("io_uring_complete"),
        Family::Both,
        "bytes, operations and opens by io_uring",
        false,
    ),
];

/// Most paths that are kept; the kernel knows fewer (`FILE_SEEN`).
const PATHS: usize = 12_288;
/// Drains that a path outlives its last use, at least.
const KEEP: u64 = 5;

/// A path, or the name of a Unix socket.
struct Known {
    file: File,
    used: u64,
}

/// Texts of numbers that the kernel gives: of files and of names of sockets.
pub struct Paths {
    ring: RingBuf<MapData>,
    seen: OwnedFd,
    /// How many new ones each cgroup had; it is the kernel side that looks at it.
    new: Sums<u64, u64>,
    known: HashMap<u64, Known>,
    turn: u64,
}

impl Paths {
    fn open(loaded: &mut Loaded) -> Result<Self, LoadError> {
        let seen = loaded.hash::<u64, u32>("FILE_SEEN")?;
        let ring = loaded
            .ebpf
            .take_map("FILE_PATHS")
            .and_then(|map| RingBuf::try_from(map).ok())
            .ok_or_else(|| LoadError::Missing("ring buffer FILE_PATHS".into()))?;
        Ok(Self {
            ring,
            seen,
            new: Sums::open(loaded, "FILE_NEW")?,
            known: HashMap::new(),
            turn: 0,
        })
    }

    /// Takes in what was told.
    pub fn absorb(&mut self) {
        while let Some(item) = self.ring.next() {
            match decode(&item) {
                Some((number, file)) => {
                    let used = self.turn;
                    self.known.insert(number, Known { file, used });
                }
                None => tracing::debug!("a path that is cut"),
            }
        }
    }

    /// The file of a number.
    pub fn get(&mut self, number: u64) -> Option<&File> {
        let known = self.known.get_mut(&number)?;
        known.used = self.turn;
        Some(&known.file)
    }

    /// Forgets what was not used for a while when there is much, in the kernel first; and how many
    /// were new in this generation.
    fn forget(&mut self, generation: u64) -> io::Result<()> {
        let _ = self.new.take(generation)?;
        self.turn += 1;
        if self.known.len() < PATHS / 2 {
            return Ok(());
        }
        let keep = if self.known.len() < PATHS { KEEP } else { 1 };
        let before = self.turn.saturating_sub(keep);
        let seen = &self.seen;
        self.known.retain(|number, known| {
            known.used >= before || super::bpf::remove(seen.as_fd(), number).is_err()
        });
        Ok(())
    }
}

/// Takes a record apart; nothing when it is shorter than it says.
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
    let text = String::from_utf8_lossy(path);
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
    let path = if text.is_empty() { "/" } else { &text };
    File {
        path: path.to_owned(),
        kind,
    }
}

/// The name of a Unix socket: a path, or abstract (after a NUL), written with `@`.
fn socket_name(bytes: &[u8]) -> String {
    match bytes.split_first() {
        Some((0, name)) => format!("@{}", String::from_utf8_lossy(name)).replace('\0', "@"),
        _ => super::record::text(bytes),
    }
}

/// The sums, and the paths.
pub struct Files {
    sums: Sums<FileKey, FileSum>,
    others: Sums<ProcessKey, FileSum>,
    /// Paths of files and names of sockets.
    pub paths: Paths,
    handles: HashMap<(ContainerHandle, u64), FileHandle>,
}

impl Files {
    /// Takes the maps.
    ///
    /// # Errors
    /// When the kernel side has none.
    pub fn open(loaded: &mut Loaded) -> Result<Self, LoadError> {
        Ok(Self {
            sums: Sums::open(loaded, "FILES")?,
            others: Sums::open(loaded, "FILE_OTHERS")?,
            paths: Paths::open(loaded)?,
            handles: HashMap::new(),
        })
    }

    /// Passes the sums of a generation on.
    ///
    /// # Errors
    /// When the kernel refuses to give them.
    pub fn drain<S: Sink>(
        &mut self,
        generation: u64,
        cores: &[Core],
        turn: &mut Turn<'_, '_, S>,
    ) -> io::Result<()> {
        self.paths.absorb();
        // A handle is good as long as the sink's slot is: they are asked for anew each time.
        self.handles.clear();
        let names = &mut Names {
            paths: &mut self.paths,
            handles: &mut self.handles,
        };
        for (core, direction) in cores.iter().flat_map(|core| [(core, 0), (core, 1)]) {
            let entries = recent::entries(&core.files, recent::side(generation, direction));
            for last in entries.iter().filter(|last| last.generation == generation) {
                let mut io = FileIo {
                    opens: last.opens,
                    ..FileIo::default()
                };
                if direction == 0 {
                    (io.bytes_in, io.ops_in) = (last.bytes, last.ops);
                } else {
                    (io.bytes_out, io.ops_out) = (last.bytes, last.ops);
                }
                charge(turn, names, &last.key, io);
            }
        }
        for (key, sum) in self.sums.take(generation)? {
            charge(turn, names, key, io_of(sum));
        }
        for (process, sum) in self.others.take(generation)? {
            let key = FileKey {
                process: *process,
                file: OTHER,
            };
            charge(turn, names, &key, io_of(sum));
        }
        self.paths.forget(generation)
    }
}

struct Names<'a> {
    paths: &'a mut Paths,
    handles: &'a mut HashMap<(ContainerHandle, u64), FileHandle>,
}

fn charge<S: Sink>(turn: &mut Turn<'_, '_, S>, names: &mut Names<'_>, key: &FileKey, io: FileIo) {
    if io == FileIo::default() {
        return;
    }
    let Some(owner) = turn.owner(&key.process) else {
        return;
    };
    let place = (owner.container, key.file);
    let handle = match names.handles.get(&place) {
        Some(handle) => *handle,
        None => {
            let handle = match (key.file, names.paths.get(key.file)) {
                (OTHER, _) => turn.sink.file(owner.container, &File::other()),
                (_, Some(file)) => turn.sink.file(owner.container, file),
                (number, None) => {
                    if number != UNKNOWN {
                        let loss = Loss {
                            count: 1,
                            bytes: io.bytes_in.saturating_add(io.bytes_out),
                        };
                        turn.sink
                            .loss(turn.at, Some(owner.container), Reason::PATH_UNKNOWN, loss);
                    }
                    let unknown = File {
                        path: "(unknown)".to_owned(),
                        kind: FileKind::Unknown,
                    };
                    turn.sink.file(owner.container, &unknown)
                }
            };
            names.handles.insert(place, handle);
            handle
        }
    };
    turn.sink.file_io(turn.at, owner.process, handle, io);
}

fn io_of(sum: &FileSum) -> FileIo {
    FileIo {
        bytes_in: sum.bytes_in,
        bytes_out: sum.bytes_out,
        ops_in: sum.ops_in,
        ops_out: sum.ops_out,
        opens: sum.opens,
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
    fn names_of_sockets_are_read() {
        let mut bytes = record(b"/run/x.sock\0", SOCKET_MAGIC, 0);
        assert_eq!(decode(&bytes).unwrap().1.path, "/run/x.sock");
        bytes = record(b"\0name", SOCKET_MAGIC, 0);
        assert_eq!(decode(&bytes).unwrap().1.path, "@name");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
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
