//! CPU and memory of the agent on a busy host.
//!
//! The agent watches 100 containers with 2,000 processes and posts to a real server. Each process
//! writes and reads a file every second.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, Result, bail};
use serde_json::Map;

use super::example::{NoFlags, Report};
use super::row::Row;
use crate::build::{self, Profile, program};
use crate::cgroup::Cgroup;
use crate::command::say;
use crate::process::Process;
use crate::service::{Server, Service, free_port};
use crate::{install, project};

const CONTAINERS: usize = 100;
const PROCESSES_PER_CONTAINER: usize = 20;
/// Time to start everything, and for the agent to see every process.
const WARM_UP_TIME: Duration = Duration::from_secs(20);
const MEASURED_TIME: Duration = Duration::from_secs(60);
/// Ticks of /proc/PID/stat per second: the kernel's `USER_HZ` on x86.
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) fn run(report: &mut Report<'_>, arguments: &[String]) -> Result<()> {
    let NoFlags {} = super::example::flags("agent", arguments);
    if !install::is_root()? {
        bail!("the agent needs root to count in the kernel: run this as root");
    }
    let programs = build::programs(Profile::Release)?;
    let folder = project::target().join("bench-agent");
    if folder.exists() {
        // An old spool or store would change the result.
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let data = folder.join("server");
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let store = Server {
        program: program(&programs, "bubble-server")?,
        data: &data,
    };
    let mut server = Service::start("bubble-server", store.serve(address), &folder)?;
    server.wait(address, "/ping", &mut || Ok(()))?;

    let mut crowd = crowd(program(&programs, "bubble-workload")?, &folder)?;
    let mut command = Process::command(program(&programs, "bubble-agent")?);
    command
        .args([
            "--server",
            &format!("http://{address}"),
            "--cgroup",
            "/bubble-bench-*",
            "--spool",
        ])
        .arg(folder.join("spool"))
        .env("BUBBLE_BESIDE_OTHERS", "true")
        .env("BUBBLE_API", store.create_key("bench")?);
    let mut agent = Service::start("bubble-agent", command, &folder)?;
    thread::sleep(WARM_UP_TIME);

    let (before, start) = (cpu_seconds(agent.id())?, Instant::now());
    let mut resident: f64 = 0.0;
    while start.elapsed() < MEASURED_TIME {
        thread::sleep(Duration::from_secs(1));
        agent.check()?;
        server.check()?;
        resident = resident.max(resident_mib(agent.id())?);
    }
    let percent = (cpu_seconds(agent.id())? - before) / start.elapsed().as_secs_f64() * 100.0;
    for (service, _) in &mut crowd {
        service.check()?;
    }
    for (case, value, unit) in [("cpu", percent, "% of a core"), ("memory", resident, "MiB")] {
        report(Row {
            bench: "agent".to_owned(),
            case: case.to_owned(),
            variant: format!(
                "{CONTAINERS} containers, {} processes",
                CONTAINERS * PROCESSES_PER_CONTAINER
            ),
            value,
            unit: unit.to_owned(),
            extra: Map::new(),
        })?;
    }
    Ok(())
}

/// Starts the containers: each is a cgroup, and a program that starts its processes. The service is
/// dropped before its cgroup, because only an empty cgroup can be removed.
fn crowd(workload: &Path, folder: &Path) -> Result<Vec<(Service, Cgroup)>> {
    say(format!(
        "starting {CONTAINERS} cgroups of {PROCESSES_PER_CONTAINER} processes"
    ));
    let lifetime = WARM_UP_TIME + MEASURED_TIME + Duration::from_secs(60);
    (1..=CONTAINERS)
        .map(|number| {
            let cgroup = Cgroup::create(&format!("bubble-bench-{number}"))?;
            let folder = folder.join(format!("crowd-{number}"));
            let mut command = Process::command(Path::new("/bin/sh"));
            command
                .arg("-c")
                .arg(format!("{}exec \"$@\"", cgroup.script()))
                .arg("crowd")
                .arg(workload)
                .arg("--directory")
                .arg(&folder)
                .args(["crowd", "--processes", &PROCESSES_PER_CONTAINER.to_string()])
                .args(["--seconds", &lifetime.as_secs().to_string()]);
            Ok((Service::start("crowd", command, &folder)?, cgroup))
        })
        .collect()
}

/// CPU time of a process so far, in seconds.
fn cpu_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    parse_cpu_time(&text).with_context(|| format!("cannot parse {path}: {text}"))
}

/// Sums `utime` and `stime`, fields 14 and 15 of /proc/PID/stat. Fields are counted after the name,
/// which may contain spaces and parentheses.
fn parse_cpu_time(stat: &str) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / TICKS_PER_SECOND)
}

/// Resident memory of a process, in MiB.
fn resident_mib(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let kib = text.lines().find_map(|line| {
        line.strip_prefix("VmRSS:")?
            .trim()
            .strip_suffix(" kB")?
            .parse::<f64>()
            .ok()
    });
    Ok(kib.with_context(|| format!("{path} has no VmRSS"))? / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::parse_cpu_time;

    #[test]
    fn cpu_is_user_and_system_time() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 98 0 0 0 150 50 0 0 20 0 1 0 4 0 0";
        assert_eq!(parse_cpu_time(stat), Some(2.0));
        assert_eq!(parse_cpu_time("7 (a"), None);
    }
}
