//! The overhead in ns, on this host. The variants take turns.
//!
//! The measured program is pinned to one core, as in QEMU. On a virtual machine, waking another
//! core takes an arbitrary time, which hides what an observer adds.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context as _, Result, bail};

use super::measured::{
    Case, EMPTY_HOOKS, EMPTY_VARIANT, LoopResult, Measured, UNOBSERVED, report_all,
};
use crate::bench::example::Report;
use crate::build::program;
use crate::cgroup::Cgroup;
use crate::command::{find, output, say};
use crate::process::Process;
use crate::service::Service;
use crate::{install, project};

/// Passes of a case in one round. The median counts.
const PASSES: &str = "15";
/// Time for an observer to attach.
const ATTACH_DELAY: Duration = Duration::from_secs(3);
/// The name of the measured program's cgroup.
const CGROUP: &str = "bubble-bench";
/// The usual one-liner that counts system calls by cgroup.
const BPFTRACE_PROGRAM: &str = "tracepoint:raw_syscalls:sys_enter { @[cgroup] = count(); }";
/// Runs a command with tracefs mounted, in a mount namespace of its own. bpftrace reads tracepoints
/// there, and some hosts do not mount it.
const WITH_TRACEFS: &str = "mount -t tracefs tracefs /sys/kernel/tracing && exec \"$@\"";

/// An observer, or none.
enum Variant {
    None,
    Agent {
        name: &'static str,
        hooks: &'static str,
    },
    Bpftrace {
        program: PathBuf,
    },
    Empty {
        program: PathBuf,
    },
}

impl Variant {
    fn name(&self) -> &'static str {
        match self {
            Self::None => UNOBSERVED,
            Self::Agent { name, .. } => name,
            Self::Bpftrace { .. } => "bpftrace",
            Self::Empty { .. } => EMPTY_VARIANT,
        }
    }

    fn start(&self, agent: &Path, folder: &Path, cgroup: &Cgroup) -> Result<Option<Service>> {
        let command = match self {
            Self::None => return Ok(None),
            Self::Agent { hooks, .. } => {
                let mut command = Process::command(agent);
                command
                    .args(["--server", "http://127.0.0.1:1", "--api", "none"])
                    .args(["--hooks", hooks, "--cgroup", cgroup.path(), "--spool"])
                    .arg(folder.join("spool"))
                    .env("BUBBLE_BESIDE_OTHERS", "true");
                command
            }
            Self::Empty { program } => Process::command(program),
            Self::Bpftrace { program } => {
                let unshare = find("unshare").context("unshare is not installed")?;
                let mut command = Process::command(&unshare);
                command
                    .args(["--mount", "sh", "-c", WITH_TRACEFS, "sh"])
                    .arg(program)
                    .args(["-e", BPFTRACE_PROGRAM]);
                command
            }
        };
        let mut service = Service::start(self.name(), command, folder)?;
        thread::sleep(ATTACH_DELAY);
        service.check()?;
        Ok(Some(service))
    }
}

pub(super) fn run(
    programs: &[PathBuf],
    cases: &[Case],
    rounds: u32,
    report: &mut Report<'_>,
) -> Result<()> {
    if !install::is_root()? {
        bail!("measuring the overhead on this host needs root: run this as root");
    }
    let (agent, workload) = (
        program(programs, "bubble-agent")?,
        program(programs, "bubble-workload")?,
    );
    let folder = project::target().join("bench-overhead");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let cgroup = Cgroup::create(CGROUP)?;
    let variants = available(agent, program(programs, EMPTY_HOOKS)?, &folder, &cgroup)?;
    let mut measured: Vec<Measured> = Vec::new();
    for round in 1..=rounds {
        for variant in &variants {
            let name = variant.name();
            say(format!(
                "overhead on this host: round {round} of {rounds}, {name}"
            ));
            let _observer = variant.start(agent, &folder, &cgroup)?;
            for (case, count) in cases {
                let LoopResult {
                    median_ns, min_ns, ..
                } = measure(workload, &cgroup, case, *count)?;
                match measured
                    .iter_mut()
                    .find(|row| (row.case.as_str(), row.variant.as_str()) == (*case, name))
                {
                    Some(row) => {
                        row.rounds.push(median_ns);
                        row.min = row.min.min(min_ns);
                    }
                    None => measured.push(Measured {
                        case: (*case).to_owned(),
                        variant: name.to_owned(),
                        rounds: vec![median_ns],
                        min: min_ns,
                    }),
                }
            }
        }
    }
    report_all("this host", "ns", cases, &measured, report)
}

/// The last core that this process may run on.
fn last_core() -> Result<String> {
    let status =
        fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .context("/proc/self/status has no Cpus_allowed_list")?;
    let last = list.trim().rsplit([',', '-']).next();
    Ok(last.unwrap_or_default().to_owned())
}

/// The variants that start on this kernel. Names the others.
fn available(agent: &Path, empty: &Path, folder: &Path, cgroup: &Cgroup) -> Result<Vec<Variant>> {
    install::bpftrace()?;
    let bpftrace = find("bpftrace").context("bpftrace is not installed")?;
    let wanted = [
        Variant::Agent {
            name: "ours-vfs",
            hooks: "vfs",
        },
        Variant::Agent {
            name: "ours-syscall",
            hooks: "syscall",
        },
        Variant::Bpftrace { program: bpftrace },
        Variant::Empty {
            program: empty.to_owned(),
        },
    ];
    let mut available = vec![Variant::None];
    for variant in wanted {
        match variant.start(agent, folder, cgroup) {
            Ok(_) => available.push(variant),
            Err(error) => say(format!("leaving out {}: {error:#}", variant.name())),
        }
    }
    Ok(available)
}

/// Measures one case in the cgroup.
fn measure(workload: &Path, cgroup: &Cgroup, case: &str, count: u64) -> Result<LoopResult> {
    let line = output(
        Command::new("/bin/sh")
            .arg("-c")
            .arg(format!("{}exec \"$@\"", cgroup.script()))
            .args(["bench", "taskset", "--cpu-list", &last_core()?])
            .arg(workload)
            .args([
                "loop",
                case,
                "--count",
                &count.to_string(),
                "--rounds",
                PASSES,
            ]),
    )?;
    serde_json::from_str(&line).with_context(|| format!("cannot parse the result: {line}"))
}
