//! Writes a batch to standard output: some seconds of one container. Its work depends
//! only on the time, so that the tests of the page know each figure.
//!
//! `cargo run -p bubble-common --example page_batch -- STARTED FROM SECONDS [BURST]`
//! `cargo run -p bubble-common --example page_batch -- build START UNITS`
//! `cargo run -p bubble-common --example page_batch -- jobs START`
//! `cargo run -p bubble-common --example page_batch -- proxy START SECONDS`
//! `cargo run -p bubble-common --example page_batch -- slow START`
//!
//! `build`: a build of UNITS source files that starts at START ([`build`]).
//! `jobs`: a night of 300 jobs; `proxy`: what is at the other end of the shop's connections ([`jobs`]).
//! `slow`: a minute of two containers that wait, one for memory and one for the disk ([`slow`]).
//!
//! STARTED is when the container started, FROM the first second of the batch
//! (both seconds since the Unix epoch). BURST adds CPU time, in percent of a core.
//! [`Scene::second`] defines the content of a second.

mod build;
mod jobs;
mod slow;

use std::io::Write as _;

use bubble_common::batch::{AgentReport, Batch};
use bubble_common::segment::builder::Builder;
use bubble_common::segment::event::{Event, EventKind};
use bubble_common::segment::file::{File, FileIo, FileKind};
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::network::{Address, Connection, NetworkIo, Protocol, Role};
use bubble_common::segment::process::{Cpu, Exit, Memory, Process, ProcessId};
use bubble_common::segment::total::Metric;
use bubble_common::segment::{ContainerId, Coverage, Key, Resolution, Segment, SourceId, facts};

const SECOND: u64 = 1_000_000_000;
const MIB: u64 = 1 << 20;
const SOURCE: SourceId = SourceId([7; 16]);
/// Seconds of its life in which the agent was away, so they are a gap.
const AWAY: std::ops::Range<u64> = 120..140;
/// Seconds of its life in which core 3 is always busy.
const PINNED: std::ops::Range<u64> = 60..90;
/// The second of its life in which the OOM killer ends a process.
const OUT_OF_MEMORY: u64 = 200;
/// Interval of the builds in seconds, and the number of compilers in each.
const BUILD_EVERY: u64 = 10;
const BUILDS: u64 = 8;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let kind = words
        .first()
        .filter(|word| ["build", "jobs", "proxy", "slow"].contains(&word.as_str()));
    let mut numbers = Vec::new();
    for word in words.iter().skip(kind.is_some().into()) {
        numbers.push(
            word.parse::<u64>()
                .map_err(|_| format!("{word:?} is not a number"))?,
        );
    }
    let batch = match (kind.map(String::as_str), &numbers[..]) {
        (Some("build"), [start, units]) => build::batch(*start, *units)?,
        (Some("jobs"), [start]) => jobs::batch(*start)?,
        (Some("slow"), [start]) => slow::batch(*start)?,
        (Some("proxy"), [start, seconds]) => jobs::proxy(*start, *seconds)?,
        (None, [started, from, seconds]) => shop(*started, *from, *seconds, 0)?,
        (None, [started, from, seconds, burst]) => shop(*started, *from, *seconds, *burst)?,
        _ => {
            return Err(
                "usage: page_batch STARTED FROM SECONDS [BURST] | build START UNITS | jobs START | proxy START SECONDS | slow START".into(),
            );
        }
    };
    std::io::stdout().write_all(&batch.encode())?;
    Ok(())
}

/// Some seconds of a web shop.
fn shop(
    started: u64,
    from: u64,
    seconds: u64,
    burst: u64,
) -> Result<Batch, Box<dyn std::error::Error>> {
    Ok(Batch {
        source: SOURCE,
        agent: report(from + seconds),
        segments: segments(started, from, seconds, burst)?,
    })
}

fn report(now: u64) -> AgentReport {
    AgentReport {
        host: "node7".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: "6.12.0-example".to_owned(),
        hooks: "syscall".to_owned(),
        missing: vec!["trampolines are refused: files cost more to count".to_owned()],
        sent_at: now * SECOND,
        cores: 4,
        memory: 8192 * MIB,
        cpu_ns: now % 1_000_000 * 4_000_000,
        rss: 23 * MIB,
        kernel_ns: now % 1_000_000 * 1_000_000,
        spooled: 0,
        dropped: 0,
    }
}

