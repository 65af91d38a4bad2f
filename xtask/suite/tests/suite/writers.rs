//! Containers that write all the time, and the comparison of their writes with the store.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use bubble_suite::bench::{Bench, containers, find};
use bubble_suite::container::{Finished, Running, Spec};
use bubble_suite::{pulse, settings};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Containers that write a small file of their own again and again.
pub(crate) struct Writers {
    running: Vec<Box<dyn Running>>,
    until: PathBuf,
}

impl Writers {
    pub(crate) fn start(name: &str, intervals_ms: &[&str]) -> Self {
        let runner = containers().expect("a container runner");
        let (here, there) = runner.shared();
        let start = |interval: &&str| {
            let until = format!("{there}/{name}");
            let count = ["pulse", "--count", "1000000"];
            let rest = ["--interval-ms", interval, "--until", &until];
            let spec = Spec::new(&[&count[..], &rest[..]].concat());
            runner.start(&spec).expect("a started container")
        };
        Self {
            running: intervals_ms.iter().map(start).collect(),
            until: here.join(name),
        }
    }

    pub(crate) fn stop(self) -> Vec<Finished> {
        fs::write(&self.until, "").expect("a writable shared folder");
        let wait = |running: Box<dyn Running>| running.wait().expect("a successful workload");
        let finished = self.running.into_iter().map(wait).collect();
        fs::remove_file(&self.until).expect("a removable file");
        finished
    }
}

/// Waits until every write is stored, and checks that each is stored once.
pub(crate) fn check(bench: &Bench, finished: &[Finished]) {
    let api = bench.server.api();
    for finished in finished {
        let id = find(api, &finished.name, Some("ended"))
            .expect("a known container")
            .id;
        let deadline = Instant::now() + settings::timeout(Duration::from_secs(30));
        let missing = loop {
            let missing = pulse::missing(api, &id, finished).expect("no pulse stored twice");
            if missing.is_empty() || Instant::now() > deadline {
                break missing;
            }
            sleep(Duration::from_millis(300));
        };
        let all = finished.truth.pulses.len();
        println!(
            "{}: {} of {all} writes are stored, each once",
            finished.name,
            all - missing.len()
        );
        assert!(
            missing.is_empty(),
            "of {all} writes {} are missing: {missing:?}; end of the agent's log:\n{}",
            missing.len(),
            bench.agent.log_tail()
        );
        assert!(all > 0, "nothing was written");
    }
}

/// Random numbers from a seed, which is printed.
pub(crate) fn random() -> StdRng {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("a time after 1970");
    let seed = settings::number("BUBBLE_SEED", u64::from(since.subsec_nanos())).expect("a seed");
    println!("reproduce with BUBBLE_SEED={seed}");
    StdRng::seed_from_u64(seed)
}
