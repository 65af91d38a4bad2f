//! Server and agent as they run beside a command: each with a log of its own, and waited for until
//! it answers.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{command::output, log::Log, process::Process};

/// How long it may take until one answers.
const START: Duration = Duration::from_secs(30);

/// A program with a log, in a folder.
pub(crate) struct Service {
    process: Process,
    log: Log,
}

impl Service {
    /// Starts it.
    pub(crate) fn start(name: &'static str, mut command: Command, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let log = Log::at(folder.join(format!("{name}.log")));
        log.take(&mut command)?;
        Ok(Self {
            process: Process::start(name, command)?,
            log,
        })
    }

    /// That it still runs; the error tells the end of its log.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.process.ended()? {
            None => Ok(()),
            Some(status) => bail!(
                "{} ended with {status}; {}",
                self.process.name(),
                self.log.end()
            ),
        }
    }

    /// Waits until it answers at a path with success; `check` may end the waiting by an error.
    pub(crate) fn wait(
        &mut self,
        address: SocketAddr,
        path: &str,
        check: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        let deadline = Instant::now() + START;
        while !answers(address, path) {
            self.check()?;
            check()?;
            if Instant::now() >= deadline {
                bail!(
                    "{} does not answer at http://{address}{path}; {}",
                    self.process.name(),
                    self.log.end()
                );
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

/// The server's program and the folder of its data.
pub(crate) struct Server<'a> {
    pub(crate) program: &'a Path,
    pub(crate) data: &'a Path,
}

impl Server<'_> {
    /// A command that serves.
    pub(crate) fn serve(&self, address: SocketAddr) -> Command {
        let mut command = Process::command(self.program);
        command
            .args(["serve", "--listen", &address.to_string(), "--data"])
            .arg(self.data);
        command
    }

    /// A new key with which an agent may post.
    pub(crate) fn create_key(&self, owner: &str) -> Result<String> {
        self.tell(&["key", "create", "--owner", owner])
    }

    /// A token with which an administrator may read.
    pub(crate) fn admin_token(&self) -> Result<String> {
        self.tell(&["token", "--admin"])
    }

    fn tell(&self, words: &[&str]) -> Result<String> {
        output(
            Command::new(self.program)
                .args(words)
                .arg("--data")
                .arg(self.data),
        )
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port is free on 127.0.0.1")?;
    Ok(listener
        .local_addr()
        .context("a socket without an address")?
        .port())
}

fn answers(address: SocketAddr, path: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let limit = Duration::from_secs(2);
        let mut stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_read_timeout(Some(limit))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )?;
        // "HTTP/1.1 200"
        let mut start = [0; 12];
        stream.read_exact(&mut start)?;
        Ok(start.starts_with(b"HTTP/1.") && start[9] == b'2')
    };
    ask().unwrap_or(false)
}
