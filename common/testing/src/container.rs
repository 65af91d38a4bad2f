//! Generates the segments of a realistic container from a seed, for benchmarks and tests.
//!
//! The sizes in the documents are measured on it, so it must not flatter the codec:
//! CPU time is random to the nanosecond around a drifting load, threads migrate
//! between cores, traffic is random to the byte, log lines have any length.
//! It is regular only where real containers are: reads of whole blocks, memory in
//! pages, cgroup times in microseconds, idle processes and files.

use std::net::{IpAddr, Ipv4Addr};

use bubble_common::segment::builder::Builder;
use bubble_common::segment::file::{File, FileIo, FileKind};
use bubble_common::segment::network::{Address, Connection, NetworkIo, Protocol, Role};
use bubble_common::segment::process::{Cpu, Memory, Process, ProcessId};
use bubble_common::segment::total::Metric;
use bubble_common::segment::wait::{UNIT, Waits};
use bubble_common::segment::{ContainerId, Coverage, Key, Resolution, Segment, SourceId, facts};

/// Size of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Number of processes.
    pub processes: u32,
    /// Number of cores.
    pub cores: u32,
    /// Number of files.
    pub files: u32,
    /// Number of connections.
    pub peers: u32,
}

impl Size {
    /// A busy container, as in the project's goals: 20 processes, 4 cores, 30 files, 10 peers.
    pub const BUSY: Self = Self {
        processes: 20,
        cores: 4,
        files: 30,
        peers: 10,
    };

    /// A quiet container: 3 processes, 2 files, 1 peer.
    pub const QUIET: Self = Self {
        processes: 3,
        cores: 2,
        files: 2,
        peers: 1,
    };
}

/// A generated container. Each call of [`Self::seconds`] continues its life.
#[derive(Debug, Clone)]
pub struct Container {
    random: Random,
    cores: u32,
    key: Key,
    processes: Vec<ProcessModel>,
    files: Vec<FileModel>,
    peers: Vec<PeerModel>,
    /// Page cache in pages.
    cache: u64,
    /// Whether each second has the same work.
    is_steady: bool,
}

#[derive(Debug, Clone)]
struct ProcessModel {
    row: Process,
    /// Share of the seconds in which it runs.
    presence: f64,
    /// CPU time of a usual second, ns.
    usual: f64,
    /// Current deviation from the usual, as a logarithm.
    drift: f64,
    core: u32,
    vm: u64,
    rss: u64,
    /// Resident pages of files, in bytes.
    shared: u64,
    threads: u32,
}

