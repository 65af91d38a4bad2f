//! Counts on this host: starts the parts, connects them, and ends them in order.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bubble_common::batch::AgentReport;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::attention::Attention;
use crate::batcher::Batcher;
use crate::collect::{Collect, Extent, raise_priority};
use crate::config::Config;
use crate::container::hierarchy::Hierarchies;
use crate::container::{Containers, HostFacts, docker};
use crate::host_lock::HostLock;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::send::delivery::Delivery;
use crate::source::Source as _;
use crate::source::ebpf::USUAL_PINS;
use crate::source::ebpf::pins::Pins;
use crate::spool::Spool;
use crate::spool::queue::Queue;
use crate::{fd_budget, report, send};

/// Time for the server to take the waiting batches when the agent ends.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);
/// Time for the sending threads to end after that.
const RUNTIME_SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(500);
/// Interval at which the end of the agent checks whether all is sent.
const DRAIN_POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Maximum number of seconds that wait for the disk.
const MAX_WAITING_SECONDS: usize = 16;
/// Maximum number of Docker's updates that wait for the loop.
const MAX_WAITING_UPDATES: usize = 1_024;
/// Counts and posts until SIGTERM or SIGINT.
///
/// # Errors
/// When a setting is missing, the host does not allow it, or counting cannot go on.
pub fn run(config: &Config) -> Result<()> {
    fd_budget::raise_limit();
    let (server, sender) = send::sender(config)?;
    let mut containers = Containers::new(
        Hierarchies::mounted(Path::new("/proc"))?,
        config.rules.clone(),
        config.include_host,
    );
    let chosen = containers.choose_primary();
    chosen.context("cannot look for containers in the cgroups")?;
    let cgroups = &containers.hierarchies().primary().root;
    let lock = (!config.beside_others).then(|| HostLock::acquire(cgroups));
    let _lock = lock.transpose()?;
    let source = Live::start(config, containers.hierarchies().primary())?;
    let queue = Queue::new(Spool::open(&config.spool, config.spool_max)?);
    let report = describe(config, &source, &mut containers);
    log_start(&report, &containers, &queue, server);

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start the threads that send")?;
    let metrics = Metrics::default();
    if let Some(address) = config.metrics_listen {
        runtime.block_on(metrics.clone().serve(address))?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    runtime.block_on(async { stop_on_signals(Arc::clone(&stop)) })?;
    let (tell, updates) = sync_channel(MAX_WAITING_UPDATES);
    containers.set_updates(updates);
    runtime.spawn(docker::watch(config.docker.clone(), tell));
    let attention = Attention::new(config.deliver_every);
    let delivery = Delivery::new(
        sender.clone(),
        Arc::clone(&queue),
        metrics.clone(),
        attention.clone(),
    );
    runtime.spawn(delivery.run());
    let (host, watched) = (config.host.clone(), attention.clone());
    runtime.spawn(async move { sender.watch(&host, &watched).await });

    let (out, closed) = sync_channel(MAX_WAITING_SECONDS);
    let batcher = Batcher {
        queue: Arc::clone(&queue),
        attention: attention.clone(),
        report,
        metrics,
        disk_failed: false,
        news: BTreeMap::new(),
    };
    let batching = thread::Builder::new()
        .name("batcher".to_owned())
        .spawn(move || batcher.run(&closed))
        .context("cannot start the thread that writes the spool")?;
    let collect = Collect {
        containers,
        source,
        out,
        late: Vec::new(),
        undelivered: queue.with(|spool| spool.undelivered()),
        extent: Extent::default(),
    };
    raise_priority();
    let result = collect.run(&stop);
    if batching.join().is_err() {
        tracing::error!("the thread that writes the spool has failed");
    }
    // Everything is spooled now, so the sums in the kernel may go.
    let result = result.and_then(|source| source.end(config.keep_counting));
    attention.flush();
    drain(&queue, runtime);
    result
}

/// Removes what goes on counting in the kernel without an agent.
///
/// # Errors
/// When an agent runs, or it cannot be removed.
pub fn unpin(config: &Config) -> Result<()> {
    let folder = config.ebpf.pins.as_deref();
    let folder = folder.unwrap_or(Path::new(USUAL_PINS));
    let path = folder.display();
    match Pins::unpin(folder)? {
        true => println!("removed the programs that were pinned in {path}"),
        false => println!("nothing is pinned in {path}"),
    }
    Ok(())
}

/// The agent's report, which is also noted as facts of the containers.
fn describe(config: &Config, source: &Live, containers: &mut Containers) -> AgentReport {
    let report = report::host(&config.host, source.hooks(), source.missing());
    containers.set_facts(HostFacts {
        host: config.host.clone(),
        cores: report.cores,
        memory: report.memory,
        hooks: report.hooks.clone(),
    });
    report
}

fn log_start(report: &AgentReport, containers: &Containers, queue: &Queue, server: &str) {
    tracing::info!(
        hooks = report.hooks,
        cgroups = containers.hierarchies().mode(),
        spooled = queue.with(|spool| spool.segments()),
        "counting, and posting to {server}"
    );
    for missing in &report.missing {
        tracing::warn!("not counted here: {missing}");
    }
}

/// Sets `stop` at SIGTERM or SIGINT. Needs the context of a runtime.
fn stop_on_signals(stop: Arc<AtomicBool>) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.store(true, Ordering::Relaxed);
    });
    Ok(())
}

/// Sends what waits for as long as the grace lasts, then ends the sending threads.
fn drain(queue: &Queue, runtime: Runtime) {
    let deadline = Instant::now() + SHUTDOWN_GRACE;
    while queue.with(|spool| spool.batches()) > 0 && Instant::now() < deadline {
        thread::sleep(DRAIN_POLL_INTERVAL);
    }
    runtime.shutdown_timeout(RUNTIME_SHUTDOWN_TIMEOUT);
    let left = queue.with(|spool| {
        spool.close();
        spool.segments()
    });
    tracing::info!(left, "ended; the next run sends the segments in the spool");
}
