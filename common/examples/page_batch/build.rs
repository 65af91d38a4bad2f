//! A build of many short processes in one container.
//!
//! `make` starts `gcc` for each source file, [`RATE`] a second, and that `cc1` and `as`: three
//! processes a file. The compiler of unit [`KILLED`] is killed because memory ran out, that of unit
//! [`FAILED`] fails.

use std::ops::Range;

use bubble_common::batch::{AgentReport, Batch};
use bubble_common::segment::builder::Builder;
use bubble_common::segment::event::{Event, EventKind};
use bubble_common::segment::file::{File, FileIo, FileKind};
use bubble_common::segment::process::{Cpu, Exit, Memory, Process, ProcessId};
use bubble_common::segment::total::Metric;
use bubble_common::segment::{ContainerId, Coverage, Key, Resolution, Segment, SourceId, facts};

const SECOND: u64 = 1_000_000_000;
const MIB: u64 = 1 << 20;
const SOURCE: SourceId = SourceId([8; 16]);
const CORES: u64 = 8;
/// Units that start in a second. A minute of them is within the cap of processes that the store has.
const RATE: u64 = 5;
/// The unit whose compiler is killed, and the one whose compiler fails.
const KILLED: u64 = 333;
const FAILED: u64 = 500;
/// Process id of `make`.
const MAKE: u32 = 5_000;

/// The batch of a build of `units` source files that starts at `start` (seconds since the Unix epoch).
pub(crate) fn batch(start: u64, units: u64) -> Result<Batch, Box<dyn std::error::Error>> {
    let end = start + units / RATE + 4;
    let mut segments = Vec::new();
    let mut from = start;
    while from < end {
        let to = (Resolution::Second.packed_start(from) + 60).min(end);
        segments.push(minute(start..end, from..to, units)?);
        from = to;
    }
    Ok(Batch {
        source: SOURCE,
        agent: AgentReport {
            host: "node9".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hooks: "vfs".to_owned(),
            sent_at: end * SECOND,
            cores: CORES as u32,
            ..AgentReport::default()
        },
        segments,
    })
}

/// The part of the build in `span`, within one minute.
fn minute(
    whole: Range<u64>,
    span: Range<u64>,
    units: u64,
) -> Result<Segment, Box<dyn std::error::Error>> {
    let key = Key {
        container: ContainerId::new("b01dfeed2000")?,
        resolution: Resolution::Second,
        start: span.start,
        source: SOURCE,
    };
    let mut build = Build {
        builder: Builder::new(key, (span.end - span.start) as usize),
        span,
    };
    build.run(whole, units);
    Ok(build.builder.build())
}

/// The container while it builds.
struct Build {
    builder: Builder,
    /// Seconds since the Unix epoch.
    span: Range<u64>,
}

/// What a process is and does.
struct Work<'a> {
    pid: u32,
    parent: u32,
    name: &'a str,
    args: String,
    /// Start and end, ns since the Unix epoch.
    life: Range<u64>,
    exit: Exit,
    /// Use of a core while it lives.
    percent: u64,
}

impl Build {
    fn run(&mut self, whole: Range<u64>, units: u64) {
        let (start, end) = (whole.start * SECOND, whole.end * SECOND);
        for (name, value) in [
            (facts::NAME, "kernel-build"),
            (facts::IMAGE, "registry.example/build:12"),
            (facts::HOST, "node9"),
            (facts::RUNTIME, "docker"),
            (facts::HOOKS, "vfs"),
        ] {
            self.builder.fact(name, value);
        }
        self.builder.fact(facts::CORES, CORES.to_string());
        self.builder.fact(facts::STARTED, start.to_string());
        for (slot, at) in (0..).zip(self.span.clone()) {
            self.builder.cover(slot, Coverage::SECOND);
            let memory = (300 + (at - whole.start) * 4) * MIB;
            self.builder.total(Metric::MEMORY_CURRENT, slot, memory);
            self.builder.total(Metric::MEMORY_LIMIT, slot, 1_024 * MIB);
        }
        self.process(Work {
            pid: MAKE,
            parent: 0,
            name: "make",
            args: "make\0-j16".to_owned(),
            life: start..end,
            exit: Exit::Code(2),
            percent: 3,
        });
        for unit in 0..units {
            self.unit(unit, start + unit * SECOND / RATE);
        }
    }

