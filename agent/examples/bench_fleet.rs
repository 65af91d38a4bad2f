//! Many hosts in one process: the agent's own batcher, spool and delivery for each of them, with generated
//! containers, against a real server.
//!
//! `cargo xtask bench fleet` starts the server and runs this. It prints one JSON object a line. Spools
//! belong in memory (`/dev/shm`): a machine that plays all hosts has one disk, and each host has its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use bubble_agent::attention::Attention;
use bubble_agent::batcher::{Batcher, Closed};
use bubble_agent::journal::Receipt;
use bubble_agent::metrics::Metrics;
use bubble_agent::report;
use bubble_agent::send::Sender;
use bubble_agent::send::delivery::Delivery;
use bubble_agent::spool::Spool;
use bubble_agent::spool::queue::Queue;
use bubble_common::segment::{ContainerId, Segment, SourceId};
use bubble_testing::container::{Container, Size};
use clap::Parser;

/// Interval of delivery, as agents have it by default.
const DELIVER_EVERY: Duration = Duration::from_secs(10);
/// Containers that are generated of each size. Those of all hosts repeat their seconds.
const TEMPLATES: u64 = 24;
/// Generated seconds of each.
const TEMPLATE_SECONDS: usize = 60;
/// Maximum size of a spool: of many hosts in one memory.
const MAX_SPOOL: u64 = 32 << 20;
/// Time in which all must be delivered at the end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(120);
/// Interval of requests of a page.
const PAGE_INTERVAL: Duration = Duration::from_millis(250);

/// Play many hosts
#[derive(Debug, Clone, Parser)]
struct Flags {
    /// Number of hosts
    #[arg(long)]
    hosts: u64,
    /// Running containers per host
    #[arg(long)]
    containers: u64,
    /// Percent of busy containers (20 processes, 30 files, 10 peers); the others are quiet
    #[arg(long)]
    busy: u64,
    /// Seconds that each host counts
    #[arg(long)]
    seconds: u64,
    /// URL of the server; BUBBLE_API has the key, BUBBLE_TOKEN an administrator's token
    #[arg(long)]
    url: String,
    /// Folder of the spools
    #[arg(long)]
    spools: PathBuf,
    /// Process ids, as in `server=7`, whose CPU time and memory are measured, too
    #[arg(long = "process", value_parser = process)]
    processes: Vec<(String, u32)>,
}

fn process(text: &str) -> Result<(String, u32)> {
    let (name, pid) = text.split_once('=').context("not NAME=PID")?;
    Ok((name.to_owned(), pid.parse()?))
}

/// A host.
struct Host {
    source: SourceId,
    batcher: Batcher,
    metrics: Metrics,
    containers: Vec<(ContainerId, Arc<Vec<Segment>>)>,
    /// Its first second is so many seconds after that of the first host: deliveries are spread, as
    /// agents start at different times.
    offset: u64,
}

impl Host {
    fn new(number: u64, flags: &Flags, templates: &[Vec<Arc<Vec<Segment>>>; 2]) -> Result<Self> {
        let spool = Spool::open(&flags.spools.join(format!("host{number}")), MAX_SPOOL)?;
        let name = format!("fleet{number}");
        let metrics = Metrics::default();
        let mut source = [0x5f; 16];
        source[..8].copy_from_slice(&number.to_le_bytes());
        source[8..].copy_from_slice(&now().as_nanos().to_le_bytes()[..8]);
        let containers = (0..flags.containers).map(|container| {
            let all = number * flags.containers + container;
            let is_quiet = all * 37 % 100 >= flags.busy;
            let of_size = &templates[usize::from(is_quiet)];
            let id = ContainerId::new(&format!("f{number:05x}{container:06x}"))?;
            Ok((id, Arc::clone(&of_size[(all % TEMPLATES) as usize])))
        });
        Ok(Self {
            source: SourceId(source),
            batcher: Batcher {
                queue: Queue::new(spool),
                attention: Attention::new(DELIVER_EVERY),
                report: report::host(&name, "vfs", &[]),
                metrics: metrics.clone(),
                disk_failed: false,
                news: BTreeMap::new(),
            },
            metrics,
            containers: containers.collect::<Result<_>>()?,
            offset: number % DELIVER_EVERY.as_secs(),
        })
    }