impl ProcessModel {
    /// The waits of a second in which it ran for `ns`: most for requests, some for a core, sockets and
    /// files, and the other threads for a lock.
    fn waits(&self, random: &mut Random, ns: u64) -> Waits {
        let left = (1_000_000_000 - ns.min(1_000_000_000)) / UNIT;
        let core = (random.unit() * 0.1 * (ns / UNIT) as f64) as u64;
        let (network, disk) = (random.unit() * random.unit(), random.unit());
        let network = (network * 0.3 * left as f64) as u64;
        let disk = if disk < 0.3 {
            (disk * 0.1 * left as f64) as u64
        } else {
            0
        };
        Waits {
            core,
            disk,
            network,
            lock: u64::from(self.threads - 1) * 10_000,
            events: left.saturating_sub(core + network + disk),
            ..Waits::default()
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Pattern {
    /// Whole blocks of this many bytes.
    Blocks(u64),
    /// Lines of any length.
    Lines,
    /// All of a small file at each open.
    Whole(u64),
}

#[derive(Debug, Clone)]
struct FileModel {
    row: File,
    process: usize,
    pattern: Pattern,
    written: bool,
    presence: f64,
    /// Calls of a usual second.
    usual: f64,
}

#[derive(Debug, Clone)]
struct PeerModel {
    row: Connection,
    process: usize,
    presence: f64,
    usual: f64,
    request: f64,
    response: f64,
}

const NAMES: [&str; 8] = [
    "nginx",
    "postgres",
    "python3",
    "java",
    "node",
    "redis-server",
    "sh",
    "cron",
];

impl Container {
    /// The container with the number `seed`. Its first second is `start` (seconds since the Unix epoch).
    pub fn new(seed: u64, start: u64, size: Size) -> Self {
        let mut random = Random(seed);
        let mut source = [0; 16];
        source[..8].copy_from_slice(&random.next().to_le_bytes());
        source[8..].copy_from_slice(&random.next().to_le_bytes());
        let id = format!("{:012x}", random.next() >> 16);
        let key = Key {
            container: ContainerId::new(&id).unwrap_or_else(|_| unreachable!("12 hex digits")),
            resolution: Resolution::Second,
            start,
            source: SourceId(source),
        };
        let processes: Vec<ProcessModel> = (0..size.processes)
            .map(|number| process(&mut random, number, start, size.cores))
            .collect();
        let owner = |random: &mut Random| {
            // Processes with a low number do most of the work.
            let share = random.unit() * random.unit();
            (share * f64::from(size.processes)) as usize
        };
        let files = (0..size.files)
            .map(|number| {
                let process = owner(&mut random);
                file(&mut random, number, process)
            })
            .collect();
        let peers = (0..size.peers)
            .map(|number| {
                let process = owner(&mut random);
                peer(&mut random, number, process)
            })
            .collect();
        let cache = 20_000 + random.below(80_000);
        Self {
            random,
            cores: size.cores,
            key,
            processes,
            files,
            peers,
            cache,
            is_steady: false,
        }
    }

    /// Makes each second like the others: every process, file and connection is used as much as usual,
    /// and memory stays. CPU time varies by some percent, as that of a real program does.
    #[must_use]
    pub fn steady(mut self) -> Self {
        self.is_steady = true;
        for process in &mut self.processes {
            (process.presence, process.drift) = (1.0, 0.0);
        }
        self.files.iter_mut().for_each(|file| file.presence = 1.0);
        self.peers.iter_mut().for_each(|peer| peer.presence = 1.0);
        self
    }

    /// Its id.
    pub fn id(&self) -> &ContainerId {
        &self.key.container
    }

    /// Start of the next second.
    pub fn now(&self) -> u64 {
        self.key.start
    }

    /// The next `slots` seconds as one segment.
    pub fn seconds(&mut self, slots: u32) -> Segment {
        let mut builder = Builder::new(self.key.clone(), slots as usize);
        builder.fact(facts::NAME, format!("shop-{}-1", self.key.container));
        builder.fact(facts::IMAGE, "registry.example.org/shop/backend:2.14.1");
        builder.fact(facts::HOST, "node7.example.org");
        builder.fact(facts::RUNTIME, "docker");
        builder.fact(
            facts::CGROUP,
            format!("/system.slice/docker-{}.scope", self.key.source),
        );
        builder.fact(facts::STARTED, "1789990000123456789");
        builder.fact(facts::HOOKS, "syscall");
        builder.fact(facts::CORES, "4");
        for slot in 0..slots {
            self.second(&mut builder, slot);
        }
        self.key.start += u64::from(slots);
        builder.build()
    }

    fn second(&mut self, builder: &mut Builder, slot: u32) {
        builder.cover(slot, Coverage::SECOND);
        let indices: Vec<u32> = (self.processes.iter())
            .map(|model| builder.process(model.row.clone()))
            .collect();
        let used = self.run_processes(builder, slot, &indices);
        let blocks_out = self.use_files(builder, slot, &indices);
        self.use_peers(builder, slot, &indices);
        self.totals(builder, slot, used, blocks_out);
    }

    /// Adds the CPU time and memory of all processes. Returns the CPU time, ns.
    fn run_processes(&mut self, builder: &mut Builder, slot: u32, indices: &[u32]) -> u64 {
        let random = &mut self.random;
        let mut used = 0;
        for (model, &index) in self.processes.iter_mut().zip(indices) {
            model.drift = match self.is_steady {
                true => 0.05 * random.normal(),
                false => 0.9 * model.drift + 0.25 * random.normal(),
            };
            if random.unit() > model.presence {
                let idle = Waits {
                    events: u64::from(model.threads) * 10_000,
                    ..Waits::default()
                };
                builder.waits(index, slot, idle);
                continue;
            }
            // A process has at most one core.
            let ns = (model.usual * exp(model.drift)).min(9.6e8) as u64 + random.below(2_000);
            used += ns;
            let mut left = ns;
            while left > 0 {
                // One stay on a core or a few; a thread that migrates continues on another core.
                let stay = if self.is_steady || random.unit() < 0.7 {
                    left
                } else {
                    random.below(left) + 1
                };
                builder.cpu(index, model.core, slot, Cpu { ns: stay });
                left -= stay;
                if left > 0 || !self.is_steady && random.unit() < 0.05 {
                    model.core = random.below(u64::from(self.cores)) as u32;
                }
            }
            builder.waits(index, slot, model.waits(random, ns));
            if !self.is_steady && random.unit() < 0.15 {
                let pages = (random.normal() * 40.0) as i64;
                model.rss = model.rss.saturating_add_signed(pages * 4_096).max(1 << 20);
            }
            if !self.is_steady && random.unit() < 0.01 {
                model.vm += 4_096 * random.below(512);
            }
            let value = Memory {
                vm: model.vm,
                rss: model.rss,
                swap: 0,
                private: model.rss,
            };
            builder.memory(index, slot, value.with_shared(model.shared));
        }
        used
    }

    /// Adds the I/O of all files. Returns the number of blocks written.
    fn use_files(&mut self, builder: &mut Builder, slot: u32, indices: &[u32]) -> u64 {
        let random = &mut self.random;
        let mut blocks_out = 0;
        for model in &self.files {
            if random.unit() > model.presence {
                continue;
            }
            let ops = match self.is_steady {
                true => model.usual as u64,
                false => random.around(model.usual),
            };
            let (bytes, opens) = match model.pattern {
                Pattern::Blocks(block) => {
                    // Sometimes the last block of the file, which is shorter.
                    let end = if !self.is_steady && random.unit() < 0.1 {
                        random.below(block)
                    } else {
                        0
                    };
                    let opens = !self.is_steady && random.unit() < 0.05;
                    (ops * block - end, u64::from(opens))
                }
                Pattern::Lines if self.is_steady => (ops * 150, 0),
                Pattern::Lines => ((0..ops).map(|_| 60 + random.below(180)).sum(), 0),
                Pattern::Whole(length) => (ops * length, ops),
            };
            let value = if model.written {
                blocks_out += bytes.div_ceil(4_096);
                FileIo {
                    bytes_out: bytes,
                    ops_out: ops,
                    opens,
                    ..FileIo::default()
                }
            } else {
                FileIo {
                    bytes_in: bytes,
                    ops_in: ops,
                    opens,
                    ..FileIo::default()
                }
            };
            let file = builder.file(model.row.clone());
            builder.file_io(indices[model.process], file, slot, value);
        }
        blocks_out
    }

    /// Adds the I/O of all connections.
    fn use_peers(&mut self, builder: &mut Builder, slot: u32, indices: &[u32]) {
        let random = &mut self.random;
        for model in &self.peers {
            if random.unit() > model.presence {
                continue;
            }
            let is_steady = self.is_steady;
            let around = |random: &mut Random, usual: f64| match is_steady {
                true => usual as u64,
                false => random.around(usual),
            };
            let calls = around(random, model.usual);
            let mut bytes = |usual: f64| (0..calls).map(|_| around(random, usual)).sum();
            let (bytes_in, bytes_out) = (bytes(model.request), bytes(model.response));
            let extra = match is_steady {
                true => 0,
                false => random.below(1 + calls / 4),
            };
            let value = NetworkIo {
                bytes_in,
                bytes_out,
                ops_in: calls + extra,
                ops_out: calls,
                connects: 0,
                failures: 0,
                waited: 0,
            };
            let connection = builder.connection(model.row.clone());
            builder.network_io(indices[model.process], connection, slot, value);
        }
    }

    fn totals(&mut self, builder: &mut Builder, slot: u32, used: u64, blocks_out: u64) {
        let random = &mut self.random;
        let system = (used as f64 * (0.2 + 0.1 * random.unit())) as u64 / 1_000 * 1_000;
        let user = (used - system + random.below(100_000)) / 1_000 * 1_000;
        let anon: u64 = self.processes.iter().map(|model| model.rss).sum();
        self.cache += random.below(20);
        let pressure = random.around(300.0 + used as f64 / 1e6) * 1_000;
        // The kernel writes back every few seconds.
        let written = if random.unit() < 0.2 {
            blocks_out * 3
        } else {
            0
        };
        let tasks = 3 * self.processes.len() as u64 + random.below(12) / 11;
        let rows = [
            (Metric::CPU_USER, user),
            (Metric::CPU_SYSTEM, system),
            (Metric::CPU_THROTTLED, 0),
            (Metric::CPU_THROTTLED_PERIODS, 0),
            (Metric::BLOCK_IN, 0),
            (Metric::BLOCK_OUT, written * 4_096),
            (Metric::BLOCK_IN_OPS, 0),
            (Metric::BLOCK_OUT_OPS, written.div_ceil(16)),
            (Metric::PRESSURE_CPU_SOME, pressure),
            (Metric::PRESSURE_MEMORY_SOME, 0),
            (Metric::PRESSURE_MEMORY_FULL, 0),
            (
                Metric::PRESSURE_IO_SOME,
                if written > 0 {
                    random.below(5_000) * 1_000
                } else {
                    0
                },
            ),
            (Metric::PRESSURE_IO_FULL, 0),
            (Metric::CPU_LIMIT, u64::from(self.cores) * 1_000),
            (Metric::MEMORY_CURRENT, anon + self.cache * 4_096),
            (Metric::MEMORY_LIMIT, 8 << 30),
            (Metric::MEMORY_FILE, self.cache * 4_096),
            (Metric::MEMORY_SWAP, 0),
            (Metric::MEMORY_ANON, anon),
            (Metric::TASKS, tasks),
        ];
        for (metric, value) in rows {
            builder.total(metric, slot, value);
        }
    }
}

fn process(random: &mut Random, number: u32, start: u64, cores: u32) -> ProcessModel {
    let name = NAMES[random.below(NAMES.len() as u64) as usize];
    let pid = 20_000 + number * 7 + random.below(7) as u32;
    let age = random.below(3_600_000_000_000);
    let id = ProcessId {
        pid,
        start: start * 1_000_000_000 - age,
        exec: 1 + number % 2,
    };
    let row = Process {
        container_pid: 1 + number,
        parent: if number == 0 { 19_950 } else { 20_000 },
        uid: 1_000,
        gid: Some(1_000),
        exe: format!("/usr/bin/{name}"),
        args: format!(
            "{name}\0--config\0/etc/{name}/{}.conf\0--worker\0{number}",
            random.below(4)
        ),
        ..Process::new(id, name)
    };
    // Three out of ten are mostly idle, one in ten is busy.
    let (presence, usual) = match number % 10 {
        0 => (1.0, 5e8),
        1..4 => (1.0, 4e7 * (1.0 + random.unit())),
        4..7 => (0.9, 2e6 * (1.0 + 4.0 * random.unit())),
        _ => (0.05, 1e5 * (1.0 + 20.0 * random.unit())),
    };
    let drift = random.normal() * 0.5;
    let core = random.below(u64::from(cores)) as u32;
    let vm = 4_096 * (20_000 + random.below(500_000));
    let rss = 4_096 * (1_000 + random.below(60_000));
    ProcessModel {
        row,
        presence,
        usual,
        drift,
        core,
        vm,
        rss,
        // Libraries, and more in larger programs.
        shared: (rss / 5 + u64::from(pid) * 977) / 4_096 * 4_096 % (rss / 2),
        threads: 1 + pid % 3,
    }
}

fn file(random: &mut Random, number: u32, process: usize) -> FileModel {
    let (folder, pattern, written) = match number % 10 {
        0..3 => (
            "/var/lib/app/data/base",
            Pattern::Blocks(8_192),
            number.is_multiple_of(2),
        ),
        3..5 => ("/srv/www/static/images", Pattern::Blocks(65_536), false),
        5 => ("/tmp/work/chunks", Pattern::Blocks(4_096), true),
        6..8 => ("/var/log/app", Pattern::Lines, true),
        _ => (
            "/etc/app/conf.d",
            Pattern::Whole(200 + random.below(4_000)),
            false,
        ),
    };
    let path = format!("{folder}/{:06x}-{number}", random.next() >> 40);
    FileModel {
        row: File {
            path,
            kind: FileKind::Regular,
        },
        process,
        pattern,
        written,
        presence: [1.0, 0.9, 0.6, 0.2][random.below(4) as usize],
        usual: [2.0, 10.0, 40.0, 200.0][random.below(4) as usize],
    }
}

fn peer(random: &mut Random, number: u32, process: usize) -> PeerModel {
    let address = |low: u64, port: u16| {
        let [a, b] = (low as u16).to_be_bytes();
        Address::Ip(IpAddr::V4(Ipv4Addr::new(10, 42, a, b)), port)
    };
    let client = number.is_multiple_of(3);
    let (near, far) = (random.below(65_536), random.below(65_536));
    let free = 32_768 + random.below(28_000) as u16;
    let row = Connection {
        protocol: Protocol::Tcp,
        role: if client { Role::Client } else { Role::Server },
        local: address(near % 4, if client { free } else { 8_080 }),
        peer: address(far, if client { 5_432 } else { free }),
    };
    PeerModel {
        row,
        process,
        presence: [1.0, 0.95, 0.5][random.below(3) as usize],
        usual: [3.0, 20.0, 120.0][random.below(3) as usize],
        request: 200.0 + 600.0 * random.unit(),
        response: 500.0 + 12_000.0 * random.unit(),
    }
}

/// Approximates e to the power of `x` for `x` near 0. Uses only operations that give the
/// same bits on every machine, as golden files depend on it.
fn exp(x: f64) -> f64 {
    (0..10).fold(1.0 + x / 1_024.0, |root, _| root * root)
}

/// SplitMix64. Unlike a library's generator it gives the same numbers for ever.
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1, excluding 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Below `end`, which must not be 0.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Approximately normally distributed, mean 0, deviation 1 (a sum of twelve numbers).
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// A whole number, at least 1, with mean `usual` and a deviation of a quarter of it.
    fn around(&mut self, usual: f64) -> u64 {
        (usual * (1.0 + 0.25 * self.normal())).max(1.0) as u64
    }
}
