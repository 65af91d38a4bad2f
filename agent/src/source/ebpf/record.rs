//! Decodes records of the ring buffer. Lengths are checked against the bytes, and text need not
//! be UTF-8.

use bubble_common::kernel::Plain;
use bubble_common::kernel::cgroup::CgroupRecord;
use bubble_common::kernel::network::NetworkRecord;
use bubble_common::kernel::process::{Comm, ExecRecord, ExitRecord, ProcessRecord};
use bubble_common::kernel::record::{Header, Kind};

use crate::printable::escape_bytes;

/// A record with its texts.
#[derive(Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A process was forked, renamed, moved into a cgroup or found alive: see the kind in its header.
    Process(ProcessRecord),
    /// A process runs another program.
    Exec {
        /// The record.
        exec: ExecRecord,
        /// Path of the file that runs.
        exe: &'a [u8],
        /// Arguments, NUL after each.
        args: &'a [u8],
    },
    /// A process ended.
    Exit(ExitRecord),
    /// A process is about to be killed, as memory ran out.
    Oom(Header),
    /// A cgroup was created or removed: see the kind in its header.
    Cgroup {
        /// The record.
        cgroup: CgroupRecord,
        /// Its path from the root of its hierarchy.
        path: &'a [u8],
    },
    /// A connection failed.
    Failed(NetworkRecord),
    /// A record of an unknown kind.
    Other(Header, &'a [u8]),
}

/// Decodes a record. `None` when it is too short.
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
    escape_bytes(&bytes[..end])
}

/// The kernel's name of a process.
pub fn name(comm: &Comm) -> String {
    text(comm)
}

#[cfg(test)]
mod tests {
    use bubble_common::kernel::Plain;
    use bubble_common::kernel::process::ExecRecord;
    use bubble_common::kernel::record::Kind;
    use proptest::prelude::{any, proptest};

    use super::{Record, decode};
    use crate::proc::arguments;

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
    fn an_exec_is_decoded() {
        let bytes = exec(b"/bin/sh", b"sh\0-c\0true\0");
        let Some(Record::Exec { exe, args, .. }) = decode(&bytes) else {
            panic!("not an exec");
        };
        assert_eq!(exe, b"/bin/sh");
        assert_eq!(arguments(args, 11), "sh\0-c\0true");
    }

    #[test]
    fn a_short_record_is_refused() {
        let bytes = exec(b"/bin/sh", b"sh\0");
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn lengths_beyond_the_record_are_refused() {
        let mut bytes = exec(b"x", b"y\0");
        let at = size_of::<ExecRecord>() - 16;
        bytes[at..at + 4].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(decode(&bytes), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512), kind in 0u32..12) {
            let mut bytes = bytes;
            if bytes.len() >= 4 {
                bytes[..4].copy_from_slice(&kind.to_ne_bytes());
            }
            if let Some(Record::Exec { args, exec, .. }) = decode(&bytes) {
                arguments(args, exec.args_total.into());
            }
        }
    }
}