    /// Starts to deliver.
    fn start(&self, flags: &Flags, key: &str) -> Result<()> {
        let sender = Sender::new(&flags.url, key, None)?;
        let Batcher {
            queue, attention, ..
        } = &self.batcher;
        let (queue, attention) = (Arc::clone(queue), attention.clone());
        let delivery = Delivery::new(
            sender.clone(),
            queue,
            self.metrics.clone(),
            attention.clone(),
        );
        tokio::spawn(delivery.run());
        let host = self.batcher.report.host.clone();
        tokio::spawn(async move { sender.watch(&host, &attention).await });
        Ok(())
    }

    /// The segments of a second.
    fn segments(&self, second: u64) -> Vec<Segment> {
        let of_container = |(id, template): &(ContainerId, Arc<Vec<Segment>>)| {
            let mut segment = template[second as usize % TEMPLATE_SECONDS].clone();
            segment.key.container = id.clone();
            segment.key.source = self.source;
            segment.key.start = second;
            segment
        };
        self.containers.iter().map(of_container).collect()
    }

    fn spool(&mut self, segments: Vec<Segment>) {
        self.batcher.spool(Closed {
            source: self.source,
            at: now().as_nanos() as u64,
            containers: segments.len(),
            segments,
            kernel_ns: 0,
            receipt: Receipt::default(),
        });
    }

    /// For how long the oldest batch waits longer than it should.
    fn delay(&self) -> Duration {
        let due = self.batcher.queue.with(|spool| spool.due_at(DELIVER_EVERY));
        due.map_or(Duration::ZERO, |due| due.elapsed())
    }
}

fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

fn templates(size: Size) -> Vec<Arc<Vec<Segment>>> {
    let template = |seed| {
        let mut container = Container::new(seed, now().as_secs() - 3_600, size);
        let seconds = (0..TEMPLATE_SECONDS).map(|_| container.seconds(1));
        Arc::new(seconds.collect())
    };
    (0..TEMPLATES).map(template).collect()
}

fn print(case: &str, variant: &str, value: f64, unit: &str) {
    println!(
        r#"{{"bench":"fleet","case":"{case}","variant":"{variant}","value":{value:.3},"unit":"{unit}"}}"#
    );
}

/// CPU time in s of a process and all its threads, and its resident memory in bytes.
fn usage(pid: &str) -> Result<(f64, f64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("/proc/PID/stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let number =
        |index: usize| -> Result<f64> { Ok(fields.get(index).context("/proc/PID/stat")?.parse()?) };
    // utime and stime in ticks of 10 ms, the resident set in pages.
    Ok(((number(11)? + number(12)?) / 100.0, number(21)? * 4_096.0))
}

/// CPU time of this thread.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// What the run showed.
#[derive(Default)]
struct Seen {
    /// Container-seconds that were spooled.
    seconds: u64,
    /// CPU time of generating them, which no agent does.
    generating: Duration,
    /// Delays of the oldest batch of each host, each second, in s.
    delays: Vec<f64>,
    /// Seconds for which this process was late.
    late: u64,
    /// Highest resident memory of the processes.
    resident: BTreeMap<String, f64>,
}

/// Lets each host count its seconds, in real time.
fn count(hosts: &mut [Host], flags: &Flags) -> Result<Seen> {
    let mut seen = Seen::default();
    let first = now().as_secs() + 1;
    let last = first + flags.seconds + DELIVER_EVERY.as_secs() - 1;
    for second in first..last {
        // A second is closed when it is over.
        let end = Duration::from_secs(second + 1);
        match end.checked_sub(now()) {
            Some(left) => std::thread::sleep(left),
            None => seen.late += 1,
        }
        for host in hosts.iter_mut() {
            let from = first + host.offset;
            if !(from..from + flags.seconds).contains(&second) {
                continue;
            }
            let began = thread_time();
            let segments = host.segments(second);
            seen.generating += thread_time() - began;
            seen.seconds += segments.len() as u64;
            host.spool(segments);
        }
        seen.delays
            .extend(hosts.iter().map(|host| host.delay().as_secs_f64()));
        for (name, pid) in &flags.processes {
            let highest = seen.resident.entry(name.clone()).or_default();
            *highest = usage(&pid.to_string())?.1.max(*highest);
        }
    }
    Ok(seen)
}

/// Container-seconds that the server has stored, and bytes of bodies that it has read.
async fn stored(client: &reqwest::Client, url: &str, token: &str) -> Result<(f64, f64)> {
    let text = client
        .get(format!("{url}/metrics"))
        .bearer_auth(token)
        .send()
        .await?
        .error_for_status()?
        .text()
        .await?;
    let sum = |name: &str| -> Result<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let line = line.with_context(|| format!("/metrics has no {name}"))?;
        Ok(line.trim().parse()?)
    };
    Ok((
        sum("bubble_server_container_seconds_total ")?,
        sum("bubble_server_batch_bytes_total ")?,
    ))
}

