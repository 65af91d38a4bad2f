//! The server and the agent as background programs of a command, each with a log of its own.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, Result, bail};

use crate::command::output;
use crate::log::Log;
use crate::process::Process;

/// Time that a service may take to answer.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A running program with a log.
pub(crate) struct Service {
    process: Process,
    log: Log,
}

impl Service {
    /// Starts the program, with its log in `folder`.
    pub(crate) fn start(name: &'static str, mut command: Command, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let log = Log::new(folder.join(format!("{name}.log")));
        log.capture(&mut command)?;
        Ok(Self {
            process: Process::start(name, command)?,
            log,
        })
    }

    /// An error with the end of its log if it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.process.exit_status()? {
            None => Ok(()),
            Some(status) => bail!(
                "{} ended with {status}; {}",
                self.process.name(),
                self.log.end()
            ),
        }
    }

    /// Waits until it answers a GET of `path` with success. An error of `check` ends the wait.
    pub(crate) fn wait(
        &mut self,
        address: SocketAddr,
        path: &str,
        check: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
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

    /// The warnings in its log so far.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.log.warnings()
    }

    /// The end of its log, for an error.
    pub(crate) fn log_end(&self) -> String {
        self.log.end()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

/// The server's program and its data folder.
pub(crate) struct Server<'a> {
    pub(crate) program: &'a Path,
    pub(crate) data: &'a Path,
}

impl Server<'_> {
    /// The command `serve`.
    pub(crate) fn serve(&self, address: SocketAddr) -> Command {
        let mut command = Process::command(self.program);
        command
            .args(["serve", "--listen", &address.to_string(), "--data"])
            .arg(self.data);
        command
    }

    /// Creates an API key for an agent.
    pub(crate) fn create_key(&self, owner: &str) -> Result<String> {
        self.query(&["key", "create", "--owner", owner])
    }

    /// Creates a token for an administrator.
    pub(crate) fn admin_token(&self) -> Result<String> {
        self.query(&["token", "--admin"])
    }

    fn query(&self, arguments: &[&str]) -> Result<String> {
        output(
            Command::new(self.program)
                .args(arguments)
                .arg("--data")
                .arg(self.data),
        )
    }
}

/// A port on 127.0.0.1 that is free at this moment.
pub(crate) fn free_port() -> Result<u16> {
    let listener =
        TcpListener::bind("127.0.0.1:0").context("cannot find a free port on 127.0.0.1")?;
    Ok(listener
        .local_addr()
        .context("cannot read the address of a socket")?
        .port())
}

fn answers(address: SocketAddr, path: &str) -> bool {
    let request = || -> std::io::Result<bool> {
        let timeout = Duration::from_secs(2);
        let mut stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )?;
        // "HTTP/1.1 200"
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status.starts_with(b"HTTP/1.") && status[9] == b'2')
    };
    request().unwrap_or(false)
}
