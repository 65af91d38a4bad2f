//! The server: the real ingest, SQLite store and roll-up. Transactions fail, and it is killed before or
//! after one, as the faults want.

use std::fs;
use std::future::Future;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bubble_server::auth::key;
use bubble_server::clock;
use bubble_server::http::error::ApiError;
use bubble_server::ingest::live::Live;
use bubble_server::ingest::{Ingest, Origin};
use bubble_server::memory::Memory;
use bubble_server::metrics::Metrics;
use bubble_server::rollup::Rollup;
use bubble_server::span::retention::Retention;
use bubble_server::store::Store;
use bubble_server::store::container::Container;
use bubble_server::store::error::StoreError;
use bubble_server::store::key::ApiKey;
use bubble_server::store::sqlite::{Durability, FILE, Sqlite, Step};
use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::faults::{Fault, Faults};
use crate::truth::Truth;

/// Beginning of each run: seconds since the Unix epoch.
pub(crate) const START: u64 = 1_800_000_000;
/// Memory for posts.
const MEMORY: usize = 256 << 20;

/// What all runs share: an empty database, and the threads of the server.
#[derive(Debug)]
pub(crate) struct Template {
    data: TempDir,
    runtime: Runtime,
}

impl Template {
    pub(crate) fn new() -> Result<Self> {
        let data = TempDir::new().context("cannot create a temporary folder")?;
        clock::simulate(START * 1_000_000_000);
        drop(Sqlite::serve(data.path(), Durability::Process)?);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("cannot start the threads of the server")?;
        Ok(Self { data, runtime })
    }

    /// Runs `work` on the threads of the server, and waits for it.
    fn block_on<T: Send>(&self, work: impl Future<Output = T> + Send) -> T {
        // The thread of the simulation is busy with another runtime.
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| self.runtime.block_on(work));
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

/// A server on a data directory.
pub(crate) struct Server {
    template: Arc<Template>,
    data: TempDir,
    key: ApiKey,
    faults: Arc<Faults>,
    /// What happens within the current request.
    fate: Arc<Mutex<Fate>>,
    /// By how many seconds its clock is ahead.
    pub(crate) skew: AtomicI64,
    running: Mutex<Option<Running>>,
}

/// Faults of one request, after so many steps of transactions. They are decided before it begins, as
/// the number of transactions may depend on how threads take turns.
#[derive(Debug, Default)]
struct Fate {
    /// The server was killed: nothing else happens.
    is_dead: bool,
    kill_after: Option<u64>,
    fail_after: Option<u64>,
}

impl Fate {
    /// A step of a transaction. Returns whether it fails.
    fn step(&mut self, step: Step) -> bool {
        let is_due = |after: &mut Option<u64>| match after {
            Some(0) => after.take().is_some(),
            Some(steps) => {
                *steps -= 1;
                false
            }
            None => false,
        };
        self.is_dead |= is_due(&mut self.kill_after);
        let fails = step == Step::Begin && is_due(&mut self.fail_after);
        self.is_dead || fails
    }
}

struct Running {
    store: Arc<dyn Store>,
    ingest: Arc<Ingest>,
    rollup: Rollup,
}

impl Server {
    pub(crate) fn new(template: Arc<Template>, faults: Arc<Faults>) -> Result<Self> {
        let data = TempDir::new().context("cannot create a temporary folder")?;
        fs::copy(template.data.path().join(FILE), data.path().join(FILE))
            .context("cannot copy the empty database")?;
        Ok(Self {
            template,
            data,
            key: key::create("simulation", START).1,
            faults,
            fate: Arc::default(),
            skew: AtomicI64::new(0),
            running: Mutex::default(),
        })
    }

    /// Starts it, unless it runs.
    pub(crate) fn start(&self) -> Result<()> {
        let mut running = self.lock();
        if running.is_none() {
            *self.fate() = Fate::default();
            let (data, fate) = (self.data.path(), Arc::clone(&self.fate));
            let opened = self.template.block_on(async { Running::open(data, fate) });
            *running = Some(opened?);
        }
        Ok(())
    }

    /// Whether it was killed. It then answers nothing until it is started again.
    pub(crate) fn is_dead(&self) -> bool {
        self.fate().is_dead
    }

    /// Ends what is left of a process that was killed.
    pub(crate) fn bury(&self) {
        let running = self.lock().take();
        self.template.block_on(async { drop(running) });
    }

