//! Runs the workload in plain cgroups: it shares files, network and process ids with the host, and
//! only its cgroup identifies it. A guest needs no Docker for this.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::runner::{Finished, LISTENING, Runner, Running, Spec, truth};
use super::usage;
use crate::server::free_port;
use crate::{keeper, settings};

/// Parent of the suite's cgroups in every hierarchy.
const PARENT: &str = "bubble-suite";

/// Creates cgroups and runs workloads in them.
#[derive(Debug)]
pub(crate) struct Cgroups {
    /// The parent in each hierarchy. The first one is in the unified hierarchy.
    parents: Vec<PathBuf>,
    shared: PathBuf,
}

/// Arguments of the agent to see these cgroups.
pub(crate) fn agent_args() -> Vec<String> {
    vec!["--cgroup".to_owned(), format!("/{PARENT}/*")]
}

/// The mount points of the unified hierarchy, and of the v1 hierarchies for CPU and memory.
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

/// Enables the available controllers for the children of `folder`.
fn delegate(folder: &Path) {
    for controller in ["cpu", "memory", "io", "pids"] {
        // Fails on a hybrid host, where v1 has the controllers.
        let _ = fs::write(
            folder.join("cgroup.subtree_control"),
            format!("+{controller}"),
        );
    }
}

impl Cgroups {
    /// Creates the parents.
    ///
    /// # Errors
    /// If this is not allowed.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let hierarchies = hierarchies()?;
        let parents: Vec<PathBuf> = hierarchies.iter().map(|path| path.join(PARENT)).collect();
        for parent in &parents {
            fs::create_dir_all(parent)
                .with_context(|| format!("cannot create {} (are you root?)", parent.display()))?;
        }
        delegate(&hierarchies[0]);
        delegate(&parents[0]);
        let shared = folder.join("shared");
        fs::create_dir_all(&shared)?;
        Ok(Self { parents, shared })
    }

    /// Creates the cgroups of one container, and returns its name.
    ///
    /// # Errors
    /// If this is not allowed.
    pub(crate) fn create(&self) -> Result<(String, OwnedCgroups)> {
        // Several runners may exist in one process.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("suite-{}-{number}", std::process::id());
        let mut created = OwnedCgroups(Vec::new());
        for parent in &self.parents {
            let cgroup = parent.join(&name);
            fs::create_dir(&cgroup)
                .with_context(|| format!("cannot create {}", cgroup.display()))?;
            created.0.push(cgroup);
        }
        Ok((name, created))
    }

    fn limit_memory(&self, cgroups: &[PathBuf], bytes: u64) -> Result<()> {
        let bytes = bytes.to_string();
        let files = ["memory.max", "memory.limit_in_bytes"];
        let set = |file: &PathBuf| file.exists() && fs::write(file, &bytes).is_ok();
        let all = cgroups
            .iter()
            .flat_map(|cgroup| files.map(|file| cgroup.join(file)));
        if all.filter(set).count() == 0 {
            bail!("no memory controller is available here");
        }
        for cgroup in cgroups {
            // Fails without swap, which then needs no limit.
            let _ = fs::write(cgroup.join("memory.swap.max"), "0");
            let _ = fs::write(cgroup.join("memory.memsw.limit_in_bytes"), &bytes);
        }
        Ok(())
    }
}

impl Runner for Cgroups {
    fn start(&self, spec: &Spec) -> Result<Box<dyn Running>> {
        let (name, cgroups) = self.create()?;
        if let Some(bytes) = spec.memory {
            self.limit_memory(&cgroups.0, bytes)?;
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
            stderr_text: String::new(),
        }))
    }

    fn run_lives(&self, args: &[String], lives: u32, duration: Duration) -> Result<String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("suite-lives-{}-{number}", std::process::id());
        let parents = self.parents.iter();
        let cgroups: Vec<PathBuf> = parents.map(|parent| parent.join(&name)).collect();
        run_lives(&cgroups, args, lives, duration)?;
        Ok(name)
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
        agent_args()
    }

    fn id(&self, _: &str) -> Option<String> {
        None
    }

    fn shared(&self) -> (&Path, &str) {
        (&self.shared, self.shared.to_str().unwrap_or_default())
    }
}

/// Runs a workload several times in cgroups that are created for each, at the same paths.
fn run_lives(cgroups: &[PathBuf], args: &[String], lives: u32, duration: Duration) -> Result<()> {
    let program = settings::program("bubble-workload")?;
    for _ in 0..lives {
        for cgroup in cgroups {
            fs::create_dir_all(cgroup)
                .with_context(|| format!("cannot create {}", cgroup.display()))?;
        }
        let _cgroups = OwnedCgroups(cgroups.to_vec());
        let mut command = keeper::command(&program, cgroups, args)?;
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = keeper::spawn(command)?;
        let entered = wait_until_inside(&child, cgroups);
        sleep(duration);
        child.kill()?;
        child.wait()?;
        entered?;
    }
    Ok(())
}

