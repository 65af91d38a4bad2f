//! The agent logs the limits that the kernel side runs into, at level debug.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bubble_suite::bench::containers;
use bubble_suite::container::Spec;
use bubble_suite::{keeper, settings};
use tempfile::TempDir;

/// Starts an agent that logs at level debug. Its server does not exist.
fn agent(folder: &Path, log: &Path) -> Child {
    let spool = folder.join("spool");
    let hooks = settings::hooks();
    let mut args = vec!["--server", "http://127.0.0.1:1", "--api", "KEY"];
    args.extend(["--spool", spool.to_str().expect("text"), "--hooks", &hooks]);
    let extra_args = containers().expect("a container runner").agent_args();
    args.extend(extra_args.iter().map(String::as_str));
    let program = settings::program("bubble-agent").expect("a built agent");
    let cgroups: [&Path; 0] = [];
    let mut command = keeper::command(&program, &cgroups, args).expect("a built workload");
    command
        .env("BUBBLE_CONFIG", "/dev/null")
        .env("BUBBLE_BESIDE_OTHERS", "true")
        .env("BUBBLE_LOG", "debug")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(log).expect("a writable folder"));
    keeper::spawn(command).expect("a started agent")
}

/// Waits for a line with this text in the log, and returns the line.
fn wait_for_line(log: &Path, text: &str) -> String {
    let deadline = Instant::now() + settings::timeout(Duration::from_secs(30));
    loop {
        let lines = fs::read_to_string(log).expect("a readable log");
        if let Some(line) = lines.lines().find(|line| line.contains(text)) {
            return line.to_owned();
        }
        assert!(
            Instant::now() < deadline,
            "{text:?} is not in the log:\n{lines}"
        );
        sleep(Duration::from_millis(100));
    }
}

fn run(args: &[&str]) {
    let running = containers()
        .and_then(|containers| containers.start(&Spec::new(args)))
        .expect("a started container");
    running.wait().expect("a successful workload");
}

#[test]
fn limits_of_the_kernel_side_are_logged() {
    let folder = TempDir::new().expect("a folder");
    let log = folder.path().join("log");
    let mut agent = agent(folder.path(), &log);
    wait_for_line(&log, "counting, and posting");

    // The agent reads at most 8 KiB of arguments. This one is longer.
    let zeros = "0".repeat(9000);
    run(&["burn", "--seconds", "0.1", "--linger-ms", &zeros]);
    let cut = wait_for_line(&log, "kernel side: arguments are too long");
    let bytes: usize = cut
        .rsplit(' ')
        .next()
        .and_then(|amount| amount.parse().ok())
        .unwrap_or_else(|| panic!("no amount at the end of {cut:?}"));
    assert!((9000..10_000).contains(&bytes), "{cut}");

    // The kernel side sends at most 1 KiB of a path. This one is longer.
    let (_, shared) = containers().expect("a runner").shared();
    let deep = format!("{shared}{}", format!("/{}", "d".repeat(240)).repeat(5));
    run(&["file", "--by", "read-write", "--directory", &deep]);
    wait_for_line(&log, "kernel side: path too long or too deep");

    agent.kill().expect("a running agent");
    agent.wait().expect("a finished agent");
}
