//! Takes records of the ring buffer apart. Nothing in them is believed: lengths
//! are checked against the bytes that are there, and text need not be UTF-8.

use bubble_common::kernel::Plain;
use bubble_common::kernel::cgroup::CgroupRecord;
use bubble_common::kernel::network::NetworkRecord;
use bubble_common::kernel::process::{Comm, ExecRecord, ExitRecord, ProcessRecord};
use bubble_common::kernel::record::{Header, Kind};

/// A record, with the texts that follow it.
#[derive(Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// Forked, renamed, moved into a cgroup, or found alive: which, the kind in its header says.
    Process(ProcessRecord),
    /// A process began to run a program.
    Exec {
        /// The record.
        exec: ExecRecord,
        /// Path of the program, as it was given to exec.
        exe: &'a [u8],
        /// Arguments, NUL after each.
        args: &'a [u8],
    },
    /// A process ended.
    Exit(ExitRecord),
    /// A process is to be killed for want of memory.
    Oom(Header),
    /// A cgroup was made or removed: which, the kind in its header says.
    Cgroup {
        /// The record.
        cgroup: CgroupRecord,
        /// Its path from the root of its hierarchy.
        path: &'a [u8],
    },
    /// A connection failed.
    Failed(NetworkRecord),
    /// Of another concern, by its kind.
    Other(Header, &'a [u8]),
}

/// Takes a record apart; nothing when it is shorter than it should be.
pub fn decode(bytes: &[u8]) -> Option<Record<'_>> {
    let header = Header::read(bytes)?;
    Some(match header.kind {
        Kind::FORK | Kind::RENAME | Kind::ATTACH | Kind::ALIVE => {
            Record::Process(ProcessRecord::read(bytes)?)
        }
        Kind::EXEC => {
            let exec = ExecRecord::read(bytes)?;
            let rest = bytes.get(size_of::<ExecRecord>()..)?;
            let (exe, rest) = rest.split_at_checked(exec.exe_len as usize)?;
            let args = rest.get(..exec.args_len as usize)?;
            Record::Exec { exec, exe, args }
        }
        Kind::EXIT => Record::Exit(ExitRecord::read(bytes)?),
        Kind::OOM => Record::Oom(header),
        Kind::CGROUP_MADE | Kind::CGROUP_REMOVED => {
            let cgroup = CgroupRecord::read(bytes)?;
            let path = bytes
                .get(size_of::<CgroupRecord>()..)?
                .get(..cgroup.path_len as usize)?;
            Record::Cgroup { cgroup, path }
        }
        Kind::CONNECTION_FAILED => Record::Failed(NetworkRecord::read(bytes)?),
        _ => Record::Other(header, bytes),
    })
}

/// The text before the first NUL.
pub fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// The kernel's name of a process.
pub fn name(comm: &Comm) -> String {
    text(comm)
}

/// Arguments as they are kept: one NUL between two, and an ellipsis where they were cut.
pub fn arguments(args: &[u8], total: u32) -> String {
    let cut = (args.len() as u64) < u64::from(total);
    let mut args = args;
    while let Some((0, rest)) = args.split_last() {
        args = rest;
    }
    let mut text = String::from_utf8_lossy(args).into_owned();
    if cut {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use bubble_common::kernel::Plain;
    use bubble_common::kernel::process::ExecRecord;
    use bubble_common::kernel::record::Kind;
    use proptest::prelude::{any, proptest};

    use super::{Record, arguments, decode};

    fn exec(exe: &[u8], args: &[u8]) -> Vec<u8> {
        let mut record = ExecRecord {
            exe_len: exe.len() as u32,
            args_len: args.len() as u32,
            args_total: args.len() as u32,
            ..ExecRecord::default()
        };
        record.process.header.kind = Kind::EXEC;
        [record.bytes(), exe, args].concat()
    }

    #[test]
    fn an_exec_is_taken_apart() {
        let bytes = exec(b"/bin/sh", b"sh\0-c\0true\0");
        let Some(Record::Exec { exe, args, .. }) = decode(&bytes) else {
            panic!("not an exec");
        };
        assert_eq!(exe, b"/bin/sh");
        assert_eq!(arguments(args, 11), "sh\0-c\0true");
    }

    #[test]
    fn a_cut_record_is_none() {
        let bytes = exec(b"/bin/sh", b"sh\0");
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn lengths_beyond_the_record_are_none() {
        let mut bytes = exec(b"x", b"y\0");
        let at = size_of::<ExecRecord>() - 16;
        bytes[at..at + 4].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(decode(&bytes), None);
    }

    #[test]
    fn cut_arguments_end_in_an_ellipsis() {
        assert_eq!(arguments(b"ls\0-l", 900), "ls\0-l…");
        assert_eq!(arguments(b"", 0), "");
        assert_eq!(arguments(b"\0\0", 2), "");
        assert_eq!(
            arguments(b"a\0\0b\0", 5),
            "a\0\0b",
            "an empty argument stays"
        );
        assert_eq!(arguments(b"\xff\0", 2), "\u{fffd}");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512), kind in 0u32..12) {
            let mut bytes = bytes;
            if bytes.len() >= 4 {
                bytes[..4].copy_from_slice(&kind.to_ne_bytes());
            }
            if let Some(Record::Exec { args, exec, .. }) = decode(&bytes) {
                arguments(args, exec.args_total);
            }
        }
    }
}
