//! Workers: `retention retain` and `retention listen` as processes.

use std::fs::{File, read_to_string};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use bubble_common::segment::Resolution;
use bubble_server::rollup::queue::Queue;
use rand::RngExt;
use rustix::process::{Pid, Signal, kill_process};

use super::broker::{Queues, services};
use super::site::Site;
use crate::common::{id, seconds};
use crate::store::backend::define;
use crate::store::post;

const BUILTIN_OFF: [(&str, &str); 1] = [("BUBBLE_ROLLUP", "workers")];

/// A process of `retention listen`, killed on drop.
struct Worker {
    child: Child,
    log: PathBuf,
}

fn retention(site: &Site, queues: &Queues, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bubble-server"));
    command
        .arg("retention")
        .args(words)
        .env_clear()
        .envs(site.variables(&[]))
        .envs(queues.variables());
    command
}

/// Enqueues jobs, as cron does.
fn enqueue(site: &Site, queues: &Queues, resolution: &str) -> Output {
    let mut command = retention(site, queues, &["retain", "--resolution", resolution]);
    command.output().expect("it runs")
}

/// Enqueues jobs, and returns their number.
fn enqueued(site: &Site, queues: &Queues, resolution: &str) -> u64 {
    let done = enqueue(site, queues, resolution);
    assert!(done.status.success(), "{done:?}");
    let said = String::from_utf8(done.stdout).expect("text");
    let count = said.split_whitespace().next().expect("a word");
    count.parse().expect("a number")
}

impl Worker {
    fn start(site: &mut Site, queues: &Queues, log: &str) -> Self {
        let folder = site.folder();
        let path = folder.path().join("log");
        site.folders.push(folder);
        let child = retention(site, queues, &["listen"])
            .env("BUBBLE_LOG", log)
            .stdin(Stdio::null())
            .stderr(File::create(&path).expect("a log"))
            .spawn()
            .expect("it runs");
        Self { child, log: path }
    }

