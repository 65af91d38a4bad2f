//! What the agent itself costs on a busy host: its CPU and its memory while it watches a hundred
//! containers with two thousand processes, each of which writes and reads a file every second, and
//! posts them to a real server.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Map;

use super::{NoFlags, Report, row::Row};
use crate::{
    build::{self, Profile, program},
    cgroup::Cgroup,
    command::say,
    install,
    process::Process,
    project,
    service::{Server, Service, free_port},
};

const CONTAINERS: usize = 100;
const PROCESSES: usize = 20;
/// Until all is started, and every process was seen.
const SETTLE: Duration = Duration::from_secs(20);
const MEASURE: Duration = Duration::from_secs(60);
/// Ticks of /proc/PID/stat in a second: the kernel's `USER_HZ` on x86.
const TICKS: f64 = 100.0;

pub(super) fn run(report: &mut Report<'_>, arguments: &[String]) -> Result<()> {
    let NoFlags {} = super::flags("agent", arguments);
    if !install::is_root()? {
        bail!("the agent counts in the kernel, which takes root: run this as root");
    }
    let programs = build::programs(Profile::Release)?;
    let folder = project::target().join("bench-agent");
    if folder.exists() {
        // An agent with a full spool, or a server with a full store, is another measurement.
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
        .env("BUBBLE_API", store.create_key("bench")?);
    let mut agent = Service::start("bubble-agent", command, &folder)?;
    thread::sleep(SETTLE);

    let (before, start) = (cpu(agent.id())?, Instant::now());
    let mut resident: f64 = 0.0;
    while start.elapsed() < MEASURE {
        thread::sleep(Duration::from_secs(1));
        agent.check()?;
        server.check()?;
        resident = resident.max(memory(agent.id())?);
    }
    let percent = (cpu(agent.id())? - before) / start.elapsed().as_secs_f64() * 100.0;
    for (service, _) in &mut crowd {
        service.check()?;
    }
    for (case, value, unit) in [("cpu", percent, "% of a core"), ("memory", resident, "MiB")] {
        report(Row {
            bench: "agent".to_owned(),
            case: case.to_owned(),
            variant: format!(
                "{CONTAINERS} containers, {} processes",
                CONTAINERS * PROCESSES
            ),
            value,
            unit: unit.to_owned(),
            more: Map::new(),
        })?;
    }
    Ok(())
}

/// The containers: each a cgroup and a program that starts its processes. In this order, as a
/// cgroup can go only when it is empty.
fn crowd(workload: &Path, folder: &Path) -> Result<Vec<(Service, Cgroup)>> {
    say(format!(
        "starting {CONTAINERS} cgroups of {PROCESSES} processes"
    ));
    let life = SETTLE + MEASURE + Duration::from_secs(60);
    (1..=CONTAINERS)
        .map(|number| {
            let cgroup = Cgroup::create(&format!("/bubble-bench-{number}"))?;
            let folder = folder.join(format!("crowd-{number}"));
            let mut command = Process::command(Path::new("/bin/sh"));
            command
                .arg("-c")
                .arg(format!("{}exec \"$@\"", cgroup.script()))
                .arg("crowd")
                .arg(workload)
                .arg("--directory")
                .arg(&folder)
                .args(["crowd", "--processes", &PROCESSES.to_string()])
                .args(["--seconds", &life.as_secs().to_string()]);
            Ok((Service::start("crowd", command, &folder)?, cgroup))
        })
        .collect()
}

/// Seconds of CPU that a process has used.
fn cpu(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    cpu_of(&text).with_context(|| format!("{path} is not as expected: {text}"))
}

/// From a line of /proc/PID/stat: fields 14 and 15, counted after the name, which may hold anything.
fn cpu_of(stat: &str) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / TICKS)
}

/// MiB of a process that are resident.
fn memory(pid: u32) -> Result<f64> {
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
    use super::cpu_of;

    #[test]
    fn cpu_is_user_and_system_time() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 98 0 0 0 150 50 0 0 20 0 1 0 4 0 0";
        assert_eq!(cpu_of(stat), Some(2.0));
        assert_eq!(cpu_of("7 (a"), None);
    }
}