    /// One source file: `gcc`, which runs `cc1`, then `as`.
    fn unit(&mut self, unit: u64, start: u64) {
        let pid = 6_000 + unit as u32 * 3;
        // Between 0.1 and 1.5 s, without an order.
        let middle = start + (unit * 37 % 15 + 1) * SECOND / 10;
        let end = middle + SECOND / 20;
        let exit = match unit {
            KILLED => Exit::Signal(9),
            FAILED => Exit::Code(1),
            _ => Exit::Code(0),
        };
        let source = format!("drivers/net/unit{unit}.c");
        self.process(Work {
            pid,
            parent: MAKE,
            name: "gcc",
            args: format!("gcc\0-O2\0-c\0{source}"),
            life: start..end,
            exit: exit.min(Exit::Code(1)),
            percent: 1,
        });
        let compiler = self.process(Work {
            pid: pid + 1,
            parent: pid,
            name: "cc1",
            args: format!("cc1\0-O2\0{source}\0-o\0/tmp/cc{unit}.s"),
            life: start + SECOND / 100..middle,
            exit,
            percent: 92,
        });
        if let (KILLED, Some(compiler)) = (unit, compiler) {
            self.kill(compiler, middle, &source);
        }
        if exit == Exit::Code(0) {
            self.process(Work {
                pid: pid + 2,
                parent: pid,
                name: "as",
                args: format!("as\0-o\0unit{unit}.o"),
                life: middle..end,
                exit,
                percent: 60,
            });
        }
    }

    /// The kernel kills the compiler of `source` after it read that.
    fn kill(&mut self, compiler: u32, at: u64, source: &str) {
        let slot = self.slot(at);
        if !self.span.contains(&(at / SECOND)) {
            return;
        }
        self.builder.event(Event {
            at,
            kind: EventKind::OOM_KILL,
            process: Some(compiler),
            detail: String::new(),
        });
        let file = self.builder.file(File {
            path: format!("/src/{source}"),
            kind: FileKind::Regular,
        });
        let io = FileIo {
            bytes_in: 20_480,
            ops_in: 5,
            opens: 1,
            ..FileIo::default()
        };
        self.builder.file_io(compiler, file, slot, io);
    }

    /// The slot of a time, within the span.
    fn slot(&self, at: u64) -> u32 {
        (at / SECOND).clamp(self.span.start, self.span.end - 1) as u32 - self.span.start as u32
    }

    /// Adds what a process does in the span. `None` if it does not live in it.
    fn process(&mut self, work: Work<'_>) -> Option<u32> {
        let within = self.span.start * SECOND..self.span.end * SECOND;
        if work.life.start >= within.end || work.life.end <= within.start {
            return None;
        }
        let id = ProcessId {
            pid: work.pid,
            start: work.life.start,
            exec: 1,
        };
        let is_over = work.life.end <= within.end;
        let process = self.builder.process(Process {
            container_pid: work.pid - MAKE + 1,
            parent: work.parent,
            uid: 1_000,
            exe: format!("/usr/bin/{}", work.name),
            args: work.args,
            end: if is_over { work.life.end } else { 0 },
            exit: Some(work.exit).filter(|_| is_over),
            ..Process::new(id, work.name)
        });
        let core = work.pid / 3 % CORES as u32;
        for slot in self.slot(work.life.start)..=self.slot(work.life.end - 1) {
            let from = (self.span.start + u64::from(slot)) * SECOND;
            let lived = work.life.end.min(from + SECOND) - work.life.start.max(from);
            let ns = lived * work.percent / 100;
            self.builder.cpu(process, core, slot, Cpu { ns });
            self.builder.total(Metric::CPU_USER, slot, ns);
            let memory = Memory {
                vm: 90 * MIB,
                rss: 40 * MIB,
                swap: 0,
                private: 30 * MIB,
            };
            self.builder.memory(process, slot, memory);
        }
        Some(process)
    }
}