/// One segment for each minute that the span touches, as the store packs them.
fn segments(
    started: u64,
    from: u64,
    seconds: u64,
    burst: u64,
) -> Result<Vec<Segment>, Box<dyn std::error::Error>> {
    let mut segments = Vec::new();
    let mut start = from;
    let end = from + seconds;
    while start < end {
        let next = (Resolution::Second.packed_start(start) + 60).min(end);
        let key = Key {
            container: ContainerId::new("c0ffee123456")?,
            resolution: Resolution::Second,
            start,
            source: SOURCE,
        };
        let mut builder = Builder::new(key, (next - start) as usize);
        for at in start..next {
            let age = at.saturating_sub(started);
            if !AWAY.contains(&age) {
                let slot = (at - start) as u32;
                Scene {
                    builder: &mut builder,
                    started,
                    at,
                    age,
                    slot,
                    burst,
                }
                .second();
            }
        }
        facts(&mut builder, started);
        segments.push(builder.build());
        start = next;
    }
    Ok(segments)
}

fn facts(builder: &mut Builder, started: u64) {
    for (name, value) in [
        (facts::NAME, "shop-web-1"),
        (facts::IMAGE, "registry.example/shop/web:2.4"),
        (facts::HOST, "node7"),
        (facts::RUNTIME, "docker"),
        (facts::HOOKS, "syscall"),
        (facts::CORES, "4"),
        ("label.com.example.team", "checkout"),
        ("label.stranger", "<b>not bold</b>"),
    ] {
        builder.fact(name, value);
    }
    builder.fact(facts::HOST_MEMORY, (8192 * MIB).to_string());
    builder.fact(facts::STARTED, (started * SECOND).to_string());
}

/// One second of the container's life.
struct Scene<'a> {
    builder: &'a mut Builder,
    started: u64,
    at: u64,
    age: u64,
    slot: u32,
    burst: u64,
}

