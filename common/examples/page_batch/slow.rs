//! A minute of two containers that are slow, each for a reason of its own.
//!
//! The cache of one is as large as its limit, so its process waits for memory 40 % of the time. The other
//! loads a database, and its process waits for the disk 65 % of the time.

use bubble_common::batch::Batch;
use bubble_common::segment::Segment;
use bubble_common::segment::file::{File, FileIo, FileKind};
use bubble_common::segment::process::{Cpu, Memory, Process, ProcessId};
use bubble_common::segment::total::Metric;
use bubble_common::segment::wait::{UNIT, Waits};
use bubble_common::segment::{Coverage, facts};

use crate::jobs::{builder, name, sent};

const SECOND: u64 = 1_000_000_000;
const MIB: u64 = 1 << 20;
const SECONDS: u64 = 60;
const LIMIT: u64 = 256 * MIB;

/// What a container does in each second.
struct Slow {
    container: &'static str,
    name: &'static str,
    program: &'static str,
    pid: u32,
    /// Percent of the time in which it waits for memory, and for the disk.
    memory: u64,
    disk: u64,
    in_use: u64,
    file: &'static str,
    io: FileIo,
}

/// The batch of both. They start at `start` (seconds since the Unix epoch), a full minute.
pub(crate) fn batch(start: u64) -> Result<Batch, Box<dyn std::error::Error>> {
    let cache = Slow {
        container: "510e00000001",
        name: "session-cache",
        program: "redis-server",
        pid: 71,
        memory: 40,
        disk: 0,
        in_use: 255 * MIB,
        file: "/data/dump.rdb",
        io: FileIo {
            bytes_out: 4_096,
            ops_out: 1,
            ..FileIo::default()
        },
    };
    let import = Slow {
        container: "510e00000002",
        name: "nightly-import",
        program: "pg_restore",
        pid: 72,
        memory: 0,
        disk: 65,
        in_use: 64 * MIB,
        file: "/backup/shop.dump",
        io: FileIo {
            bytes_in: 40 * MIB,
            ops_in: 320,
            ..FileIo::default()
        },
    };
    let segments = vec![cache.segment(start)?, import.segment(start)?];
    Ok(sent(start + SECONDS, "node5", segments))
}

impl Slow {
    fn segment(&self, start: u64) -> Result<Segment, Box<dyn std::error::Error>> {
        let mut builder = builder(self.container, start, SECONDS)?;
        name(&mut builder, self.name, "registry.example/slow:1", "node5");
        builder.fact(facts::STARTED, (start * SECOND).to_string());
        let id = ProcessId {
            pid: 5_000 + self.pid,
            start: start * SECOND,
            exec: 1,
        };
        let process = builder.process(Process {
            container_pid: self.pid,
            exe: format!("/usr/bin/{}", self.program),
            args: self.program.to_owned(),
            ..Process::new(id, self.program)
        });
        let file = builder.file(File {
            path: self.file.to_owned(),
            kind: FileKind::Regular,
        });
        let percent = |share: u64| share * SECOND / 100;
        for slot in 0..SECONDS as u32 {
            builder.cover(slot, Coverage::SECOND);
            builder.cpu(process, 1, slot, Cpu { ns: SECOND / 5 });
            builder.file_io(process, file, slot, self.io);
            let memory = Memory {
                vm: self.in_use,
                rss: self.in_use,
                swap: 0,
                private: self.in_use,
            };
            builder.memory(process, slot, memory);
            let waits = Waits {
                disk: percent(self.disk) / UNIT,
                other: percent(self.memory) / UNIT,
                events: percent(80 - self.disk - self.memory) / UNIT,
                ..Waits::default()
            };
            builder.waits(process, slot, waits);
            for (metric, value) in [
                (Metric::CPU_USER, SECOND / 5),
                (Metric::MEMORY_CURRENT, self.in_use),
                (Metric::MEMORY_LIMIT, LIMIT),
                (Metric::PRESSURE_MEMORY_SOME, percent(self.memory)),
                (Metric::PRESSURE_IO_SOME, percent(self.disk)),
                (Metric::BLOCK_IN, self.io.bytes_in),
            ] {
                builder.total(metric, slot, value);
            }
        }
        Ok(builder.build())
    }
}
