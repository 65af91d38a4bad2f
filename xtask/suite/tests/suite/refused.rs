//! Messages of the agent on a host that does not let it count: one sentence with the remedy, or with
//! what it counts instead. The agent's own tests cover cases that need no privileges.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use bubble_suite::settings;
use tempfile::TempDir;

/// A user without privileges.
const NOBODY: u32 = 65_534;
/// Shell script that hides BTF and executes its arguments.
const WITHOUT_BTF: &str = "mount -t tmpfs none /sys/kernel/btf && exec \"$@\"";

/// Adds the arguments of a normal agent to a command.
fn with_arguments(mut command: Command, spool: &Path) -> Command {
    command
        .args(["--server", "http://127.0.0.1:1", "--api", "KEY", "--spool"])
        .arg(spool)
        .env("BUBBLE_CONFIG", "/dev/null")
        .env("BUBBLE_BESIDE_OTHERS", "true")
        // This setting is for the suite. To the agent it would mean: these hooks or none.
        .env_remove("BUBBLE_HOOKS");
    command
}

fn agent() -> Command {
    Command::new(settings::program("bubble-agent").expect("a built agent"))
}

/// The agent in a mount namespace without BTF.
fn without_btf() -> Command {
    let program = settings::program("bubble-agent").expect("a built agent");
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-c", WITHOUT_BTF, "sh"])
        .arg(program);
    command
}

/// Runs the agent, which must fail, and returns the last line of its stderr.
fn refusal(mut command: Command) -> String {
    let output = command.output().expect("an executable agent");
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert!(
        !output.status.success(),
        "the agent was not refused: {stderr}"
    );
    let last = stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("bubble-agent: "), "{stderr}");
    last.to_owned()
}

fn assert_contains(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
}

#[test]
fn without_root_it_names_the_ways_to_get_privileges() {
    // Copied to where every user may execute it.
    let folder = TempDir::new_in("/tmp").expect("a folder");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("an own folder");
    let program = settings::copy_of_program("bubble-agent", folder.path()).expect("a copy");
    let mut command = with_arguments(Command::new(program), &folder.path().join("spool"));
    command.uid(NOBODY).gid(NOBODY);
    assert_contains(&refusal(command), &["needs root", "sudo", "--privileged"]);
}

#[test]
fn without_btf_it_falls_back_to_procfs() {
    let folder = TempDir::new().expect("a folder");
    let mut ebpf_only = with_arguments(without_btf(), folder.path());
    ebpf_only.args(["--source", "ebpf"]);
    let words = [
        "/sys/kernel/btf/vmlinux",
        "CONFIG_DEBUG_INFO_BTF",
        "--source procfs",
    ];
    assert_contains(&refusal(ebpf_only), &words);

    let mut child = with_arguments(without_btf(), folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .expect("an executable agent");
    let stderr = child.stderr.take().expect("a piped stderr");
    let mut log = String::new();
    for line in BufReader::new(stderr).lines() {
        log += &line.expect("text");
        if log.contains("counting, and posting") {
            break;
        }
    }
    child.kill().expect("a running agent");
    child.wait().expect("a finished agent");
    assert_contains(
        &log,
        &[
            "only what /proc tells is counted",
            "bubble-agent doctor",
            "hooks=\"procfs\"",
        ],
    );
}

#[test]
fn a_port_in_use_and_an_impossible_spool_are_named() {
    let folder = TempDir::new().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("a bound listener").to_string();
    let mut command = with_arguments(agent(), folder.path());
    command.args(["--source", "procfs", "--metrics-listen", &address]);
    assert_contains(&refusal(command), &[&address, "in use", "--metrics-listen"]);

    let mut command = with_arguments(agent(), Path::new("/proc/no/spool"));
    command.args(["--source", "procfs"]);
    assert_contains(&refusal(command), &["/proc/no/spool", "--spool"]);
}

/// Two agents would count everything twice.
#[test]
fn one_agent_counts_on_a_host() {
    let folder = TempDir::new().expect("a folder");
    let start = |command: Command, name: &str| {
        let mut command = with_arguments(command, &folder.path().join(name));
        command.env_remove("BUBBLE_BESIDE_OTHERS");
        command
    };
    let mut first = start(agent(), "first")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("an executable agent");
    let log = BufReader::new(first.stderr.take().expect("a pipe"));
    let counts = log
        .lines()
        .map_while(Result::ok)
        .any(|line| line.contains("counting, and posting to"));
    let pid = first.id().to_string();
    // Beside it, and where its process cannot be seen.
    let mut elsewhere = Command::new("unshare");
    elsewhere.args([
        "-p",
        "-f",
        "-m",
        "sh",
        "-c",
        "mount -t proc proc /proc && exec \"$@\"",
        "sh",
    ]);
    elsewhere.arg(settings::program("bubble-agent").expect("a built agent"));
    let seconds = [(agent(), pid.as_str()), (elsewhere, "not visible here")];
    let refused = seconds.map(|(command, holder)| (refusal(start(command, "second")), holder));
    first.kill().expect("it ran");
    first.wait().expect("it ran");
    assert!(counts, "the first agent does not count");
    for (error, holder) in refused {
        assert_contains(&error, &["another bubble-agent", holder, "--beside-others"]);
    }
}