impl Scene<'_> {
    fn second(mut self) {
        self.builder.cover(self.slot, Coverage::SECOND);
        let init = self.process(
            1,
            0,
            "sh",
            &["sh", "-c", "exec /srv/start.sh 'all of it'"],
            0,
        );
        self.memory(init, 2 * MIB);
        let mut used = self.web() + self.database() + self.build() + self.hostile_names();
        used += self.burn();
        self.totals(used);
        if self.age == 0 {
            self.event(EventKind::CONTAINER_START, None, "");
        }
    }

    /// A web server: per second and worker 10 reads of 4,096 bytes of a page, 10
    /// lines of 100 bytes to its log, 12,288 bytes to one of three peers.
    fn web(&mut self) -> u64 {
        let master = self.process(20, 1, "nginx", &["nginx: master process", "nginx"], 1);
        self.memory(master, 6 * MIB);
        let page = self.file("/var/www/shop/index.html", FileKind::Regular);
        let log = self.file("/var/log/nginx/access.log", FileKind::Regular);
        let mut used = 0;
        for worker in 0..2 {
            let process = self.process(21 + worker, 20, "nginx", &["nginx: worker process"], 1);
            // A wave of a minute between 10 and 50 % of a core.
            let wave = (30 - (self.at % 60) as i64).unsigned_abs();
            used += self.cpu(
                process,
                worker,
                (100_000_000 + wave * 13_000_000) / u64::from(worker + 1),
            );
            self.memory(process, 24 * MIB);
            self.io(
                process,
                page,
                FileIo {
                    bytes_in: 40_960,
                    ops_in: 10,
                    opens: 10,
                    ..FileIo::default()
                },
            );
            self.io(
                process,
                log,
                FileIo {
                    bytes_out: 1_000,
                    ops_out: 10,
                    ..FileIo::default()
                },
            );
            let peer = format!("10.1.0.{}", 2 + self.at % 3);
            let connection = self.tcp(Role::Server, ("10.1.0.9", 443), (&peer, 40_000));
            let value = NetworkIo {
                bytes_in: 2_000,
                bytes_out: 12_288,
                ops_in: 10,
                ops_out: 10,
                connects: 1,
                failures: 0,
                waited: 0,
            };
            self.builder
                .network_io(process, connection, self.slot, value);
        }
        used
    }

    /// A database on core 3. It grows by 1 MiB a second, is always busy in [`PINNED`], writes
    /// 1 MiB of its table each fifth second, and connects to a peer that refuses.
    fn database(&mut self) -> u64 {
        let process = self.process(40, 1, "postgres", &["postgres", "-D", "/var/lib/db"], 2);
        let busy = if PINNED.contains(&self.age) {
            1_000_000_000
        } else {
            120_000_000
        };
        self.memory(process, (60 + self.age.min(180)) * MIB);
        if self.at.is_multiple_of(5) {
            let table = self.file("/var/lib/db/base/16384/2619", FileKind::Regular);
            self.io(
                process,
                table,
                FileIo {
                    bytes_out: MIB,
                    ops_out: 128,
                    opens: 1,
                    ..FileIo::default()
                },
            );
        }
        let library = self.file("/usr/lib/libssl.so.3", FileKind::Regular);
        self.io(
            process,
            library,
            FileIo {
                bytes_in: 832,
                ops_in: 1,
                opens: 1,
                ..FileIo::default()
            },
        );
        let socket = Connection {
            protocol: Protocol::UnixStream,
            role: Role::Server,
            local: Address::Path("/run/postgresql/.s.PGSQL.5432".to_owned()),
            peer: Address::None,
        };
        let socket = self.builder.connection(socket);
        let value = NetworkIo {
            bytes_in: 4_000,
            bytes_out: 64_000,
            ops_in: 20,
            ops_out: 20,
            ..NetworkIo::default()
        };
        self.builder.network_io(process, socket, self.slot, value);
        if self.at.is_multiple_of(30) {
            let peer = self.tcp(Role::Client, ("10.1.0.9", 51_000), ("10.9.9.9", 5_432));
            let value = NetworkIo {
                failures: 1,
                ..NetworkIo::default()
            };
            self.builder.network_io(process, peer, self.slot, value);
            self.event(EventKind::CONNECTION_FAILED, Some(process), "10.9.9.9:5432");
        }
        if self.age == OUT_OF_MEMORY {
            self.event(EventKind::OOM_KILL, Some(process), "");
        }
        self.cpu(process, 3, busy)
    }

    /// Each tenth second `make` starts compilers that live 60 ms. The first one in a minute fails.
    fn build(&mut self) -> u64 {
        let make = self.process(60, 1, "make", &["make", "-j8"], 3);
        self.memory(make, 3 * MIB);
        if !self.at.is_multiple_of(BUILD_EVERY) {
            return 0;
        }
        let mut used = 0;
        for n in 0..BUILDS {
            let start = self.at * SECOND + n * 100_000_000;
            let id = ProcessId {
                pid: (10_000 + self.age * 10 + n) as u32,
                start,
                exec: 1,
            };
            let failed = n == 0 && self.at.is_multiple_of(60);
            let process = self.builder.process(Process {
                container_pid: (100 + self.age * 10 + n) as u32,
                parent: 1_060,
                exe: "/usr/libexec/cc1".to_owned(),
                args: format!("cc1\0-O2\0part{n}.c"),
                end: start + 60_000_000,
                exit: Some(Exit::Code(u8::from(failed))),
                ..Process::new(id, "cc1")
            });
            used += self.cpu(process, (n % 4) as u32, 50_000_000);
            self.memory(process, 18 * MIB);
            let source = self.file(&format!("/home/build/src/part{n}.c"), FileKind::Regular);
            let object = self.file(&format!("/home/build/out/part{n}.o"), FileKind::Regular);
            self.io(
                process,
                source,
                FileIo {
                    bytes_in: 30_000,
                    ops_in: 8,
                    opens: 1,
                    ..FileIo::default()
                },
            );
            self.io(
                process,
                object,
                FileIo {
                    bytes_out: 12_000,
                    ops_out: 3,
                    opens: 1,
                    ..FileIo::default()
                },
            );
        }
        used
    }

    /// A process with HTML in all of its names. The page must show them as text.
    fn hostile_names(&mut self) -> u64 {
        let args = [
            "<img src=x onerror=alert(1)>",
            "\"><script>alert(2)</script>",
        ];
        let process = self.process(80, 1, "<i>evil</i>", &args, 4);
        let file = self.file("/tmp/<script>alert(3)</script>", FileKind::Regular);
        self.io(
            process,
            file,
            FileIo {
                bytes_out: 77,
                ops_out: 1,
                ..FileIo::default()
            },
        );
        self.memory(process, MIB);
        self.cpu(process, 2, 20_000_000)
    }

    /// Adds the CPU time of BURST on core 2.
    fn burn(&mut self) -> u64 {
        if self.burst == 0 {
            return 0;
        }
        let process = self.process(90, 1, "burn", &["burn", "--now"], 5);
        self.memory(process, MIB);
        self.cpu(process, 2, self.burst * 10_000_000)
    }

    /// The totals of the cgroup.
    fn totals(&mut self, used: u64) {
        let anon = (110 + self.age.min(180)) * MIB;
        let cache = (40 + self.age.min(100) / 2) * MIB;
        let throttled = if PINNED.contains(&self.age) {
            250_000_000
        } else {
            0
        };
        for (metric, value) in [
            (Metric::CPU_USER, used * 3 / 4),
            (Metric::CPU_SYSTEM, used - used * 3 / 4),
            (Metric::CPU_THROTTLED, throttled),
            (Metric::CPU_LIMIT, 3_000),
            (Metric::MEMORY_CURRENT, anon + cache),
            (Metric::MEMORY_ANON, anon),
            (Metric::MEMORY_FILE, cache),
            (Metric::MEMORY_LIMIT, 512 * MIB),
            (Metric::BLOCK_OUT, 262_144),
            (Metric::TASKS, 9),
        ] {
            self.builder.total(metric, self.slot, value);
        }
        if self.age == 210 {
            self.builder.loss(
                Reason::PATH_UNKNOWN,
                self.slot,
                Loss {
                    count: 3,
                    bytes: 4_096,
                },
            );
        }
        if self.age == OUT_OF_MEMORY {
            self.builder.total(Metric::OOM_KILLS, self.slot, 1);
        }
    }

    /// A process that lives as long as the container.
    fn process(&mut self, pid: u32, parent: u32, name: &str, args: &[&str], began: u64) -> u32 {
        let id = ProcessId {
            pid: 1_000 + pid,
            start: self.started * SECOND + began * 200_000_000,
            exec: 1,
        };
        self.builder.process(Process {
            container_pid: pid,
            parent: if parent == 0 { 0 } else { 1_000 + parent },
            exe: format!("/usr/bin/{name}"),
            args: args.join("\0"),
            ..Process::new(id, name)
        })
    }

    fn file(&mut self, path: &str, kind: FileKind) -> u32 {
        self.builder.file(File {
            path: path.to_owned(),
            kind,
        })
    }

    fn tcp(&mut self, role: Role, local: (&str, u16), peer: (&str, u16)) -> u32 {
        let address =
            |(ip, port): (&str, u16)| ip.parse().map_or(Address::None, |ip| Address::Ip(ip, port));
        self.builder.connection(Connection {
            protocol: Protocol::Tcp,
            role,
            local: address(local),
            peer: address(peer),
        })
    }

    fn cpu(&mut self, process: u32, core: u32, ns: u64) -> u64 {
        self.builder.cpu(process, core, self.slot, Cpu { ns });
        ns
    }

    fn memory(&mut self, process: u32, rss: u64) {
        self.builder.memory(
            process,
            self.slot,
            Memory {
                vm: 4 * rss,
                rss,
                swap: 0,
                private: rss,
            },
        );
    }

    fn io(&mut self, process: u32, file: u32, value: FileIo) {
        self.builder.file_io(process, file, self.slot, value);
    }

    fn event(&mut self, kind: EventKind, process: Option<u32>, detail: &str) {
        let at = self.at * SECOND + SECOND / 2;
        self.builder.event(Event {
            at,
            kind,
            process,
            detail: detail.to_owned(),
        });
    }
}
