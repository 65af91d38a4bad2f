//! Docker containers: an image FROM scratch with nothing in it but the static workload, on a
//! network of the suite's own.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{Finished, LISTENING, Runner, Running, Spec, truth, usage};
use crate::settings;

/// The port that servers listen on: every container has a network of its own.
const PORT: u16 = 4000;

/// The network that the containers are on.
const NETWORK: &str = "bubble-suite";

/// Runs containers by the `docker` command.
#[derive(Debug)]
pub(super) struct Docker {
    image: String,
    shared: PathBuf,
    /// Numbers names and addresses; begins anywhere, so that two suites at a time keep apart.
    next: AtomicU32,
}

fn docker(args: &[&str]) -> Result<String> {
    let output = Command::new("docker")
        .args(args)
        .env("DOCKER_BUILDKIT", "0")
        .output()
        .context("cannot run docker")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "docker {args:?} failed: {}",
        said.trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Makes the suite's network if it is not there; it stays for the next time.
fn network() -> Result<()> {
    if docker(&["network", "inspect", NETWORK]).is_ok() {
        return Ok(());
    }
    let subnets = [
        "--subnet",
        "10.231.0.0/16",
        "--ipv6",
        "--subnet",
        "fd42:b0bb:1e::/64",
    ];
    let made = docker(&[&["network", "create"], subnets.as_slice(), &[NETWORK]].concat());
    // Another suite may have been quicker.
    if docker(&["network", "inspect", NETWORK]).is_ok() {
        Ok(())
    } else {
        made.map(drop)
    }
}

impl Docker {
    /// Builds the image and makes the network, if it is not there; both stay.
    ///
    /// # Errors
    /// When Docker refuses.
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
        network()?;
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
        // Docker's own filter refuses io_uring; what the kernel can do is what is tested here.
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
            follow: None,
            stderr: None,
        };
        run.id = run.find()?;
        let id = &run.id;
        let places = [
            format!("/sys/fs/cgroup/cpuacct/docker/{id}/cpuacct.usage"),
            format!("/sys/fs/cgroup/cpu,cpuacct/docker/{id}/cpuacct.usage"),
            format!("/sys/fs/cgroup/system.slice/docker-{id}.scope/cpu.stat"),
            format!("/sys/fs/cgroup/docker/{id}/cpu.stat"),
        ];
        run.follow = Some(usage::Follow::new(places.map(PathBuf::from).into()));
        Ok(Box::new(run))
    }

    fn addresses(&self, ipv6: bool) -> Result<[SocketAddr; 2]> {
        // 1 is the bridge's. Far from what Docker hands out by itself, which begins at 2.
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
    follow: Option<usage::Follow>,
    stderr: Option<(BufReader<std::process::ChildStderr>, String)>,
}

impl Run {
    /// The id, as soon as the daemon knows it.
    fn find(&mut self) -> Result<String> {
        let deadline = Instant::now() + settings::patience(Duration::from_secs(20));
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

    fn listening(&mut self) -> Result<()> {
        let stderr = self
            .child
            .stderr
            .take()
            .context("stderr was taken already")?;
        let (reader, said) = self.stderr.insert((BufReader::new(stderr), String::new()));
        while !said.contains(LISTENING) {
            if reader.read_line(said)? == 0 {
                bail!("the workload ended before it listened: {said}");
            }
        }
        Ok(())
    }

    fn wait(mut self: Box<Self>) -> Result<Finished> {
        let (mut stdout, mut said) = (Vec::new(), String::new());
        if let Some(mut pipe) = self.child.stdout.take() {
            pipe.read_to_end(&mut stdout)?;
        }
        if let Some(mut pipe) = self.child.stderr.take() {
            pipe.read_to_string(&mut said)?;
        }
        if let Some((mut pipe, before)) = self.stderr.take() {
            said.push_str(&before);
            pipe.read_to_string(&mut said)?;
        }
        let status = self.child.wait()?;
        let exit_code = status.code().context("the docker command was killed")?;
        let cpu_ns = self.follow.take().and_then(usage::Follow::end);
        let truth = truth(&stdout, &said)?;
        Ok(Finished {
            name: self.id.clone(),
            truth,
            exit_code,
            end_is_told: true,
            cpu_ns,
        })
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(follow) = self.follow.take() {
            follow.end();
        }
        if let Err(error) = docker(&["rm", "--force", &self.container]) {
            eprintln!("{error:#}");
        }
        // With its container gone, the command ends.
        let _ = self.child.wait();
    }
}
