//! A real server with its own port and folder.

use std::fs::File;
use std::net::TcpStream;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::api::Api;
use crate::{keeper, settings};

/// A server. Killed on drop.
#[derive(Debug)]
pub struct Server {
    program: PathBuf,
    folder: PathBuf,
    address: String,
    child: Option<Child>,
    key: String,
    api: Api,
}

/// Runs a command of the server's program, and returns the last word of its output.
fn last_word(program: &Path, folder: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(args)
        .arg("--data")
        .arg(folder)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    ensure!(
        output.status.success(),
        "bubble-server {args:?} failed: {}",
        output.status
    );
    let text = String::from_utf8(output.stdout)?;
    let last = text.split_whitespace().last();
    Ok(last
        .with_context(|| format!("bubble-server {args:?} printed nothing"))?
        .to_owned())
}

/// Ports that the system gives to no connection.
const PORTS: Range<u16> = 20_000..25_000;

/// A port that is free now, each time another. The system gives none of them to connections
/// (`ip_local_port_range` begins at 32768), so it stays free while its server is dead.
///
/// # Errors
/// If there is none.
pub fn free_port(address: &str) -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in 0..PORTS.len() {
        let port = PORTS.start + NEXT.fetch_add(1, Ordering::Relaxed) % PORTS.len() as u16;
        // A listener of our own would live on in a child that is being started.
        if TcpStream::connect((address, port)).is_err() {
            return Ok(port);
        }
    }
    bail!("no free port in {PORTS:?}")
}

impl Server {
    /// Starts a server with an empty store in `folder`, and waits until it answers.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(folder: &Path) -> Result<Self> {
        let program = settings::program("bubble-server")?;
        let folder = folder.join("server");
        std::fs::create_dir_all(&folder)?;
        let key = last_word(&program, &folder, &["key", "create", "--owner", "suite"])?;
        let token = last_word(&program, &folder, &["token", "--admin"])?;
        let address = format!("127.0.0.1:{}", free_port("127.0.0.1")?);
        let api = Api::new(&format!("http://{address}"), &token);
        let mut server = Self {
            program,
            folder,
            address,
            child: None,
            key,
            api,
        };
        server.resume()?;
        Ok(server)
    }

    /// Starts the same server again, with the same port and store, and waits until it answers.
    ///
    /// # Errors
    /// If it does not start.
    pub fn resume(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let cgroups: [&Path; 0] = [];
        let args = ["serve".as_ref(), "--listen".as_ref(), self.address.as_ref()];
        let args = args
            .into_iter()
            .chain(["--data".as_ref(), self.folder.as_os_str()]);
        let mut command = keeper::command(&self.program, &cgroups, args)?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        self.child = Some(keeper::spawn(command)?);
        let deadline = Instant::now() + settings::timeout(Duration::from_secs(20));
        while !self.api.answers() {
            if let Some(status) = self
                .child
                .as_mut()
                .map(Child::try_wait)
                .transpose()?
                .flatten()
            {
                bail!(
                    "the server ended unexpectedly ({status}); end of its log:\n{}",
                    self.log_tail()
                );
            }
            ensure!(
                Instant::now() < deadline,
                "no answer from the server; end of its log:\n{}",
                self.log_tail()
            );
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Kills it with signal 9.
    ///
    /// # Errors
    /// If it is not running.
    pub fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the server is not running")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Its URL, for the agent.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The key for agents.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// A client of its API, with an administrator's token.
    pub fn api(&self) -> &Api {
        &self.api
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        tail(&self.log())
    }
}

/// The last lines of a log.
pub(crate) fn tail(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| error.to_string());
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
