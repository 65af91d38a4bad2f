//! Plain cgroups as containers: the workload runs on the host's own files, network and process
//! ids, and only its cgroup tells it apart. This is all that a guest without Docker needs.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{Finished, LISTENING, Runner, Running, Spec, truth, usage};
use crate::server::free_port;
use crate::{keeper, settings};

/// Name of the folder of the suite's cgroups, in every hierarchy.
const PARENT: &str = "bubble-suite";

/// Makes cgroups and runs workloads within.
#[derive(Debug)]
pub(super) struct Cgroups {
    /// The folder of the suite's cgroups in each hierarchy used; the unified one is the first.
    parents: Vec<PathBuf>,
    shared: PathBuf,
    next: AtomicU32,
}

/// Where hierarchies are mounted: the unified one, and those of v1 that count CPU and memory.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read the mounts")?;
    let mut unified = Vec::new();
    let mut others = Vec::new();
    for line in mounts.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            [_, path, "cgroup2", ..] => unified.push(PathBuf::from(path)),
            [_, path, "cgroup", options, ..]
                if options
                    .split(',')
                    .any(|option| option == "cpuacct" || option == "memory") =>
            {
                others.push(PathBuf::from(path));
            }
            _ => {}
        }
    }
    if unified.is_empty() {
        bail!("no cgroup2 is mounted: the cgroup runner needs one");
    }
    unified.truncate(1);
    unified.extend(others);
    Ok(unified)
}

/// Lets the children of `folder` have the controllers that count and limit, as far as there are.
fn delegate(folder: &Path) {
    for controller in ["cpu", "memory", "io", "pids"] {
        // On a hybrid host the controllers are with v1; then v2 has none to give.
        let _ = fs::write(
            folder.join("cgroup.subtree_control"),
            format!("+{controller}"),
        );
    }
}

impl Cgroups {
    /// Makes the parents.
    ///
    /// # Errors
    /// When this is not allowed.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let hierarchies = hierarchies()?;
        let parents: Vec<PathBuf> = hierarchies.iter().map(|path| path.join(PARENT)).collect();
        for parent in &parents {
            fs::create_dir_all(parent)
                .with_context(|| format!("cannot make {} (are you root?)", parent.display()))?;
        }
        delegate(&hierarchies[0]);
        delegate(&parents[0]);
        let shared = folder.join("shared");
        fs::create_dir_all(&shared)?;
        Ok(Self {
            parents,
            shared,
            next: AtomicU32::new(0),
        })
    }

    fn limit(&self, cgroups: &[PathBuf], bytes: u64) -> Result<()> {
        let bytes = bytes.to_string();
        let files = ["memory.max", "memory.limit_in_bytes"];
        let set = |file: &PathBuf| file.exists() && fs::write(file, &bytes).is_ok();
        let all = cgroups
            .iter()
            .flat_map(|cgroup| files.map(|file| cgroup.join(file)));
        if all.filter(set).count() == 0 {
            bail!("no memory controller is to be had here");
        }
        for cgroup in cgroups {
            // Where there is no swap there is nothing to forbid.
            let _ = fs::write(cgroup.join("memory.swap.max"), "0");
            let _ = fs::write(cgroup.join("memory.memsw.limit_in_bytes"), &bytes);
        }
        Ok(())
    }
}

impl Runner for Cgroups {
    fn start(&self, spec: &Spec) -> Result<Box<dyn Running>> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("suite-{}-{number}", std::process::id());
        let cgroups: Vec<PathBuf> = self
            .parents
            .iter()
            .map(|parent| parent.join(&name))
            .collect();
        for cgroup in &cgroups {
            fs::create_dir(cgroup).with_context(|| format!("cannot make {}", cgroup.display()))?;
        }
        let cgroups = Made(cgroups);
        if let Some(bytes) = spec.memory {
            self.limit(&cgroups.0, bytes)?;
        }
        let program = settings::program("bubble-workload")?;
        let folder = self.shared.join(&name);
        let args = ["--directory".as_ref(), folder.as_os_str()];
        let args = args.into_iter().chain(spec.args.iter().map(AsRef::as_ref));
        let mut command = keeper::command(&program, &cgroups.0, args)?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = keeper::spawn(command)?;
        Ok(Box::new(Run {
            name,
            child,
            cgroups,
            stderr: None,
            said: String::new(),
        }))
    }

    fn addresses(&self, ipv6: bool) -> Result<[SocketAddr; 2]> {
        let ip: IpAddr = if ipv6 {
            "::1".parse()?
        } else {
            "127.0.0.1".parse()?
        };
        let text = ip.to_string();
        Ok([
            SocketAddr::new(ip, free_port(&text)?),
            SocketAddr::new(ip, free_port(&text)?),
        ])
    }

    fn agent_args(&self) -> Vec<String> {
        vec!["--cgroup".to_owned(), format!("/{PARENT}/*")]
    }

    fn id(&self, _: &str) -> Option<String> {
        None
    }

    fn shared(&self) -> (&Path, &str) {
        (&self.shared, self.shared.to_str().unwrap_or_default())
    }
}

/// Cgroups that are removed in the end.
#[derive(Debug)]
struct Made(Vec<PathBuf>);

impl Drop for Made {
    fn drop(&mut self) {
        for cgroup in &self.0 {
            // A process that was just reaped may still be on its way out.
            for _ in 0..100 {
                match fs::remove_dir(cgroup) {
                    Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                        sleep(Duration::from_millis(10));
                    }
                    _ => break,
                }
            }
        }
    }
}

#[derive(Debug)]
struct Run {
    name: String,
    child: Child,
    cgroups: Made,
    stderr: Option<BufReader<std::process::ChildStderr>>,
    said: String,
}

impl Running for Run {
    fn name(&self) -> &str {
        &self.name
    }

    fn listening(&mut self) -> Result<()> {
        let stderr = self
            .child
            .stderr
            .take()
            .context("stderr was taken already")?;
        let stderr = self.stderr.insert(BufReader::new(stderr));
        while !self.said.contains(LISTENING) {
            if stderr.read_line(&mut self.said)? == 0 {
                bail!("the workload ended before it listened: {}", self.said);
            }
        }
        Ok(())
    }

    fn wait(mut self: Box<Self>) -> Result<Finished> {
        let mut stdout = Vec::new();
        if let Some(mut pipe) = self.child.stdout.take() {
            pipe.read_to_end(&mut stdout)?;
        }
        if let Some(mut pipe) = self.child.stderr.take() {
            pipe.read_to_string(&mut self.said)?;
        }
        if let Some(mut pipe) = self.stderr.take() {
            pipe.read_to_string(&mut self.said)?;
        }
        let status = self.child.wait()?;
        let code = status.code().unwrap_or_else(|| {
            128 + std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0)
        });
        let files = ["cpuacct.usage", "cpu.stat"];
        let files = self
            .cgroups
            .0
            .iter()
            .flat_map(|cgroup| files.map(|file| cgroup.join(file)));
        // The v1 count first: where it exists, v2 has no controller, and its own count may lag.
        let mut counts: Vec<PathBuf> = files.collect();
        counts.sort_by_key(|file| !file.ends_with("cpuacct.usage"));
        let cpu_ns = counts.iter().find_map(usage::read);
        let truth = truth(&stdout, &self.said)?;
        // No runtime removes a cgroup at once, and what it has counted is only there as long as it is.
        sleep(settings::patience(Duration::from_millis(500)));
        Ok(Finished {
            name: self.name.clone(),
            truth,
            exit_code: code,
            end_is_told: false,
            cpu_ns,
        })
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
