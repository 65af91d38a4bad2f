//! `bubble-agent run`: one command, counted to its last byte and process, with its own exit code.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use bubble_suite::bench::Bench;
use bubble_suite::settings;
use serde_json::Value;
use tempfile::TempDir;

/// A user without privileges.
const NOBODY: u32 = 65_534;

/// A folder with a copy of the agent, which every user may use.
pub(crate) struct Folder {
    folder: TempDir,
    agent: PathBuf,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new_in("/tmp").expect("a folder");
        let all = Permissions::from_mode(0o777);
        fs::set_permissions(folder.path(), all).expect("an own folder");
        let agent = settings::copy_of_program("bubble-agent", folder.path()).expect("a copy");
        Self { folder, agent }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// `bubble-agent run` with these flags, in the folder.
    pub(crate) fn command(&self, flags: &[&str], command: &[&str]) -> Command {
        let mut run = Command::new(&self.agent);
        run.arg("run").args(flags).arg("--").args(command);
        self.surroundings(&mut run);
        run
    }

    fn surroundings(&self, command: &mut Command) {
        command
            .current_dir(self.path())
            .stdin(Stdio::null())
            .env_remove("GITHUB_STEP_SUMMARY");
        // This setting is for the suite. To the agent it would mean: these hooks or none.
        if settings::hooks() == "auto" {
            command.env_remove("BUBBLE_HOOKS");
        }
    }

    /// Runs a script of the shell. Returns its output and the report.
    fn run(&self, flags: &[&str], script: &str) -> (Output, Value) {
        let flags = [
            flags,
            &["--json", "--output", "report.json", "--top", "1000"],
        ]
        .concat();
        let mut run = self.command(&flags, &["sh", "-c", script]);
        let output = run.output().expect("an executable agent");
        (output, self.report())
    }

    /// The report that the run wrote.
    pub(crate) fn report(&self) -> Value {
        let text = fs::read_to_string(self.path().join("report.json")).expect("a report");
        serde_json::from_str(&text).expect("JSON")
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The row of a command.
fn command<'a>(report: &'a Value, name: &str) -> &'a Value {
    let rows = report["processes"]["commands"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["name"] == name);
    row.unwrap_or_else(|| panic!("no {name} in {rows:#?}"))
}

/// The sums of a file.
fn file<'a>(report: &'a Value, path: &Path) -> &'a Value {
    let rows = report["files"]["by_file"]["rows"].as_array().expect("rows");
    let row = rows
        .iter()
        .find(|row| row["path"].as_str() == path.to_str());
    &row.unwrap_or_else(|| panic!("no {} in {rows:#?}", path.display()))["sums"]
}

pub(crate) fn assert_nothing_lost(report: &Value) {
    let losses = report["losses"].as_array().expect("losses");
    // A library is mapped, and so is the program itself. An agent that had to wait for a core reads two
    // seconds as one, which loses no sum.
    let is_expected = |loss: &&Value| loss["reason"] == "mapped_file" || loss["reason"] == "late";
    let lost = losses.iter().filter(|loss| !is_expected(loss));
    assert_eq!(lost.count(), 0, "{losses:?}");
    // The suite may run in a cgroup with a weight.
    let missing = report["missing"].as_array().expect("sentences");
    let mut missing = missing.iter().filter_map(Value::as_str);
    let other = missing.find(|sentence| !sentence.starts_with("what only the cgroup controller"));
    assert_eq!(other, None);
}

#[test]
fn a_thousand_processes_of_20_ms_are_all_in_the_report() {
    let folder = Folder::new();
    let (output, report) = folder.run(&[], "seq 1000 | xargs -I_ -P 40 sleep 0.02");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(command(&report, "sleep")["processes"], 1_000);
    // The shell, seq, xargs; and the processes that xargs starts are those of sleep.
    assert_eq!(report["processes"]["started"], 1_003);
    assert_eq!(report["processes"]["ended"], 1_003);
    assert_eq!(report["processes"]["failed"], 0);
    assert_eq!(report["folded"]["processes"], false);
    assert_nothing_lost(&report);
    let subtree = command(&report, "xargs")["with_children"]["cpu_ns"].as_u64();
    let own = command(&report, "sleep")["own"]["cpu_ns"].as_u64();
    assert!(subtree > own, "{subtree:?} {own:?}");
    // All of the cgroup's time is in processes, but for what the kernel rounds.
    let time = report["cpu"]["time_ns"].as_f64().expect("a number");
    let unseen = report["cpu"]["in_no_process_ns"]
        .as_f64()
        .expect("a number");
    assert!(unseen < 0.10 * time, "{unseen} of {time}");
}