/// Waits until a process is in `cgroups`.
fn wait_until_inside(child: &Child, cgroups: &[PathBuf]) -> Result<()> {
    let id = child.id().to_string();
    let deadline = Instant::now() + settings::timeout(Duration::from_secs(10));
    let is_inside = |cgroup: &PathBuf| {
        let processes = fs::read_to_string(cgroup.join("cgroup.procs"));
        processes.is_ok_and(|processes| processes.lines().any(|line| line == id))
    };
    while !cgroups.iter().all(is_inside) {
        if Instant::now() > deadline {
            bail!("process {id} did not enter its cgroups");
        }
        sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// As [`Runner::run_lives`], in cgroups as Docker's without Docker. `id` is that of the container.
///
/// # Errors
/// If the cgroups cannot be created.
pub fn run_lives_as_docker(
    id: &str,
    args: &[String],
    lives: u32,
    duration: Duration,
) -> Result<()> {
    let parents = hierarchies()?.into_iter();
    let cgroups: Vec<PathBuf> = parents.map(|root| root.join("docker").join(id)).collect();
    run_lives(&cgroups, args, lives, duration)
}

/// What a process used that was moved from cgroup to cgroup.
#[derive(Debug)]
pub struct Moved {
    /// Its CPU time in each cgroup by the kernel, ns.
    pub cpu_ns: Vec<u64>,
    /// How long the moves took together. Meanwhile the process is in the next cgroup of one hierarchy
    /// (the agent's) and in the former of another (where the kernel may count CPU time).
    pub moving: Duration,
}

/// Runs a workload in cgroups as those of Docker's containers `ids`. It begins in the first, is moved to the
/// next after each `stay`, and killed in the last.
///
/// # Errors
/// If the cgroups cannot be created, or the workload not be moved.
pub fn run_moved_as_docker(ids: &[String], args: &[String], stay: Duration) -> Result<Moved> {
    let roots = hierarchies()?;
    let folders = |id: &String| -> Vec<PathBuf> {
        let roots = roots.iter();
        roots.map(|root| root.join("docker").join(id)).collect()
    };
    let cgroups: Vec<OwnedCgroups> = ids.iter().map(|id| OwnedCgroups(folders(id))).collect();
    for folder in cgroups.iter().flat_map(OwnedCgroups::folders) {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let (first, others) = cgroups.split_first().context("no id")?;
    let program = settings::program("bubble-workload")?;
    let mut command = keeper::command(&program, first.folders(), args)?;
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = keeper::spawn(command)?;
    let mut moving = Duration::ZERO;
    for next in others {
        sleep(stay);
        let begin = Instant::now();
        for folder in next.folders() {
            fs::write(folder.join("cgroup.procs"), child.id().to_string())
                .with_context(|| format!("cannot move it to {}", folder.display()))?;
        }
        moving += begin.elapsed();
    }
    sleep(stay);
    child.kill()?;
    child.wait()?;
    let time = |cgroup: &OwnedCgroups| {
        let files = usage_files(cgroup.folders());
        files.iter().find_map(usage::read)
    };
    let times: Option<Vec<u64>> = cgroups.iter().map(time).collect();
    Ok(Moved {
        cpu_ns: times.context("the kernel counts no CPU time of cgroups")?,
        moving,
    })
}

/// The files that may have the CPU time of a cgroup with these folders. Those of v1 come first: if v1
/// counts, v2 has no controller, and its count may lag.
fn usage_files(folders: &[PathBuf]) -> Vec<PathBuf> {
    let files = ["cpuacct.usage", "cpu.stat"];
    let files = files.iter();
    files
        .flat_map(|file| folders.iter().map(move |folder| folder.join(file)))
        .collect()
}

/// Runs a workload for `duration` in the cgroup `name` below `folder`, which belongs to `user`.
///
/// # Errors
/// If the cgroups cannot be created.
pub fn run_as_user(
    user: u32,
    folder: &str,
    name: &str,
    args: &[String],
    duration: Duration,
) -> Result<()> {
    let parents = hierarchies()?.into_iter().map(|root| root.join(folder));
    let parents = OwnedCgroups(parents.collect());
    for parent in &parents.0 {
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot create {}", parent.display()))?;
        std::os::unix::fs::chown(parent, Some(user), None)?;
    }
    let cgroups: Vec<PathBuf> = parents.0.iter().map(|parent| parent.join(name)).collect();
    run_lives(&cgroups, args, 1, duration)
}

/// Cgroups that are removed on drop.
#[derive(Debug)]
pub(crate) struct OwnedCgroups(Vec<PathBuf>);

impl OwnedCgroups {
    /// Their folders, one in each hierarchy.
    pub(crate) fn folders(&self) -> &[PathBuf] {
        &self.0
    }
}

impl Drop for OwnedCgroups {
    fn drop(&mut self) {
        for cgroup in &self.0 {
            // A reaped process may be in the cgroup for a moment.
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
    cgroups: OwnedCgroups,
    stderr: Option<BufReader<std::process::ChildStderr>>,
    stderr_text: String,
}

impl Running for Run {
    fn name(&self) -> &str {
        &self.name
    }

    fn wait_until_listening(&mut self) -> Result<()> {
        let stderr = self
            .child
            .stderr
            .take()
            .context("stderr was taken already")?;
        let stderr = self.stderr.insert(BufReader::new(stderr));
        while !self.stderr_text.contains(LISTENING) {
            if stderr.read_line(&mut self.stderr_text)? == 0 {
                bail!(
                    "the workload ended before it listened: {}",
                    self.stderr_text
                );
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
            pipe.read_to_string(&mut self.stderr_text)?;
        }
        if let Some(mut pipe) = self.stderr.take() {
            pipe.read_to_string(&mut self.stderr_text)?;
        }
        let status = self.child.wait()?;
        let code = status.code().unwrap_or_else(|| {
            128 + std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0)
        });
        let counts = usage_files(&self.cgroups.0);
        let cpu_ns = counts.iter().find_map(usage::read);
        let truth = truth(&stdout, &self.stderr_text)?;
        // Runtimes remove a cgroup a moment later. The agent can read its count only until then.
        sleep(settings::pause(Duration::from_millis(500)));
        Ok(Finished {
            name: self.name.clone(),
            truth,
            exit_code: code,
            runtime_reports_exit: false,
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
