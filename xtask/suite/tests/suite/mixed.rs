//! Loads of real programs: what is stored of each process against the kernel's own sums of bytes read
//! and written (docs/witness.md).

use std::ffi::OsString;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bubble_suite::api::Ledger;
use bubble_suite::reconcile::{Reconciled, reconcile};
use bubble_suite::server::free_port;
use bubble_suite::settings;
use bubble_suite::witness::{Load, Witness};
use bubble_workload::witnessed::{Bytes, Witnessed, WitnessedProcess};
use serde_json::json;

/// Maximum share of unexplained bytes if losses are stored. Without losses, every byte is right.
const MAX_UNEXPLAINED: f64 = 0.001;
/// Time that a part has to end after its seconds are over.
const GRACE: Duration = Duration::from_secs(120);

/// A part of the load: a script that takes a folder, seconds and free ports.
struct Part {
    name: &'static str,
    interpreter: &'static [&'static str],
    script: &'static str,
    ports: usize,
    /// Length of a round, seconds. Each round is a container of its own, so short that its seconds are
    /// still stored at its end, and that few processes are folded into one row.
    round: u64,
}

const PYTHON: &[&str] = &["/usr/bin/env", "python3"];

const PROGRAMS: [Part; 4] = [
    Part {
        name: "compiler",
        interpreter: &["/bin/sh"],
        script: include_str!("../../load/compiler.sh"),
        ports: 0,
        round: 20,
    },
    Part {
        name: "database",
        interpreter: &["/bin/sh"],
        script: include_str!("../../load/database.sh"),
        ports: 1,
        round: 300,
    },
    Part {
        name: "web",
        interpreter: PYTHON,
        script: include_str!("../../load/web.py"),
        ports: 2,
        round: 1200,
    },
    Part {
        name: "pools",
        interpreter: PYTHON,
        script: include_str!("../../load/pools.py"),
        ports: 0,
        round: 1200,
    },
];

/// All that a guest has.
const BUSYBOX: Part = Part {
    name: "busybox",
    interpreter: &["/bin/busybox", "sh"],
    script: include_str!("../../load/shell.sh"),
    ports: 1,
    round: 60,
};

impl Part {
    /// Runs rounds until `seconds` are over.
    fn run(&self, witness: &Witness, seconds: u64) -> Result<Reconciled> {
        let end = Instant::now() + Duration::from_secs(seconds);
        let mut sum = Reconciled::default();
        for number in 0.. {
            let left = end.saturating_duration_since(Instant::now()).as_secs();
            if number > 0 && left == 0 {
                break;
            }
            let round = self.round(witness, number, left.clamp(1, self.round))?;
            println!("{}, round {number}:\n{round}", self.name);
            sum.add(round);
        }
        Ok(sum)
    }

    fn round(&self, witness: &Witness, number: u32, seconds: u64) -> Result<Reconciled> {
        let name = format!("{}-{number}", self.name);
        let folder = witness.folder().join(&name);
        fs::create_dir_all(&folder)?;
        let script = witness.folder().join(format!("{name}.script"));
        fs::write(&script, self.script)?;
        let mut command: Vec<OsString> = self.interpreter.iter().map(OsString::from).collect();
        command.extend([script.into(), folder.clone().into()]);
        command.push(seconds.to_string().into());
        for _ in 0..self.ports {
            command.push(free_port("127.0.0.1")?.to_string().into());
        }
        let round = witness.run(&Load {
            name: &name,
            command,
            limit: Duration::from_secs(seconds) + GRACE,
        })?;
        fs::remove_dir_all(&folder)?;
        Ok(round)
    }
}

