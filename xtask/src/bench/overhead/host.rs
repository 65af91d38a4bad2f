//! The overhead in ns, on this host: the variants take turns. What is measured is held to one core, as it is
//! in QEMU: to wake another one takes a hypervisor any time, more than what anyone adds.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use super::{Case, EMPTY, EMPTY_VARIANT, Loop, Measured, NONE, Report, report_all};
use crate::{
    build::program,
    cgroup::Cgroup,
    command::{find, output, say},
    install,
    process::Process,
    project,
    service::Service,
};

/// How often a case is repeated in one turn; the middle counts.
const PASSES: &str = "15";
/// Until an observer has attached.
const SETTLE: Duration = Duration::from_secs(3);
/// The cgroup of what is measured, from the root of each hierarchy.
const CGROUP: &str = "/bubble-bench";
/// What one writes to see who calls the kernel how often.
const BPFTRACE: &str = "tracepoint:raw_syscalls:sys_enter { @[cgroup] = count(); }";
/// bpftrace looks for tracepoints in tracefs, which not every host has mounted: it gets a mount of
/// its own, which goes with it.
const IN_TRACEFS: &str = "mount -t tracefs tracefs /sys/kernel/tracing && exec \"$@\"";

/// Someone who watches, or nobody.
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
            Self::None => NONE,
            Self::Agent { name, .. } => name,
            Self::Bpftrace { .. } => "bpftrace",
            Self::Empty { .. } => EMPTY_VARIANT,
        }
    }

    fn start(&self, agent: &Path, folder: &Path) -> Result<Option<Service>> {
        let command = match self {
            Self::None => return Ok(None),
            Self::Agent { hooks, .. } => {
                let mut command = Process::command(agent);
                command
                    .args(["--server", "http://127.0.0.1:1", "--api", "none"])
                    .args(["--hooks", hooks, "--cgroup", CGROUP, "--spool"])
                    .arg(folder.join("spool"));
                command
            }
            Self::Empty { program } => Process::command(program),
            Self::Bpftrace { program } => {
                let unshare = find("unshare").context("there is no unshare")?;
                let mut command = Process::command(&unshare);
                command
                    .args(["--mount", "sh", "-c", IN_TRACEFS, "sh"])
                    .arg(program)
                    .args(["-e", BPFTRACE]);
                command
            }
        };
        let mut service = Service::start(self.name(), command, folder)?;
        thread::sleep(SETTLE);
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
        bail!("the overhead on this host is measured by root: run this as root");
    }
    let (agent, workload) = (
        program(programs, "bubble-agent")?,
        program(programs, "bubble-workload")?,
    );
    let folder = project::target().join("bench-overhead");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let cgroup = Cgroup::create(CGROUP)?;
    let variants = available(agent, program(programs, EMPTY)?, &folder)?;
    let mut measured: Vec<Measured> = Vec::new();
    for round in 1..=rounds {
        for variant in &variants {
            let name = variant.name();
            say(format!(
                "overhead on this host: round {round} of {rounds}, {name}"
            ));
            let _observer = variant.start(agent, &folder)?;
            for (case, count) in cases {
                let Loop {
                    median_ns, min_ns, ..
                } = measure(workload, &cgroup, case, *count)?;
                match measured
                    .iter_mut()
                    .find(|row| (row.case.as_str(), row.variant.as_str()) == (*case, name))
                {
                    Some(row) => {
                        row.turns.push(median_ns);
                        row.best = row.best.min(min_ns);
                    }
                    None => measured.push(Measured {
                        case: (*case).to_owned(),
                        variant: name.to_owned(),
                        turns: vec![median_ns],
                        best: min_ns,
                    }),
                }
            }
        }
    }
    report_all("this host", "ns", cases, &measured, report)
}

/// The last of the cores that we may run on.
fn last_core() -> Result<String> {
    let status =
        fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .context("/proc/self/status does not tell on which cores we may run")?;
    let last = list.trim().rsplit([',', '-']).next();
    Ok(last.unwrap_or_default().to_owned())
}

/// The variants that this kernel allows; those that it refuses are named.
fn available(agent: &Path, empty: &Path, folder: &Path) -> Result<Vec<Variant>> {
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
        match variant.start(agent, folder) {
            Ok(_) => available.push(variant),
            Err(error) => say(format!("{} does not run here: {error:#}", variant.name())),
        }
    }
    Ok(available)
}

/// Some passes of one case, in the cgroup.
fn measure(workload: &Path, cgroup: &Cgroup, case: &str, count: u64) -> Result<Loop> {
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
    serde_json::from_str(&line).with_context(|| format!("not a result: {line}"))
}
