//! A night of jobs, each in a container of its own, and a proxy of the shop.
//!
//! All jobs run for a minute and end well, but for job [`KILLED`]: it grows until the kernel kills it.

use bubble_common::batch::{AgentReport, Batch};
use bubble_common::segment::builder::Builder;
use bubble_common::segment::event::{Event, EventKind};
use bubble_common::segment::network::{Address, Connection, NetworkIo, Protocol, Role};
use bubble_common::segment::process::{Cpu, Exit, Memory, Process, ProcessId};
use bubble_common::segment::total::Metric;
use bubble_common::segment::{ContainerId, Coverage, Key, Resolution, Segment, SourceId, facts};

const SECOND: u64 = 1_000_000_000;
const MIB: u64 = 1 << 20;
const SOURCE: SourceId = SourceId([9; 16]);
const JOBS: u64 = 300;
/// The job that is killed, and the second of its life in which it is.
const KILLED: u64 = 217;
const KILLED_AT: u64 = 41;
const LIMIT: u64 = 800 * MIB;

/// The batch of all jobs. They start at `start` (seconds since the Unix epoch), a full minute.
pub(crate) fn batch(start: u64) -> Result<Batch, Box<dyn std::error::Error>> {
    let mut segments = Vec::new();
    for job in 0..JOBS {
        segments.push(segment(start, job)?);
    }
    Ok(sent(start + 60, "node3", segments))
}

/// Some seconds of the proxy in front of the shop, which has the other end of its connections.
pub(crate) fn proxy(start: u64, seconds: u64) -> Result<Batch, Box<dyn std::error::Error>> {
    let mut builder = builder("b0bb1ed0cafe", start, seconds.min(60))?;
    name(
        &mut builder,
        "shop-proxy",
        "registry.example/proxy:1",
        "node7",
    );
    let process = process(&mut builder, 30, start, None);
    let connection = builder.connection(Connection {
        protocol: Protocol::Tcp,
        role: Role::Client,
        local: Address::Ip("10.1.0.2".parse()?, 40_000),
        peer: Address::Ip("10.1.0.9".parse()?, 443),
    });
    let io = NetworkIo {
        bytes_in: 12_288,
        ops_in: 10,
        ..NetworkIo::default()
    };
    for slot in 0..seconds.min(60) as u32 {
        builder.cover(slot, Coverage::SECOND);
        builder.network_io(process, connection, slot, io);
    }
    Ok(sent(start + seconds, "node7", vec![builder.build()]))
}

pub(crate) fn sent(at: u64, host: &str, segments: Vec<Segment>) -> Batch {
    Batch {
        source: SOURCE,
        agent: AgentReport {
            host: host.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hooks: "vfs".to_owned(),
            sent_at: at * SECOND,
            cores: 16,
            ..AgentReport::default()
        },
        segments,
    }
}

pub(crate) fn builder(
    container: &str,
    start: u64,
    slots: u64,
) -> Result<Builder, Box<dyn std::error::Error>> {
    let key = Key {
        container: ContainerId::new(container)?,
        resolution: Resolution::Second,
        start,
        source: SOURCE,
    };
    Ok(Builder::new(key, slots as usize))
}

pub(crate) fn name(builder: &mut Builder, name: &str, image: &str, host: &str) {
    for (fact, value) in [
        (facts::NAME, name),
        (facts::IMAGE, image),
        (facts::HOST, host),
        (facts::RUNTIME, "docker"),
        (facts::HOOKS, "vfs"),
    ] {
        builder.fact(fact, value);
    }
}

fn process(builder: &mut Builder, pid: u32, start: u64, end: Option<(u64, Exit)>) -> u32 {
    let id = ProcessId {
        pid: 4_000 + pid,
        start: start * SECOND,
        exec: 1,
    };
    builder.process(Process {
        container_pid: pid,
        exe: "/usr/bin/python3".to_owned(),
        args: format!("python3\0train.py\0--fold={pid}"),
        end: end.map_or(0, |(end, _)| end),
        exit: end.map(|(_, exit)| exit),
        ..Process::new(id, "python3")
    })
}

/// A job. Its label says whose it is: every tenth belongs to the team `ml`.
fn segment(start: u64, job: u64) -> Result<Segment, Box<dyn std::error::Error>> {
    let is_killed = job == KILLED;
    let seconds = if is_killed { KILLED_AT + 1 } else { 60 };
    let mut builder = builder(&format!("10b{job:09}"), start, seconds)?;
    name(
        &mut builder,
        &format!("train-{job}"),
        &format!("registry.example/train:{}", job % 7),
        "node3",
    );
    builder.fact("label.team", if job % 10 == 7 { "ml" } else { "web" });
    let end = start * SECOND + (seconds - 1) * SECOND + SECOND / 2;
    let exit = if is_killed {
        Exit::Signal(9)
    } else {
        Exit::Code(0)
    };
    builder.fact(facts::STARTED, (start * SECOND).to_string());
    builder.fact(facts::ENDED, end.to_string());
    builder.fact(facts::EXIT_CODE, if is_killed { "137" } else { "0" });
    let process = process(&mut builder, job as u32, start, Some((end, exit)));
    for slot in 0..seconds {
        let rss = if is_killed { 390 + slot * 10 } else { 60 } * MIB;
        let slot = slot as u32;
        builder.cover(slot, Coverage::SECOND);
        builder.cpu(process, (job % 16) as u32, slot, Cpu { ns: SECOND / 4 });
        builder.total(Metric::CPU_USER, slot, SECOND / 4);
        builder.total(Metric::MEMORY_CURRENT, slot, rss);
        builder.total(Metric::MEMORY_LIMIT, slot, LIMIT);
        let memory = Memory {
            vm: rss,
            rss,
            swap: 0,
            private: rss,
        };
        builder.memory(process, slot, memory);
    }
    if is_killed {
        builder.fact(facts::OOM_KILLED, "true");
        builder.event(Event {
            at: end,
            kind: EventKind::OOM_KILL,
            process: Some(process),
            detail: String::new(),
        });
        builder.total(Metric::OOM_KILLS, KILLED_AT as u32, 1);
    }
    Ok(builder.build())
}
