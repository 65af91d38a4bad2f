//! Runs Docker containers: an image FROM scratch that holds only the static workload, in the suite's own
//! network.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::runner::{Finished, LISTENING, Runner, Running, Spec, truth};
use super::usage;
use crate::settings;

/// The port on which servers listen. Every container has its own network namespace.
const PORT: u16 = 4000;

/// The network of the containers.
const NETWORK: &str = "bubble-suite";

/// Runs containers by the `docker` command.
#[derive(Debug)]
pub(super) struct Docker {
    image: String,
    shared: PathBuf,
    /// The next number for names and addresses. It starts at the process id, so that two suites at the
    /// same time rarely collide.
    next: AtomicU32,
}

fn docker(args: &[&str]) -> Result<String> {
    let output = Command::new("docker")
        .args(args)
        .env("DOCKER_BUILDKIT", "0")
        .output()
        .context("cannot run docker")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "docker {args:?} failed: {}",
        stderr.trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Creates the suite's network if it does not exist. It remains for the next run.
fn create_network() -> Result<()> {
    if docker(&["network", "inspect", NETWORK]).is_ok() {
        return Ok(());
    }
    let subnets = [
        "--subnet",
        "10.231.0.0/16",
        "--ipv6",
        "--subnet",
        "fd42:b0bb:1e::/64",
        // A fixed name: Docker takes over the bridge that a killed daemon has left behind. A second
        // bridge with the same addresses would get the packets.
        "--opt",
        "com.docker.network.bridge.name=bubble-suite",
    ];
    let created = docker(&[&["network", "create"], subnets.as_slice(), &[NETWORK]].concat());
    // Another suite may have created it at the same time.
    if docker(&["network", "inspect", NETWORK]).is_ok() {
        Ok(())
    } else {
        created.map(drop)
    }
}

impl Docker {
    /// Builds the image, and creates the network if it does not exist. Both remain.
    ///
    /// # Errors
    /// If Docker refuses.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let context = folder.join("image");
        fs::create_dir_all(&context)?;
        fs::copy(
            settings::program("bubble-workload")?,
            context.join("bubble-workload"),
        )?;
        fs::write(
            context.join("Dockerfile"),
            include_str!("../../../workload/Dockerfile"),
        )?;
        let path = context.to_str().context("the folder's name is not UTF-8")?;
        let image = "bubble-workload:suite".to_owned();
        docker(&["build", "--quiet", "--tag", &image, path])?;
        create_network()?;
        let shared = folder.join("shared");
        fs::create_dir_all(&shared)?;
        Ok(Self {
            image,
            shared,
            next: AtomicU32::new(std::process::id()),
        })
    }

    fn number(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

impl Runner for Docker {
    fn start(&self, spec: &Spec) -> Result<Box<dyn Running>> {
        let name = format!("bubble-suite-{}-{}", std::process::id(), self.number());
        let shared = format!("{}:/shared", self.shared.display());
        let mut command = Command::new("docker");
        command.args(["run", "--name", &name, "--volume", &shared]);
        command.args(["--network", NETWORK]);
        // Docker's default seccomp filter refuses io_uring, which the suite tests.
        command.args(["--security-opt", "seccomp=unconfined"]);
        match spec.address {
            Some(IpAddr::V4(ip)) => command.args(["--ip", &ip.to_string()]),
            Some(IpAddr::V6(ip)) => command.args(["--ip6", &ip.to_string()]),
            None => &mut command,
        };
        if let Some(bytes) = spec.memory {
            command.args([
                "--memory",
                &bytes.to_string(),
                "--memory-swap",
                &bytes.to_string(),
            ]);
        }
        command.arg(&self.image).args(&spec.args);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command.spawn().context("cannot run docker")?;
        let mut run = Run {
            container: name,
            id: String::new(),
            child,
            follower: None,
            stderr: None,
        };
        run.id = run.wait_for_id()?;
        let id = &run.id;
        let files = [
            format!("/sys/fs/cgroup/cpuacct/docker/{id}/cpuacct.usage"),
            format!("/sys/fs/cgroup/cpu,cpuacct/docker/{id}/cpuacct.usage"),
            format!("/sys/fs/cgroup/system.slice/docker-{id}.scope/cpu.stat"),
            format!("/sys/fs/cgroup/docker/{id}/cpu.stat"),
        ];
        run.follower = Some(usage::Follower::new(files.map(PathBuf::from).into()));
        Ok(Box::new(run))
    }

    fn run_lives(&self, args: &[String], lives: u32, duration: Duration) -> Result<String> {
        let name = format!("bubble-suite-{}-{}", std::process::id(), self.number());
        let shared = format!("{}:/shared", self.shared.display());
        let run = ["run", "--detach", "--name", &name, "--volume", &shared];
        let args = args.iter().map(String::as_str);
        let image = ["--network", "none", &self.image];
        let command: Vec<&str> = run.into_iter().chain(image).chain(args).collect();
        let id = docker(&command)?;
        let live = || {
            for _ in 1..lives {
                sleep(duration);
                docker(&["restart", "--time", "1", &name])?;
            }
            sleep(duration);
            docker(&["stop", "--time", "1", &name])
        };
        let lived = live();
        docker(&["rm", "--force", &name])?;
        lived.map(|_| id)
    }

    fn addresses(&self, ipv6: bool) -> Result<[SocketAddr; 2]> {
        // Docker assigns addresses from 2 on (1 is the bridge), so these are far above.
        let pair = self.number() % 10_000;
        let address = |number: u32| -> SocketAddr {
            let (high, low) = ((number / 250) as u8, (number % 250) as u8);
            let ip: IpAddr = if ipv6 {
                Ipv6Addr::new(0xfd42, 0xb0bb, 0x1e, 0, 0, 0, 1, number as u16).into()
            } else {
                Ipv4Addr::new(10, 231, 100 + high, low + 1).into()
            };
            SocketAddr::new(ip, PORT)
        };
        Ok([address(2 * pair), address(2 * pair + 1)])
    }

    fn agent_args(&self) -> Vec<String> {
        Vec::new()
    }

    fn id(&self, name: &str) -> Option<String> {
        name.get(..12).map(str::to_owned)
    }

    fn shared(&self) -> (&Path, &str) {
        (&self.shared, "/shared")
    }
}

#[derive(Debug)]
struct Run {
    container: String,
    id: String,
    child: Child,
    follower: Option<usage::Follower>,
    stderr: Option<(BufReader<std::process::ChildStderr>, String)>,
}

impl Run {
    /// Waits until the daemon knows the container, and returns its id.
    fn wait_for_id(&mut self) -> Result<String> {
        let deadline = Instant::now() + settings::timeout(Duration::from_secs(20));
        loop {
            let format = [
                "inspect",
                "--type",
                "container",
                "--format",
                "{{.Id}}",
                &self.container,
            ];
            match docker(&format) {
                Ok(id) => return Ok(id),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => sleep(Duration::from_millis(10)),
            }
        }
    }
}

impl Running for Run {
    fn name(&self) -> &str {
        &self.id
    }

    fn wait_until_listening(&mut self) -> Result<()> {
        let stderr = self
            .child
            .stderr
            .take()
            .context("stderr was taken already")?;
        let (reader, text) = self.stderr.insert((BufReader::new(stderr), String::new()));
        while !text.contains(LISTENING) {
            if reader.read_line(text)? == 0 {
                bail!("the workload ended before it listened: {text}");
            }
        }
        Ok(())
    }

    fn wait(mut self: Box<Self>) -> Result<Finished> {
        let (mut stdout, mut stderr) = (Vec::new(), String::new());
        if let Some(mut pipe) = self.child.stdout.take() {
            pipe.read_to_end(&mut stdout)?;
        }
        if let Some(mut pipe) = self.child.stderr.take() {
            pipe.read_to_string(&mut stderr)?;
        }
        if let Some((mut pipe, before)) = self.stderr.take() {
            stderr.push_str(&before);
            pipe.read_to_string(&mut stderr)?;
        }
        let status = self.child.wait()?;
        let exit_code = status.code().context("the docker command was killed")?;
        let cpu_ns = self.follower.take().and_then(usage::Follower::end);
        let truth = truth(&stdout, &stderr)?;
        Ok(Finished {
            name: self.id.clone(),
            truth,
            exit_code,
            runtime_reports_exit: true,
            cpu_ns,
        })
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(follower) = self.follower.take() {
            follower.end();
        }
        if let Err(error) = docker(&["rm", "--force", &self.container]) {
            eprintln!("{error:#}");
        }
        // The command ends with its container.
        let _ = self.child.wait();
    }
}
