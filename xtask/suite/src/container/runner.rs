//! What every way to run containers has in common.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bubble_workload::truth::Truth;

/// A container to run.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// Arguments of the workload.
    pub args: Vec<String>,
    /// Memory limit, bytes.
    pub memory: Option<u64>,
    /// Its address, from [`Runner::addresses`]. `None`: any.
    pub address: Option<IpAddr>,
}

impl Spec {
    /// The workload with `args`, without limits.
    pub fn new<T: ToString>(args: &[T]) -> Self {
        Self {
            args: args.iter().map(T::to_string).collect(),
            ..Self::default()
        }
    }
}

/// A finished container.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Docker's id or the cgroup's name, by which the tests find the container.
    pub name: String,
    /// The output of the workload.
    pub truth: Truth,
    /// Exit code of the first process. From 128 on it is a signal.
    pub exit_code: i32,
    /// Whether a container runtime reports the exit code. For a plain cgroup there is no runtime.
    pub runtime_reports_exit: bool,
    /// The cgroup's own count of CPU time at the end, ns, if it could be read in time.
    pub cpu_ns: Option<u64>,
}

/// A running container.
pub trait Running: Send {
    /// Docker's id or the cgroup's name.
    fn name(&self) -> &str;

    /// Waits until the workload listens.
    ///
    /// # Errors
    /// If it ends before.
    fn wait_until_listening(&mut self) -> Result<()>;

    /// Waits for the end.
    ///
    /// # Errors
    /// If the workload failed, with its stderr.
    fn wait(self: Box<Self>) -> Result<Finished>;
}

/// A way to run containers.
pub trait Runner: Send + Sync {
    /// Starts a container.
    ///
    /// # Errors
    /// If the runtime refuses.
    fn start(&self, spec: &Spec) -> Result<Box<dyn Running>>;

    /// Runs a workload that does not end as one container with `lives` lives: kills it each time
    /// after `duration`, and starts it again. Returns the name by which the tests find it.
    ///
    /// # Errors
    /// If the runtime refuses.
    fn run_lives(&self, args: &[String], lives: u32, duration: Duration) -> Result<String>;

    /// Two addresses with free ports, for two containers that can reach each other.
    ///
    /// # Errors
    /// If there are none.
    fn addresses(&self, ipv6: bool) -> Result<[SocketAddr; 2]>;

    /// Arguments of the agent to see these containers.
    fn agent_args(&self) -> Vec<String>;

    /// The container id for the name `name`, if it can be derived.
    fn id(&self, name: &str) -> Option<String>;

    /// A folder shared with the containers: its path here, and its path in a container.
    fn shared(&self) -> (&Path, &str);
}

/// Parses the output of the workload.
pub(super) fn truth(stdout: &[u8], stderr: &str) -> Result<Truth> {
    ensure!(
        !stdout.is_empty(),
        "the workload printed nothing; stderr: {stderr}"
    );
    serde_json::from_slice(stdout).with_context(|| {
        format!(
            "unexpected output of the workload: {:?}",
            String::from_utf8_lossy(stdout)
        )
    })
}

/// The workload prints this on stderr when it listens.
pub(super) const LISTENING: &str = "listening on ";
