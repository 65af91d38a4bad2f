//! What the agent says where the host does not let it count: one sentence with what to do, or what
//! it counts instead. What takes no privilege to try is among the agent's own tests.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use bubble_suite::settings;
use tempfile::TempDir;

/// A user without rights.
const NOBODY: u32 = 65_534;
/// Becomes what follows, where the kernel seems to tell nothing of its types.
const WITHOUT_BTF: &str = "mount -t tmpfs none /sys/kernel/btf && exec \"$@\"";

/// Gives a program the arguments of an agent that would count.
fn counting(mut command: Command, spool: &Path) -> Command {
    command
        .args(["--server", "http://127.0.0.1:1", "--api", "KEY", "--spool"])
        .arg(spool)
        .env("BUBBLE_CONFIG", "/dev/null")
        // The suite's own setting, which to the agent means these hooks or none.
        .env_remove("BUBBLE_HOOKS");
    command
}

fn agent() -> Command {
    Command::new(settings::program("bubble-agent").expect("it is built"))
}

/// The agent where there is no BTF.
fn without_btf() -> Command {
    let program = settings::program("bubble-agent").expect("it is built");
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-c", WITHOUT_BTF, "sh"])
        .arg(program);
    command
}

/// The sentence that it fails with, after what it logged.
fn refusal(mut command: Command) -> String {
    let output = command.output().expect("it runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(!output.status.success(), "it was not refused: {said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("bubble-agent: "), "{said}");
    last.to_owned()
}

fn has(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word} is not in: {said}");
    }
}

#[test]
fn without_root_it_says_who_may() {
    // Where everyone may execute it.
    let folder = TempDir::new_in("/tmp").expect("a folder");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("it is ours");
    let program = folder.path().join("bubble-agent");
    let built = settings::program("bubble-agent").expect("it is built");
    fs::copy(built, &program).expect("there is room");
    let mut command = counting(Command::new(program), &folder.path().join("spool"));
    command.uid(NOBODY).gid(NOBODY);
    has(&refusal(command), &["needs root", "sudo", "--privileged"]);
}

#[test]
fn without_btf_it_says_so_and_counts_what_it_can() {
    let folder = TempDir::new().expect("a folder");
    let mut insists = counting(without_btf(), folder.path());
    insists.args(["--source", "ebpf"]);
    let words = [
        "/sys/kernel/btf/vmlinux",
        "CONFIG_DEBUG_INFO_BTF",
        "--source procfs",
    ];
    has(&refusal(insists), &words);

    let mut child = counting(without_btf(), folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let stderr = child.stderr.take().expect("it is piped");
    let mut said = String::new();
    for line in BufReader::new(stderr).lines() {
        said += &line.expect("text");
        if said.contains("counting, and posting") {
            break;
        }
    }
    child.kill().expect("it runs");
    child.wait().expect("it ran");
    has(
        &said,
        &[
            "only what /proc tells is counted",
            "bubble-agent doctor",
            "hooks=\"procfs\"",
        ],
    );
}

#[test]
fn a_port_in_use_and_a_spool_that_cannot_be_are_named() {
    let folder = TempDir::new().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let mut command = counting(agent(), folder.path());
    command.args(["--source", "procfs", "--metrics-listen", &address]);
    has(&refusal(command), &[&address, "in use", "--metrics-listen"]);

    let mut command = counting(agent(), Path::new("/proc/no/spool"));
    command.args(["--source", "procfs"]);
    has(&refusal(command), &["/proc/no/spool", "--spool"]);
}