#[test]
fn the_fields_of_other_tools() {
    let folder = Folder::new();
    let script = "head -c 1000003 /dev/zero > new; cat new > /dev/null; exit 7";
    let written = |format: &str| {
        let flags = ["--format", format, "--output", "report", "--name", "mine"];
        let mut run = folder.command(&flags, &["sh", "-c", script]);
        let output = run.output().expect("an executable agent");
        assert_eq!(output.status.code(), Some(7));
        fs::read_to_string(folder.path().join("report")).expect("a report")
    };
    let time = written("time");
    assert!(time.contains("\tCommand being timed: \"mine\"\n"), "{time}");
    assert!(time.ends_with("\tExit status: 7\n"), "{time}");
    let trace = written("nextflow");
    let value = |name: &str| -> u64 {
        let line = trace.lines().find_map(|line| line.strip_prefix(name));
        let digits = line.and_then(|line| line.strip_prefix('='));
        digits
            .unwrap_or_else(|| panic!("no {name}: {trace}"))
            .parse()
            .expect("a number")
    };
    assert!(trace.starts_with("nextflow.trace/v2\n"), "{trace}");
    // Into the file and to /dev/null; the loader reads a little, too.
    assert_eq!(value("wchar"), 2 * 1_000_003);
    assert!(value("rchar") > 2 * 1_000_003, "{trace}");
    let benchmark = written("snakemake");
    let [names, values] = &benchmark.lines().collect::<Vec<_>>()[..] else {
        panic!("not two lines: {benchmark}");
    };
    assert_eq!(names.split('\t').count(), values.split('\t').count());
    assert!(names.starts_with("s\th:m:s\tmax_rss\t"), "{names}");
}

#[test]
fn bytes_are_exact_and_standard_output_is_that_of_the_command() {
    let folder = Folder::new();
    let script = "head -c 1000003 /dev/zero > new; cat new new | wc -c; echo to stderr >&2; exit 7";
    let (output, report) = folder.run(&["--name", "test"], script);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(text(&output.stdout), "2000006\n");
    assert_eq!(text(&output.stderr), "to stderr\n");
    let new = file(&report, &folder.path().join("new"));
    assert_eq!(new["written_bytes"], 1_000_003);
    assert_eq!(new["read_bytes"], 2_000_006);
    assert_eq!(report["container"]["name"], "test");
    assert_eq!(report["container"]["exit_code"], 7);
    assert_eq!(report["processes"]["failed"], 1);
    // The loader reads a little of its libraries, too.
    let read = command(&report, "cat")["own"]["files"]["read_bytes"].as_u64();
    assert!(read >= Some(2_000_006), "{read:?}");
    assert_nothing_lost(&report);
}

#[test]
fn exit_codes_are_those_of_a_shell() {
    let folder = Folder::new();
    let plain = folder.path().join("plain");
    fs::write(&plain, "no program").expect("a file");
    let plain = plain.to_str().expect("text");
    let cases: [(&[&str], i32); 5] = [
        (&["true"], 0),
        (&["sh", "-c", "kill -KILL $$"], 137),
        (&["no-such-program-anywhere"], 127),
        (&[plain], 126),
        (&["/tmp"], 126),
    ];
    for (command, code) in cases {
        let output = folder.command(&[], command).output().expect("it runs");
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{command:?}: {stderr}");
    }
    let flags = ["--output", "/no/such/folder/report"];
    let output = folder.command(&flags, &["touch", "made"]).output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
    assert!(
        !folder.path().join("made").exists(),
        "the command must not run"
    );
}

