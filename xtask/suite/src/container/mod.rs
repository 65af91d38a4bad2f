//! Containers around the workload: by Docker, or by plain cgroups where there is no Docker.

mod cgroup;
mod docker;
mod usage;

use std::env;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use bubble_workload::truth::Truth;

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// The workload's arguments.
    pub args: Vec<String>,
    /// Limit of its memory, bytes.
    pub memory: Option<u64>,
    /// Its address, one of those that [`Runner::addresses`] gave; any if none.
    pub address: Option<IpAddr>,
}

impl Spec {
    /// The workload with `args`, unlimited.
    pub fn new<T: ToString>(args: &[T]) -> Self {
        Self {
            args: args.iter().map(T::to_string).collect(),
            ..Self::default()
        }
    }
}

/// A container that is over.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Docker's id, or the cgroup's name: what the container is looked up by.
    pub name: String,
    /// What the workload says it did.
    pub truth: Truth,
    /// Exit code of the first process; 128 and more is a signal.
    pub exit_code: i32,
    /// Whether a container runtime knows the end too: nobody asks for that of a plain cgroup.
    pub end_is_told: bool,
    /// The cgroup's own count of CPU at the end, ns, if it could be read in time.
    pub cpu_ns: Option<u64>,
}

/// A container that runs.
pub trait Running: Send {
    /// Docker's id, or the cgroup's name.
    fn name(&self) -> &str;

    /// Waits until the workload says that it listens.
    ///
    /// # Errors
    /// When it ends before.
    fn listening(&mut self) -> Result<()>;

    /// Waits for the end.
    ///
    /// # Errors
    /// When it did not do its work, with its own words.
    fn wait(self: Box<Self>) -> Result<Finished>;
}

/// A way to run containers.
pub trait Runner: Send + Sync {
    /// Starts one.
    ///
    /// # Errors
    /// When the runtime refuses.
    fn start(&self, spec: &Spec) -> Result<Box<dyn Running>>;

    /// Two addresses with free ports, of two containers that can reach each other.
    ///
    /// # Errors
    /// When there are none.
    fn addresses(&self, ipv6: bool) -> Result<[SocketAddr; 2]>;

    /// What the agent must be told to see these containers.
    fn agent_args(&self) -> Vec<String>;

    /// The agent's id of the container called `name`, if it can be known beforehand.
    fn id(&self, name: &str) -> Option<String>;

    /// A folder here that the containers see as `/shared`, or at the same place.
    fn shared(&self) -> (&Path, &str);
}

/// The runner that the environment names, or the one that works here.
///
/// # Errors
/// When neither does.
pub fn runner(folder: &Path) -> Result<Box<dyn Runner>> {
    let docker_answers = || {
        let docker = Command::new("docker").arg("info").output();
        docker.is_ok_and(|output| output.status.success())
    };
    match env::var("BUBBLE_RUNNER").as_deref() {
        Ok("docker") => Ok(Box::new(docker::Docker::new(folder)?)),
        Ok("cgroup") => Ok(Box::new(cgroup::Cgroups::new(folder)?)),
        Ok(other) => bail!("BUBBLE_RUNNER={other} is neither docker nor cgroup"),
        Err(_) if docker_answers() => Ok(Box::new(docker::Docker::new(folder)?)),
        Err(_) => Ok(Box::new(cgroup::Cgroups::new(folder)?)),
    }
}

/// Reads the truth from what the workload printed.
fn truth(stdout: &[u8], stderr: &str) -> Result<Truth> {
    ensure!(
        !stdout.is_empty(),
        "the workload printed nothing; on stderr: {stderr}"
    );
    serde_json::from_slice(stdout)
        .with_context(|| format!("not a truth: {:?}", String::from_utf8_lossy(stdout)))
}

/// The words by which a workload says that it listens.
const LISTENING: &str = "listening on ";
