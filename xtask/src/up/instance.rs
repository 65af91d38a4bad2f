//! The resources of one run of `up`: a folder, two ports, an API key. Several can run at once.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::command::say;
use crate::service::{Server, free_port};
use crate::{flags, project};

/// Maximum number of runs of `up` from one checkout at the same time.
const MAX_INSTANCES: u32 = 99;
const SERVER_PORT: u16 = 8080;
const AGENT_PORT: u16 = 9465;

pub(super) struct Instance {
    data: PathBuf,
    /// Locked as long as this run uses the folder.
    _lock: File,
    /// The address of the server.
    pub(super) server: SocketAddr,
    /// The address of the agent's metrics.
    pub(super) agent: SocketAddr,
}

impl Instance {
    /// Takes the folder and the ports that the flags name, or free ones.
    pub(super) fn claim(flags: &flags::Up) -> Result<Self> {
        let (data, lock) = match &flags.data {
            Some(folder) => {
                let lock = lock(folder)?;
                let lock = lock.with_context(|| {
                    format!("{} is in use: choose another by --data", folder.display())
                })?;
                (folder.clone(), lock)
            }
            None => free_folder()?,
        };
        Ok(Self {
            data,
            _lock: lock,
            server: port(flags.server_port, SERVER_PORT, "--server-port")?,
            agent: port(flags.agent_port, AGENT_PORT, "--agent-port")?,
        })
    }

    /// The folder of data and logs.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// The key of an earlier run, or a new one.
    pub(super) fn api_key(&self, store: &Server<'_>) -> Result<String> {
        let path = self.data.join("api-key");
        if let Ok(key) = fs::read_to_string(&path) {
            return Ok(key);
        }
        let key = store.create_key("up")?;
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(key.as_bytes()))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(key)
    }
}

/// target/up, or else target/up-2 and so on.
fn free_folder() -> Result<(PathBuf, File)> {
    for number in 1..=MAX_INSTANCES {
        let folder = project::target().join(match number {
            1 => "up".to_owned(),
            _ => format!("up-{number}"),
        });
        if let Some(lock) = lock(&folder)? {
            return Ok((folder, lock));
        }
    }
    bail!("{MAX_INSTANCES} others run from this checkout: end one of them")
}

/// Locks the folder. `None`: another process has locked it.
fn lock(folder: &Path) -> Result<Option<File>> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let path = folder.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// The port asked for, or else the default one, or else any that is free.
fn port(asked: Option<u16>, default: u16, flag: &str) -> Result<SocketAddr> {
    let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let is_free = |port| TcpListener::bind(address(port));
    match asked {
        Some(port) => {
            is_free(port).with_context(|| {
                format!("cannot listen on 127.0.0.1:{port}: choose another by {flag}")
            })?;
            Ok(address(port))
        }
        None if is_free(default).is_ok() => Ok(address(default)),
        None => {
            let port = free_port()?;
            say(format!("port {default} is in use: taking {port}"));
            Ok(address(port))
        }
    }
}