    /// Handles a post. `None`: it was killed meanwhile, so nobody is answered.
    pub(crate) fn post(&self, body: &[u8], repeated: bool) -> Option<hyper::Response<Bytes>> {
        let ingest = Arc::clone(&self.lock().as_ref()?.ingest);
        self.set_clock();
        self.begin();
        let origin = Origin {
            key: &self.key,
            is_administrator: false,
            recording: None,
            boot: Some("boot"),
            repeated,
        };
        let answer = self.template.block_on(async {
            let response = match ingest.post(body.to_vec(), origin).await {
                Ok(receipt) => axum::Json(receipt).into_response(),
                Err(error) => ApiError::from(error).into_response(),
            };
            whole(response).await
        });
        self.end();
        (!self.is_dead()).then_some(answer)
    }

    /// Rolls up what is due. A failure is logged by the real server, which tries again later.
    pub(crate) fn roll_up(&self) {
        let now = self.set_clock();
        if let Some(running) = self.lock().as_mut() {
            self.begin();
            let done = self.template.block_on(running.rollup.round(now));
            self.end();
            self.faults.say(|| format!("    roll-up: {done:?}"));
        }
    }

    /// Rolls up everything, and checks what is stored.
    pub(crate) fn check(&self, truth: &Truth, end: u64) -> Result<()> {
        let store = Arc::clone(&self.lock().as_ref().context("no server runs")?.store);
        let metrics = Arc::new(Metrics::default());
        clock::simulate(end * 1_000_000_000);
        self.template.block_on(async {
            let mut rollup = Rollup::new(Arc::clone(&store), Retention::default(), metrics);
            let done = rollup.run(end).await?;
            anyhow::ensure!(done.failed == 0, "{} spans cannot be packed", done.failed);
            let mut containers: Vec<Container> = Vec::new();
            for n in 0..crate::agent::MAX_CONTAINERS {
                containers.extend(store.container(&crate::agent::container(n)?).await?);
            }
            truth.check(&*store, &containers).await
        })
    }

    /// Decides what happens within a request.
    fn begin(&self) {
        let after = |fault, factor, steps| {
            let happens = self.faults.happens(fault, factor);
            happens.then(|| self.faults.below(steps))
        };
        let kill_after = after(Fault::KillServer, 0.2, 8);
        let fail_after = after(Fault::FailedWrite, 1.0, 3);
        let mut fate = self.fate();
        *fate = Fate {
            kill_after,
            fail_after,
            is_dead: fate.is_dead,
        };
    }

    /// A kill that did not come within the request comes after it.
    fn end(&self) {
        let mut fate = self.fate();
        fate.is_dead |= fate.kill_after.take().is_some();
        fate.fail_after = None;
    }

    fn fate(&self) -> MutexGuard<'_, Fate> {
        self.fate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the clock of the server's code. Returns the time: seconds since the Unix epoch.
    fn set_clock(&self) -> u64 {
        let elapsed = turmoil::sim_elapsed().unwrap_or(Duration::ZERO);
        let skew = self.skew.load(Ordering::SeqCst);
        let ns = (START * 1_000_000_000 + elapsed.as_nanos() as u64)
            .saturating_add_signed(skew * 1_000_000_000);
        clock::simulate(ns);
        ns / 1_000_000_000
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    fn open(data: &Path, fate: Arc<Mutex<Fate>>) -> Result<Self> {
        let failing = move |step| {
            let mut fate = fate.lock().unwrap_or_else(PoisonError::into_inner);
            match fate.step(step) {
                true => Err(StoreError::Database {
                    doing: "write",
                    source: "a simulated fault".into(),
                }),
                false => Ok(()),
            }
        };
        let store: Arc<dyn Store> = Arc::new(Sqlite::simulate(data, Box::new(failing))?);
        let metrics = Arc::new(Metrics::default());
        Ok(Self {
            ingest: Arc::new(Ingest::new(
                Arc::clone(&store),
                Live::default(),
                Arc::clone(&metrics),
                Memory::new(MEMORY).posts,
            )),
            rollup: Rollup::new(Arc::clone(&store), Retention::default(), metrics),
            store,
        })
    }
}

/// Collects the body of an answer.
async fn whole(response: Response) -> hyper::Response<Bytes> {
    let (head, body): (_, Body) = response.into_parts();
    // A body in memory cannot fail.
    let bytes = body
        .collect()
        .await
        .map_or_else(|_| Bytes::new(), |body| body.to_bytes());
    hyper::Response::from_parts(head, bytes)
}