    fn kill(&mut self) {
        self.child.kill().expect("it ran");
        self.child.wait().expect("it ran");
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    fn log(&self) -> String {
        read_to_string(&self.log).expect("the log is text")
    }

    /// How often the log contains `what`.
    fn logged(&self, what: &str) -> usize {
        self.log().matches(what).count()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A site with `containers`, and `seconds` of each posted around the edge of an hour.
async fn site(test: &str, containers: usize, seconds: u64) -> Site {
    let mut site = Site::new(test, containers).await;
    let mut server = site.server(&BUILTIN_OFF).await;
    site.post(&server, 3_600 - seconds / 2, seconds).await;
    server.kill();
    site
}

/// Enqueues jobs until all spans are packed.
async fn finish(site: &Site, queues: &Queues) {
    site.until_packed(async || {
        if queues.waiting().await == 0 {
            for resolution in ["m", "h", "d"] {
                enqueued(site, queues, resolution);
            }
        }
    })
    .await;
}

/// Number of dirty spans of the resolution that `resolution` is made from.
async fn spans(site: &Site, resolution: &str) -> usize {
    let finer = match resolution {
        "m" => Resolution::Second,
        "h" => Resolution::Minute,
        _ => Resolution::Hour,
    };
    let dirty = site.store.dirty(finer, u64::MAX, None, 10_000).await;
    dirty.expect("answers").len()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra, RabbitMQ, Consul: cargo xtask test --only distributed"]
async fn workers_killed_during_jobs_lose_and_double_nothing() {
    let mut site = site("workers_killed", 12, 2_400).await;
    let queues = Queues::new("workers_killed").await;
    let jobs = enqueued(&site, &queues, "m");
    assert_eq!(jobs, 12 * 40);
    let mut workers: Vec<Worker> = Vec::new();
    for _ in 0..3 {
        workers.push(Worker::start(&mut site, &queues, "warn"));
    }
    let mut kills = 0;
    while spans(&site, "m").await > 0 && kills < 40 {
        let lifetime = rand::rng().random_range(100..500);
        tokio::time::sleep(Duration::from_millis(lifetime)).await;
        let which = rand::rng().random_range(0..workers.len());
        workers[which].kill();
        workers[which] = Worker::start(&mut site, &queues, "warn");
        kills += 1;
    }
    assert!(kills >= 3, "{jobs} jobs ran too fast to kill any worker");
    finish(&site, &queues).await;
    let total = site.check().await;

    // Late segments make only their own spans dirty again.
    let mut server = site.server(&BUILTIN_OFF).await;
    site.post(&server, 3_600 - 1_200 - 30, 30).await;
    server.kill();
    assert_eq!(enqueued(&site, &queues, "m"), 12);
    finish(&site, &queues).await;
    let late = site.check().await;
    println!("{jobs} jobs, {kills} workers killed; {total} ns, with the late segments {late} ns");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra, RabbitMQ, Consul: cargo xtask test --only distributed"]
async fn a_killed_broker_keeps_its_jobs_and_workers_reconnect() {
    let mut site = site("broker_killed", 12, 2_400).await;
    let queues = Queues::new("broker_killed").await;
    let jobs = enqueued(&site, &queues, "m");
    let workers: Vec<Worker> = (0..2)
        .map(|_| Worker::start(&mut site, &queues, "info"))
        .collect();
    while spans(&site, "m").await as u64 > jobs * 2 / 3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // They stand still until the broker is dead, as killing it takes a moment.
    for worker in &workers {
        worker.signal(Signal::STOP);
    }
    let left = spans(&site, "m").await;
    assert!(left > 0, "all was done before the broker was killed");
    services("down", "rabbitmq").await;
    for worker in &workers {
        worker.signal(Signal::CONT);
    }
    services("up", "rabbitmq").await;
    // Jobs are not enqueued again: the waiting ones survived.
    for _ in 0..1_800 {
        if spans(&site, "m").await == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(spans(&site, "m").await, 0);
    for worker in &workers {
        // The other one may have done all before this one has connected again.
        for _ in 0..600 {
            if worker.logged("waiting for jobs") >= 2 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(worker.logged("waiting for jobs") >= 2, "{}", worker.log());
    }
    finish(&site, &queues).await;
    let total = site.check().await;
    println!("{jobs} jobs, {left} left when the broker was killed; {total} ns");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra, RabbitMQ, Consul: cargo xtask test --only distributed"]
async fn a_stopping_worker_finishes_the_jobs_it_has_started() {
    let mut site = site("worker_stopped", 12, 2_400).await;
    let queues = Queues::new("worker_stopped").await;
    let jobs = enqueued(&site, &queues, "m");
    let mut worker = Worker::start(&mut site, &queues, "debug");
    while worker.logged("a job is done") < 5 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let pid = Pid::from_child(&worker.child);
    kill_process(pid, Signal::TERM).expect("it runs");
    let status = worker.child.wait().expect("it ran");
    assert!(status.success(), "{status}: {}", worker.log());
    let done = worker.logged("a job is done") as u64;
    let left = queues.waiting_until(jobs - done).await;
    assert_eq!(done + left, jobs, "{}", worker.log());
    assert_eq!(spans(&site, "m").await as u64, left);
    assert!(left > 0, "all was done before it was asked to stop");
    println!("{jobs} jobs, {done} done when asked to stop, {left} left");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra, RabbitMQ, Consul: cargo xtask test --only distributed"]
async fn a_job_that_the_broker_refuses_is_an_error() {
    let site = Site::new("not_taken", 1).await;
    let queues = Queues::new("not_taken").await;
    let queue = Queue::open(&queues.broker(), 1).await.expect("the broker");
    queue.put(vec![b"{}".to_vec()]).await.expect("taken");
    queues.delete().await;
    let error = queue.put(vec![b"{}".to_vec()]).await;
    let error = error.expect_err("there is no queue").to_string();
    assert!(error.contains("returned a message"), "{error}");
    let done = retention(&site, &queues, &["retain", "--resolution", "m"])
        .env("RABBITMQ_PORT", "1")
        .output();
    let done = done.expect("it runs");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(!done.status.success(), "{said}");
    assert!(said.contains("cannot use RabbitMQ"), "{said}");
    assert!(!said.contains(&queues.password), "the password is shown");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra, RabbitMQ, Consul: cargo xtask test --only distributed"]
async fn a_failed_job_goes_to_the_dead_queue_with_the_reason() {
    let mut site = site("dead_letters", 1, 60).await;
    let queues = Queues::new("dead_letters").await;
    let good = post(&seconds("rotten", 2, site.day, 1, 7));
    site.store.put(vec![good]).await.expect("stored");
    let rotten = format!(
        "INSERT INTO piece (container, resolution, span, start, source, form, bytes)
         VALUES ('rotten', 0, {day}, {day}, 0x07, 2, 0x07)",
        day = site.day
    );
    define(&site.address, &rotten).await;
    // Two half minutes of the good container, and one of the rotten.
    assert_eq!(enqueued(&site, &queues, "m"), 3);
    queues.put(b"{\"container\": 7}").await;
    let worker = Worker::start(&mut site, &queues, "trace");
    let dead = queues.dead(2).await;
    let of = |what: &str| {
        let found = dead.iter().find(|(body, _)| body.contains(what));
        found.expect("it is in the dead queue").1.clone()
    };
    assert!(of("7}").contains("not a job"), "{dead:?}");
    assert!(of("rotten").contains("did not write"), "{dead:?}");
    assert_eq!(worker.logged("a job failed and will be tried again"), 4);
    // The other jobs ran.
    let container = id("container000");
    let dirty = site
        .store
        .dirty_of(&container, Resolution::Second, 0..u64::MAX);
    assert_eq!(dirty.await.expect("answers"), Vec::<u64>::new());
    // The log never contains the password.
    let log = worker.log();
    assert!(log.contains("a job is done"), "{log}");
    assert!(!log.contains(&queues.password), "the password is logged");
}
