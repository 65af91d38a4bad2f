//! A real server on a port and in a folder of its own.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::api::Api;
use crate::{keeper, settings};

/// A server, which is killed when this is dropped.
#[derive(Debug)]
pub struct Server {
    program: PathBuf,
    folder: PathBuf,
    address: String,
    child: Option<Child>,
    key: String,
    api: Api,
}

/// Runs the server's program with a command that prints one word, and gives the word.
fn word(program: &Path, folder: &Path, args: &[&str]) -> Result<String> {
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

/// A port that is free now.
///
/// # Errors
/// When there is none.
pub fn free_port(address: &str) -> Result<u16> {
    let listener = TcpListener::bind((address, 0)).context("cannot find a free port")?;
    Ok(listener.local_addr()?.port())
}

impl Server {
    /// Starts one with an empty store in `folder`, and waits until it answers.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(folder: &Path) -> Result<Self> {
        let program = settings::program("bubble-server")?;
        let folder = folder.join("server");
        std::fs::create_dir_all(&folder)?;
        let key = word(&program, &folder, &["key", "create", "--owner", "suite"])?;
        let token = word(&program, &folder, &["token", "--admin"])?;
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

    /// Starts the same server again, on the same port and store, and waits until it answers.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn resume(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let nowhere: [&Path; 0] = [];
        let args = ["serve".as_ref(), "--listen".as_ref(), self.address.as_ref()];
        let args = args
            .into_iter()
            .chain(["--data".as_ref(), self.folder.as_os_str()]);
        let mut command = keeper::command(&self.program, &nowhere, args)?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        self.child = Some(keeper::spawn(command)?);
        let deadline = Instant::now() + settings::patience(Duration::from_secs(20));
        while !self.api.answers() {
            if let Some(status) = self
                .child
                .as_mut()
                .map(Child::try_wait)
                .transpose()?
                .flatten()
            {
                bail!(
                    "the server ended by itself, {status}; it said:\n{}",
                    self.said()
                );
            }
            ensure!(
                Instant::now() < deadline,
                "no answer from the server; it said:\n{}",
                self.said()
            );
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Kills it with signal 9.
    ///
    /// # Errors
    /// When it was not running.
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

    /// A key with which an agent may post.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its API, read by an administrator.
    pub fn api(&self) -> &Api {
        &self.api
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// The end of what it logged.
    pub fn said(&self) -> String {
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
