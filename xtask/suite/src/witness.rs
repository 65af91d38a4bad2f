//! Runs a load of real programs in a container, with the kernel's own sums as the witness
//! (docs/witness.md).

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use bubble_workload::witnessed::Witnessed;

use crate::api::{Api, Span};
use crate::bench::{Bench, containers, find_cgroup, now};
use crate::container::cgroup::{self, Cgroups};
use crate::reconcile::{Reconciled, reconcile};
use crate::{keeper, settings};

/// A load.
#[derive(Clone, Debug)]
pub struct Load<'a> {
    /// Its name, unique in the bench.
    pub name: &'a str,
    /// Program and arguments. The program is an absolute path.
    pub command: Vec<OsString>,
    /// After this time the load hangs, and is killed.
    pub limit: Duration,
}

/// A bench for loads. Their containers are plain cgroups, as their programs are the host's.
#[expect(missing_debug_implementations, reason = "the bench has a trait object")]
pub struct Witness {
    /// Its own bench, if the agent of the shared one does not see plain cgroups.
    _own: Option<Bench>,
    api: Api,
    folder: PathBuf,
    cgroups: Cgroups,
}

impl Witness {
    /// Starts a bench, called `name`. In a guest it is the shared one: an emulated kernel takes minutes to
    /// load the programs of another agent.
    ///
    /// # Errors
    /// If server or agent do not start, or cgroups cannot be created.
    pub fn new(name: &str) -> Result<Self> {
        let args = cgroup::agent_args();
        let (own, api, folder) = if containers()?.agent_args() == args {
            let bench = Bench::shared().lock();
            let bench =
                bench.map_err(|_| anyhow!("another test panicked with the bench locked"))?;
            let folder = bench.folder().join(name);
            fs::create_dir_all(&folder)?;
            (None, bench.server.api().clone(), folder)
        } else {
            let bench = Bench::with_agent_args(name, &args)?;
            let (api, folder) = (bench.server.api().clone(), bench.folder().to_owned());
            (Some(bench), api, folder)
        };
        let cgroups = Cgroups::new(&folder)?;
        Ok(Self {
            _own: own,
            api,
            folder,
            cgroups,
        })
    }

    /// The folder of the loads.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs `load` in a container, and waits until the stored data is as the witness says. If it never
    /// is, the result has the differences.
    ///
    /// # Errors
    /// If the load fails, or its container is not stored.
    pub fn run(&self, load: &Load<'_>) -> Result<Reconciled> {
        let start = now();
        let (container, owned) = self.cgroups.create()?;
        let witnessed = witness(self.folder(), owned.folders(), load)?;
        // The agent can read a cgroup only until it is removed.
        sleep(settings::pause(Duration::from_millis(500)));
        drop(owned);
        let api = &self.api;
        let id = find_cgroup(api, &container, Some("ended"))?.id;
        let compare = || -> Result<Reconciled> {
            let (from, to) = ((start - 60.0).floor(), now().ceil());
            let ledger = api.ledger(&id, Span { from, to })?;
            Ok(reconcile(&witnessed, &ledger))
        };
        let deadline = Instant::now() + settings::timeout(Duration::from_secs(10));
        while !compare()?.differences.is_empty() && Instant::now() < deadline {
            sleep(Duration::from_millis(500));
        }
        // Finds what arrives late or twice.
        sleep(settings::late_time());
        compare()
    }
}

fn witness(folder: &Path, cgroups: &[impl AsRef<Path>], load: &Load<'_>) -> Result<Witnessed> {
    let limit = settings::timeout(load.limit).as_secs().to_string();
    let mut args: Vec<OsString> = vec!["witness".into(), "--limit".into(), limit.into()];
    for cgroup in cgroups {
        args.extend(["--cgroup".into(), cgroup.as_ref().into()]);
    }
    args.push("--".into());
    args.extend(load.command.iter().cloned());
    let outside: [&Path; 0] = [];
    let mut command = keeper::command(&settings::program("bubble-workload")?, &outside, args)?;
    let log = folder.join(format!("{}.log", load.name));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&log)?);
    let output = keeper::spawn(command)?.wait_with_output()?;
    let failed = || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        let last: Vec<&str> = text.lines().rev().take(20).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        format!(
            "the load {} failed; its last output:\n{}",
            load.name,
            last.join("\n")
        )
    };
    ensure!(output.status.success(), "{}: {}", output.status, failed());
    let witnessed: Witnessed = serde_json::from_slice(&output.stdout).with_context(failed)?;
    ensure!(
        witnessed.exit_code == 0,
        "exit code {}: {}",
        witnessed.exit_code,
        failed()
    );
    Ok(witnessed)
}