#[test]
fn signals_are_passed_on() {
    let folder = Folder::new();
    let script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    let mut run = folder.command(&[], &["sh", "-c", script]);
    let mut run = run
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut stdout = BufReader::new(run.stdout.take().expect("a pipe"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");
    let sent = Command::new("kill")
        .args(["-TERM", &run.id().to_string()])
        .status();
    assert!(sent.expect("kill").success());
    let mut stderr = String::new();
    let mut pipe = run.stderr.take().expect("a pipe");
    pipe.read_to_string(&mut stderr).expect("text");
    assert_eq!(run.wait().expect("it ends").code(), Some(9), "{stderr}");
    assert!(stderr.contains("exit code 9"), "{stderr}");
}

#[test]
fn it_ends_with_the_last_process_or_with_the_command() {
    let folder = Folder::new();
    let script = "(sleep 1.5; head -c 77 /dev/zero > late) >/dev/null 2>&1 & exit 3";
    let (output, report) = folder.run(&[], script);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        file(&report, &folder.path().join("late"))["written_bytes"],
        77
    );
    assert!(
        report["time"]["wall_seconds"].as_f64() > Some(1.4),
        "{}",
        report["time"]
    );

    let script = "sleep 300 >/dev/null 2>&1 & echo $!; exit 4";
    let (output, _) = folder.run(&["--no-wait"], script);
    let pid = text(&output.stdout).trim().to_owned();
    let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup"));
    let killed = Command::new("kill").arg(&pid).status().expect("kill");
    assert_eq!(output.status.code(), Some(4));
    assert!(killed.success(), "it has ended with the agent");
    // It is back where the caller is, and the cgroup of the run is gone.
    let own = fs::read_to_string("/proc/self/cgroup").expect("cgroups");
    assert_eq!(cgroup.expect("it runs"), own);
}

#[test]
fn without_privileges_it_counts_what_procfs_tells() {
    let folder = Folder::new();
    let mut run = Command::new("setpriv");
    run.args(["--reuid", "65534", "--clear-groups", "--bounding-set=-all"]);
    run.arg(&folder.agent);
    run.args(["run", "--json", "--output", "report.json", "--", "sh", "-c"]);
    // Short processes are in the sum, though no scan sees them.
    run.arg("i=0; while [ $i -lt 300 ]; do expr $i >/dev/null; i=$((i+1)); done; id -u; exit 5");
    folder.surroundings(&mut run);
    run.env_remove("BUBBLE_HOOKS");
    let output = run.output().expect("setpriv");
    assert_eq!(output.status.code(), Some(5), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), format!("{NOBODY}\n"));
    let report = folder.report();
    assert_eq!(report["container"]["hooks"], "procfs");
    assert_eq!(report["container"]["exit_code"], 5);
    assert!(
        report["cpu"]["time_ns"].as_u64() > Some(50_000_000),
        "{}",
        report["cpu"]
    );
    let missing = report["missing"].to_string();
    assert!(missing.contains("does not run as root"), "{missing}");
}

#[test]
fn under_sudo_the_command_is_that_of_who_asked() {
    let folder = Folder::new();
    let script = "id -u; echo $HOME $SUDO_UID; pwd; ulimit -n; echo $KEPT";
    let mut run = folder.command(&["--output", "report"], &["sh", "-c", script]);
    let sudo = format!("{} run -- sh", folder.agent.display());
    run.env("SUDO_UID", NOBODY.to_string())
        .env("SUDO_GID", NOBODY.to_string())
        .env("SUDO_COMMAND", sudo)
        .env("KEPT", "kept");
    let output = run.output().expect("it runs");
    let stdout = text(&output.stdout);
    let limit = Command::new("sh").args(["-c", "ulimit -n"]).output();
    let limit = text(&limit.expect("a shell").stdout);
    let lines: Vec<&str> = stdout.lines().collect();
    let path = folder.path().to_str().expect("text");
    assert_eq!(lines[0], NOBODY.to_string(), "{}", text(&output.stderr));
    assert_eq!(lines[1], "/nonexistent", "its home, and nothing of sudo");
    assert_eq!(lines[2..], [path, limit.trim(), "kept"]);
    let owner = std::os::unix::fs::MetadataExt::uid(
        &fs::metadata(folder.path().join("report")).expect("a report"),
    );
    assert_eq!(owner, NOBODY);
}

/// An agent counts on the host already, and posts to the same server. The run is another container, and
/// its agent is not one of the host.
#[test]
fn a_run_is_posted_beside_an_agent_of_the_host() {
    let bench = Bench::shared().lock();
    let bench = bench.unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = Folder::new();
    let (url, key) = (bench.server.url(), bench.server.key().to_owned());
    let flags = ["--server", &url, "--api", &key, "--name", "posted-run"];
    let (output, report) = folder.run(&flags, "head -c 1000003 /dev/zero > new; sleep 1.2");
    let stderr = text(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let id = report["container"]["id"].as_str().expect("an id");
    assert!(
        stderr.contains(&format!("posted to {url}/c/{id}")),
        "{stderr}"
    );
    let path = format!("/api/v1/containers/{id}/report?top=1000");
    let stored = bench.server.api().json(&path).expect("a report");
    for field in [
        "container",
        "files",
        "network",
        "processes",
        "events",
        "losses",
    ] {
        assert_eq!(stored[field], report[field], "{field}");
    }
    assert_eq!(stored["cpu"]["time_ns"], report["cpu"]["time_ns"]);
    assert_eq!(
        stored["time"]["wall_seconds"],
        report["time"]["wall_seconds"]
    );
    let container = bench.server.api().container(id).expect("an answer");
    let container = container.expect("the run");
    assert_eq!(
        (container.name.as_str(), container.state.as_str()),
        ("posted-run", "ended")
    );
    assert_eq!(container.exit_code, Some(0));
    let hosts = bench.server.api().json("/api/v1/hosts").expect("hosts");
    let hosts = hosts["hosts"].as_array().expect("a list");
    assert_eq!(hosts.len(), 1);
    assert_eq!(hosts[0]["agents"], 1);
}
