//! Containers that are started again and again: every life counts, in one container.

use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use bubble_suite::api::{Api, Container, Ledger, Span};
use bubble_suite::bench::{Bench, containers, find, now};
use bubble_suite::container::{run_as_user, run_lives_as_docker};
use bubble_suite::settings;

/// Arguments of a workload that appends to a file.
fn append(path: &str) -> Vec<String> {
    ["append", "--path", path].map(str::to_owned).to_vec()
}

fn api() -> Api {
    let bench = Bench::shared().lock().expect("no test panicked");
    bench.server.api().clone()
}

/// The bytes of the file that are stored.
fn stored_bytes(ledger: &Ledger, path: &str) -> u64 {
    let files = ledger.files.iter().filter(|file| file.path == path);
    files.map(|file| file.bytes_out).sum()
}

fn count_events(ledger: &Ledger, kind: &str) -> usize {
    let events = ledger.summary.events.iter();
    events.filter(|event| event.kind == kind).count()
}

/// Waits until what is stored are the bytes that all lives wrote, and their number. Checks again later,
/// to find what arrives late or twice.
fn check(api: &Api, container: &Container, path: &str, written: u64, lives: usize) {
    let read = || {
        let span = Span {
            from: container.first_seen - 60.0,
            to: now().ceil(),
        };
        api.ledger(&container.id, span).expect("stored data")
    };
    let is_complete = |ledger: &Ledger| {
        stored_bytes(ledger, path) == written && count_events(ledger, "container_end") == lives
    };
    let deadline = Instant::now() + settings::timeout(Duration::from_secs(10));
    while !is_complete(&read()) && Instant::now() < deadline {
        sleep(Duration::from_millis(500));
    }
    sleep(settings::late_time());
    let ledger = read();
    let stored = stored_bytes(&ledger, path);
    let losses: Vec<_> = ledger.summary.losses.iter().collect();
    // A cgroup of another test may be unknown, which every container on the host is told.
    let is_known = |reason: &str| {
        matches!(
            reason,
            "late" | "partial" | "cgroup_gone" | "cgroup_unknown"
        )
    };
    assert_eq!(stored, written, "losses: {losses:?}");
    assert!(
        losses.iter().all(|loss| is_known(&loss.reason)),
        "{losses:?}"
    );
    assert_eq!(count_events(&ledger, "container_start"), lives, "starts");
    assert_eq!(count_events(&ledger, "container_end"), lives, "ends");
    // The order is that of the lives.
    let kinds = ledger
        .summary
        .events
        .iter()
        .map(|event| event.kind.as_str());
    let kinds: Vec<_> = kinds
        .filter(|kind| kind.starts_with("container_"))
        .collect();
    let alternate = kinds
        .chunks(2)
        .all(|pair| pair == ["container_start", "container_end"]);
    assert!(alternate, "{kinds:?}");
}

/// Keeps the host busy until it is dropped: starts programs, as a compiler does, and reads and writes files.
struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(folder: &Path) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let workload = settings::program("bubble-workload").expect("the workload");
        let thread = |number: usize| {
            let (stop, workload) = (Arc::clone(&stop), workload.clone());
            let file = folder.join(format!("load-{number}"));
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let mut program = Command::new(&workload);
                    let ended = program.args(["child", "0", "--us", "20000"]).status();
                    assert!(ended.is_ok_and(|status| status.success()));
                    fs::write(&file, vec![1; 1 << 20]).expect("a writable folder");
                    assert_eq!(fs::read(&file).expect("the file").len(), 1 << 20);
                }
            })
        };
        let cores = thread::available_parallelism().map_or(2, NonZero::get);
        Self {
            threads: (0..2 * cores).map(thread).collect(),
            stop,
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() && !thread::panicking() {
                panic!("the load failed");
            }
        }
    }
}

/// While the host is busy.
#[test]
fn a_container_that_is_restarted() {
    let api = api();
    let restarts = settings::number("BUBBLE_RESTARTS", 100).expect("a number of restarts") as u32;
    let runner = containers().expect("a container runner");
    let (here, there) = runner.shared();
    let file = format!("restarted-{}", std::process::id());
    let path = format!("{there}/{file}");
    // Long enough to start the program on a slow machine.
    let life = settings::pause(Duration::from_millis(700));
    let load = Load::start(here);
    let name = runner
        .run_lives(&append(&path), restarts + 1, life)
        .expect("a container that is restarted");
    drop(load);
    let container = find(&api, &name, Some("ended")).expect("an ended container");
    let written = fs::metadata(here.join(file)).expect("the file").len();
    check(&api, &container, &path, written, restarts as usize + 1);
}

#[test]
fn lives_shorter_than_a_second() {
    const LIVES: u32 = 50;
    let api = api();
    let (here, _) = containers().expect("a container runner").shared();
    let file = here.join(format!("crash-loop-{}", std::process::id()));
    let path = file.to_str().expect("a path in UTF-8");
    let id = format!("{:012x}{:052x}", std::process::id(), 0);
    // Long enough to start the program on a slow machine.
    let life = settings::pause(Duration::from_millis(150)).min(Duration::from_millis(900));
    run_lives_as_docker(&id, &append(path), LIVES, life).expect("50 lives");
    let deadline = Instant::now() + settings::timeout(Duration::from_secs(20));
    let container = loop {
        match api.container(&id[..12]).expect("an answer") {
            Some(container) if container.state == "ended" => break container,
            seen if Instant::now() > deadline => panic!("it has not ended: {seen:?}"),
            _ => sleep(Duration::from_millis(100)),
        }
    };
    let written = fs::metadata(&file).expect("the file").len();
    check(&api, &container, path, written, LIVES as usize);
}

/// A user can make a cgroup of any name in one that is theirs, such as that of another's container.
#[test]
fn a_user_cannot_make_a_container_of_docker() {
    const USER: u32 = 65_534;
    let api = api();
    let (here, _) = containers().expect("a container runner").shared();
    let file = here.join(format!("forged-{}", std::process::id()));
    let path = file.to_str().expect("a path in UTF-8");
    let short = format!("f{:011x}", std::process::id());
    let name = format!("docker-{short}{:052x}.scope", 0);
    let folder = format!("bubble-user-{}", std::process::id());
    let life = settings::pause(Duration::from_millis(1_500));
    run_as_user(USER, &folder, &name, &append(path), life).expect("a run");
    let host = api.hosts().expect("an answer").remove(0).host;
    let own = format!("user-{USER}:{short}@{host}");
    let deadline = Instant::now() + settings::timeout(Duration::from_secs(20));
    while api.container(&own).expect("an answer").is_none() {
        assert!(Instant::now() < deadline, "{own} is not shown");
        sleep(Duration::from_millis(100));
    }
    assert!(api.container(&short).expect("an answer").is_none());
}
