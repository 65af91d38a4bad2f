//! Puts the parts together: source, containers, spool, sender, Docker, metrics;
//! and ends them in order.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::collect::Collect;
use crate::config::Config;
use crate::container::hierarchy::Hierarchies;
use crate::container::{Containers, HostFacts, docker};
use crate::kept;
use crate::live::Live;
use crate::report::{self, Shared};
use crate::send::{Queue, Sender};
use crate::source::Source as _;
use crate::spool::Spool;
use crate::store::Store;

/// How long the end of the agent waits for the server to take the rest.
const FAREWELL: Duration = Duration::from_secs(2);
/// Seconds that wait for the disk.
const SECONDS: usize = 16;
/// Updates of Docker's that wait for the loop.
const UPDATES: usize = 1_024;
/// How much the thread that counts goes before others: nice(2), where -20 is the most.
const NICE: libc::c_int = -10;

/// Where the server is, and a sender to it.
///
/// # Errors
/// When a setting is missing or of no use.
pub fn sender(config: &Config) -> Result<(&str, Sender)> {
    let server = config
        .server
        .as_deref()
        .context("where is bubble-server? give its URL with --server, or as BUBBLE_SERVER")?;
    let key = config.api.as_deref().context(
        "the server wants an API key: make one with `bubble-server key create`, and give it with --api, or as BUBBLE_API",
    )?;
    Ok((server, Sender::new(server, key, config.ca.as_deref())?))
}

/// Counts and posts until it is told to end.
///
/// # Errors
/// When a setting is missing, the host does not allow it, or counting cannot go on.
pub fn run(config: &Config) -> Result<()> {
    kept::allow();
    let (server, sender) = sender(config)?;
    let mut containers = Containers::new(
        Hierarchies::mounted(Path::new("/proc"))?,
        config.rules.clone(),
        config.include_host,
    );
    containers.choose_primary();
    let source = Live::start(config, containers.hierarchies().primary())?;
    let queue = Queue::new(Spool::open(&config.spool, config.spool_max)?);
    let report = report::host(&config.host, source.hooks(), source.missing());
    containers.set_facts(HostFacts {
        host: config.host.clone(),
        cores: report.cores,
        memory: report.memory,
        hooks: report.hooks.clone(),
    });
    tracing::info!(
        hooks = report.hooks,
        cgroups = containers.hierarchies().mode(),
        spooled = queue.with(|spool| spool.segments()),
        "counting, and posting to {server}"
    );
    for missing in source.missing() {
        tracing::warn!("not counted here: {missing}");
    }

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start the threads that send")?;
    let stop = Arc::new(AtomicBool::new(false));
    let shared = Shared::default();
    runtime.block_on(async {
        if let Some(address) = config.metrics_listen {
            shared.clone().serve(address).await?;
        }
        let mut term = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = term.recv() => {}
                _ = interrupt.recv() => {}
            }
            stop.store(true, Ordering::Relaxed);
        });
        anyhow::Ok(())
    })?;
    let (tell, updates) = std::sync::mpsc::sync_channel(UPDATES);
    containers.set_updates(updates);
    runtime.spawn(docker::watch(config.docker.clone(), tell));
    let posts = queue.clone();
    runtime.spawn(async move { sender.run(&posts).await });

    let (out, closed) = std::sync::mpsc::sync_channel(SECONDS);
    let store = Store {
        queue: queue.clone(),
        report,
        shared,
        refused: false,
    };
    let storing = std::thread::Builder::new()
        .name("store".to_owned())
        .spawn(move || store.run(&closed))
        .context("cannot start the thread that writes the spool")?;
    let collect = Collect {
        containers,
        source,
        out,
        late: Vec::new(),
    };
    prefer_this_thread();
    let result = collect.run(&stop);
    if storing.join().is_err() {
        tracing::error!("the thread that writes the spool has failed");
    }
    let deadline = Instant::now() + FAREWELL;
    while queue.with(|spool| spool.batches()) > 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    runtime.shutdown_timeout(Duration::from_millis(500));
    let left = queue.with(|spool| {
        spool.close();
        spool.segments()
    });
    tracing::info!(
        left,
        "ended; what is left in the spool is sent by the next run"
    );
    result
}

/// Lets the thread that counts run before others, as what it reads does not wait: a cgroup is gone
/// soon after its last process, and a second is counted when it ends. It uses little, so that others
/// do not notice. Where it is not allowed, it counts all the same, a little later.
fn prefer_this_thread() {
    // SAFETY: takes numbers only; 0 is the calling thread.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) } != 0 {
        let why = std::io::Error::last_os_error();
        tracing::debug!(%why, "counting has no priority over other processes");
    }
}