/// Runs all parts side by side, and compares the sums.
fn run(name: &str, parts: &[Part], seconds: u64) -> Result<()> {
    let witness = &Witness::new(name)?;
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = parts
            .iter()
            .map(|part| scope.spawn(move || part.run(witness, seconds).context(part.name)))
            .collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    let mut sum = Reconciled::default();
    for result in results {
        sum.add(result.map_err(|_| anyhow::anyhow!("the thread of a part panicked"))??);
    }
    println!("all parts:\n{sum}");
    let allowed = if sum.losses.is_empty() {
        0.0
    } else {
        MAX_UNEXPLAINED
    };
    ensure!(
        sum.unexplained_share() <= allowed,
        "the stored data differs from the kernel's own sums:\n{sum}"
    );
    Ok(())
}

/// A compiler, a database, a web server and Python with pools.
#[test]
fn programs() {
    let seconds = settings::number("BUBBLE_MIXED_SECONDS", 20).expect("a number of seconds");
    if let Err(error) = run("mixed", &PROGRAMS, seconds) {
        panic!("{error:#}");
    }
}

/// The programs of busybox, with which it runs in a guest.
#[test]
fn busybox() {
    if let Err(error) = run("busybox", &[BUSYBOX], 3) {
        panic!("{error:#}");
    }
}

/// The comparison itself: each byte that is stored too much, too little or elsewhere is a difference.
#[test]
fn every_byte_is_compared() {
    let process = |key: &str| json!({"key": key, "container_pid": 7, "uid": 0, "name": "cat", "exe": "/bin/cat", "args": [], "exit": null, "cpu_ns": 0});
    let file = |key: &str, bytes: u64| {
        json!({"process": key, "path": "/a", "kind": "file", "bytes_in": bytes, "bytes_out": 0,
            "ops_in": 1, "ops_out": 0, "opens": 1})
    };
    let unexplained = |files: &[(&str, u64)]| {
        let ledger = json!({
            "summary": {"container": {"id": "a", "state": "ended", "first_seen": 0.0,
                "last_seen": 0.0, "exit_code": null}, "covered": [], "partial": [], "files": {"rows": []},
                "memory": {"current": [], "shared": [], "at_one_time": []}, "totals": {},
                "accounting": {"process_cpu_ns": 0, "cgroup_cpu_ns": null}},
            "processes": [process("7-5000000000-0"), process("7-5000000000-1"),
                process("7-9000000000-0"), process("0-0-0-cat")],
            "files": files.iter().map(|(key, bytes)| file(key, *bytes)).collect::<Vec<_>>(),
            "connections": [],
        });
        let ledger: Ledger = serde_json::from_value(ledger).expect("a ledger");
        let process = WitnessedProcess {
            pid: 7,
            start_ns: 5_004_000_000,
            io: Bytes {
                read: 110,
                written: 0,
            },
            exec_read: 10,
            ..WitnessedProcess::default()
        };
        let witnessed = Witnessed {
            processes: vec![process],
            exit_code: 0,
        };
        reconcile(&witnessed, &ledger).unexplained
    };
    assert_eq!(
        unexplained(&[("7-5000000000-0", 60), ("7-5000000000-1", 40)]),
        0
    );
    assert_eq!(unexplained(&[("7-5000000000-1", 99)]), 1);
    // The same pid at another time, a folded row, and a row that no process has.
    for other in ["7-9000000000-0", "0-0-0-cat", "8-5000000000-0"] {
        assert_eq!(
            unexplained(&[("7-5000000000-1", 100), (other, 3)]),
            3,
            "{other}"
        );
    }
    for other in ["7-9000000000-0", "8-5000000000-0"] {
        assert_eq!(unexplained(&[(other, 100)]), 200, "{other}");
    }
    // Folding moves bytes into another row, and changes no sum.
    assert_eq!(unexplained(&[("7-5000000000-0", 30), ("0-0-0-cat", 70)]), 0);
    assert_eq!(
        unexplained(&[("7-5000000000-0", 30), ("0-0-0-cat", 60)]),
        10
    );
    assert_eq!(
        unexplained(&[("7-5000000000-0", 130), ("0-0-0-cat", 70)]),
        100
    );
}