/// Requests pages of containers in turn, for ever. Times are in ms.
async fn read_pages(flags: Flags, token: String, times: Arc<Mutex<Vec<f64>>>) {
    let client = reqwest::Client::new();
    let mut n = 0_u64;
    loop {
        tokio::time::sleep(PAGE_INTERVAL).await;
        n += 7;
        let id = format!("f{:05x}{:06x}", n % flags.hosts, n % flags.containers);
        let began = Instant::now();
        let url = format!("{}/api/v1/containers/{id}/summary", flags.url);
        let answer = client.get(url).bearer_auth(&token).send().await;
        // Of a host that has not delivered yet nothing is known.
        let Ok(answer) = answer.and_then(reqwest::Response::error_for_status) else {
            continue;
        };
        if answer.bytes().await.is_ok() {
            let time = began.elapsed().as_secs_f64() * 1e3;
            times
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(time);
        }
    }
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let key = std::env::var("BUBBLE_API").context("no BUBBLE_API")?;
    let token = std::env::var("BUBBLE_TOKEN").context("no BUBBLE_TOKEN")?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    bubble_agent::fd_budget::raise_limit();
    let templates = [templates(Size::BUSY), templates(Size::QUIET)];
    let hosts = (0..flags.hosts).map(|number| Host::new(number, &flags, &templates));
    let mut hosts: Vec<Host> = hosts.collect::<Result<_>>()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let _inside = runtime.enter();
    let client = reqwest::Client::new();
    let before = runtime.block_on(stored(&client, &flags.url, &token))?;
    let used = |pid: &str| usage(pid).map(|usage| usage.0);
    let pids = || {
        let others = flags.processes.iter();
        let others = others.map(|(name, pid)| (name.clone(), pid.to_string()));
        others.chain([("agents".to_owned(), "self".to_owned())])
    };
    let cpu: Vec<f64> = pids().map(|(_, pid)| used(&pid)).collect::<Result<_>>()?;
    for host in &hosts {
        host.start(&flags, &key)?;
    }
    let times = Arc::default();
    runtime.spawn(read_pages(flags.clone(), token.clone(), Arc::clone(&times)));
    let seen = count(&mut hosts, &flags)?;
    for host in &hosts {
        host.batcher.attention.flush();
    }
    let began = Instant::now();
    let waiting = |hosts: &[Host]| -> u64 {
        let of_host = |host: &Host| host.batcher.queue.with(|spool| spool.segments());
        hosts.iter().map(of_host).sum()
    };
    while waiting(&hosts) > 0 && began.elapsed() < DRAIN_TIMEOUT {
        std::thread::sleep(Duration::from_millis(100));
    }
    let after = runtime.block_on(stored(&client, &flags.url, &token))?;
    let seconds = seen.seconds as f64;
    for ((name, pid), before) in pids().zip(cpu) {
        let own = match name == "agents" {
            true => seen.generating.as_secs_f64(),
            false => 0.0,
        };
        let each = (used(&pid)? - before - own) * 1e6 / seconds;
        print("cpu", &name, each, "µs/container-second");
    }
    let times = std::mem::take(&mut *times.lock().unwrap_or_else(PoisonError::into_inner));
    report_seen(seen, times, (after.1 - before.1) / seconds);
    let lost = seconds - (after.0 - before.0);
    print("lost", "all", lost, "container-seconds");
    let failed: u64 = hosts.iter().map(|host| host.metrics.failed_posts()).sum();
    print("failed-posts", "all", failed as f64, "posts");
    runtime.shutdown_timeout(Duration::from_secs(1));
    ensure!(lost == 0.0, "{lost} container-seconds are not stored");
    Ok(())
}

fn report_seen(mut seen: Seen, mut times: Vec<f64>, bytes: f64) {
    let at = |values: &mut Vec<f64>, part: f64| {
        values.sort_by(f64::total_cmp);
        let index = (values.len().saturating_sub(1) as f64 * part) as usize;
        values.get(index).copied().unwrap_or(f64::NAN)
    };
    print("posted", "body", bytes, "bytes/container-second");
    print("counted", "all", seen.seconds as f64, "container-seconds");
    print("late", "generator", seen.late as f64, "s");
    for (variant, part) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
        print("delay", variant, at(&mut seen.delays, part), "s");
        print("page", variant, at(&mut times, part), "ms");
    }
    for (name, bytes) in seen.resident {
        print("resident", &name, bytes / 1e6, "MB");
    }
}
