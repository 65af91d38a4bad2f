//! Starts the process that reads a capture, and bounds it.

use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::warn;

use super::output::{Frames, Last, Summary};
use crate::memory::{MemoryError, Pool};

/// Uploads at the same time; one of them is read.
const MAX_UPLOADS: usize = 2;
/// Longest wait for the reader of another capture.
const PLACE_TIMEOUT: Duration = Duration::from_secs(300);
/// Longest wait for memory.
const MEMORY_TIMEOUT: Duration = Duration::from_secs(30);
/// CPU time of a reader: so much, and a second for each MiB.
const MIN_CPU: Duration = Duration::from_secs(60);
/// Longest time of a reader, as a multiple of its CPU time.
const WALL_FACTOR: u32 = 4;
/// Output of a reader: so many bytes, and as many as the capture has.
const MIN_OUTPUT: u64 = 64 << 20;
/// The command that reads a capture.
pub const COMMAND: &str = "read-capture";
/// Variable of mimalloc. By default it makes 1 GiB writable at once, which counts as memory of the process
/// (`RLIMIT_DATA`), used or not.
const LAZY_MEMORY: &str = "MIMALLOC_ARENA_EAGER_COMMIT";
/// Bytes of a reader's last words that are logged.
const MAX_WORDS: u64 = 1_024;

/// Reads captures, one at a time.
#[derive(Debug, Clone)]
pub struct Readers {
    /// The program that is started: this one.
    pub program: PathBuf,
    /// Where captures wait, in files without a name.
    pub folder: PathBuf,
    /// CPU time for a small capture.
    pub min_cpu: Duration,
    /// Memory for a reader: all of the pool.
    memory: Pool,
    place: Arc<Semaphore>,
    /// Permits for uploads.
    pub uploads: Arc<Semaphore>,
}

/// Why a capture was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is no capture, or nothing of it can be read.
    #[error("this file cannot be read as a capture: {0}")]
    Refused(String),
    /// Others are read, and it waited long enough.
    #[error("other captures are being read: try again later")]
    Busy,
    /// There is no memory for a reader.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// Reading it takes more memory than it may.
    #[error(
        "reading this capture takes more than {} MiB of memory: record less at a time (sysdig -w FILE -C 100), \
         raise --memory-limit of the server, or post it with `bubble-agent analyse`",
        limit >> 20
    )]
    TooMuchMemory {
        /// Bytes that a reader may have.
        limit: usize,
    },
    /// Reading it takes more time than it may.
    #[error(
        "reading this capture takes more than {} s: record less at a time (sysdig -w FILE -C 100), \
         or post it with `bubble-agent analyse`",
        limit.as_secs()
    )]
    TooSlow {
        /// CPU time that a reader may have.
        limit: Duration,
    },
    /// It holds more than a capture of its size can.
    #[error(
        "what this capture holds takes more than {} MiB: record less at a time (sysdig -w FILE -C 100), \
         or post it with `bubble-agent analyse`",
        limit >> 20
    )]
    TooMuchOutput {
        /// Bytes that a reader may write.
        limit: u64,
    },
    /// The reader ended in another way.
    #[error("the reader of the capture failed: {0}")]
    Failed(String),
    /// A file of the server or the process failed.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        source: io::Error,
    },
}

/// A capture that was read: its batches, and what they are about.
#[derive(Debug)]
pub struct Output {
    /// The batches.
    pub batches: Frames,
    /// What was read.
    pub summary: Summary,
}

fn failed(doing: &'static str) -> impl FnOnce(io::Error) -> ReadError {
    move |source| ReadError::Io { doing, source }
}

/// Most bytes that are read out of a capture of `size` bytes.
pub fn max_output(size: u64) -> u64 {
    MIN_OUTPUT.saturating_add(size)
}

impl Readers {
    /// Readers with memory from `memory`.
    pub fn new(memory: Pool) -> Self {
        Self {
            // As the kernel knows this program, even if its file was replaced.
            program: PathBuf::from("/proc/self/exe"),
            folder: std::env::temp_dir(),
            min_cpu: MIN_CPU,
            memory,
            place: Arc::new(Semaphore::new(1)),
            uploads: Arc::new(Semaphore::new(MAX_UPLOADS)),
        }
    }

    /// A file for a capture. It has no name, so nothing is left of it when it is closed.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn file(&self) -> Result<File, ReadError> {
        std::fs::create_dir_all(&self.folder)
            .and_then(|()| tempfile::tempfile_in(&self.folder))
            .map_err(failed("make a file in the data directory"))
    }

    /// Reads a capture.
    ///
    /// # Errors
    /// When it is none, or exceeds a bound. Nothing of it is stored then.
    pub async fn read(&self, capture: File) -> Result<Output, ReadError> {
        let place = timeout(PLACE_TIMEOUT, self.place.acquire()).await;
        let Ok(Ok(_place)) = place else {
            return Err(ReadError::Busy);
        };
        let held = self.memory.reserve(self.memory.size(), MEMORY_TIMEOUT);
        let held = held.await?;
        let size = capture
            .metadata()
            .map_err(failed("read the capture"))?
            .len();
        let allowed = Allowed {
            memory: held.bytes(),
            cpu: self.min_cpu + Duration::from_secs(size >> 20),
            output: max_output(size),
        };
        let output = self.file()?;
        let child = self.start(capture, &output, &allowed)?;
        let (status, words) = end(child, &allowed).await?;
        let mut batches = Frames::new(tokio::fs::File::from_std(output));
        let last = batches
            .last()
            .await
            .map_err(failed("read what a capture holds"))?;
        match last {
            Some(Last::Summary(summary)) if status.success() => {
                let rewound = batches.rewind().await;
                rewound.map_err(failed("read what a capture holds"))?;
                Ok(Output { batches, summary })
            }
            Some(Last::Refusal(why)) if status.success() => Err(ReadError::Refused(why)),
            _ => {
                let ended = status.to_string();
                warn!(ended, words, "the reader of a capture failed");
                Err(allowed.reason(status))
            }
        }
    }

    /// Starts the reader, without the environment of this process.
    fn start(&self, capture: File, output: &File, allowed: &Allowed) -> Result<Child, ReadError> {
        let stdout = output.try_clone().map_err(failed("share a file"))?;
        Command::new(&self.program)
            .arg(COMMAND)
            .args(["--memory", &allowed.memory.to_string()])
            .args(["--cpu", &allowed.cpu.as_secs().to_string()])
            .args(["--output", &allowed.output.to_string()])
            .env_clear()
            .env(LAZY_MEMORY, "0")
            .stdin(capture)
            .stdout(stdout)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed("start the reader of captures"))
    }
}

/// What one reader may use.
#[derive(Debug)]
struct Allowed {
    memory: usize,
    cpu: Duration,
    output: u64,
}

impl Allowed {
    /// Why a reader ended without its last frame.
    fn reason(&self, status: ExitStatus) -> ReadError {
        let is = |signal: Signal| status.signal() == Some(signal.as_raw());
        if is(Signal::XCPU) {
            ReadError::TooSlow { limit: self.cpu }
        } else if is(Signal::XFSZ) {
            ReadError::TooMuchOutput { limit: self.output }
        } else if is(Signal::ABORT) || is(Signal::KILL) {
            // Rust aborts when an allocation fails; the kernel kills when the machine has no memory left.
            ReadError::TooMuchMemory { limit: self.memory }
        } else {
            ReadError::Failed(status.to_string())
        }
    }
}

/// Waits for a reader, and kills it if it takes too long. Returns its status, and the beginning of what it
/// says.
async fn end(mut child: Child, allowed: &Allowed) -> Result<(ExitStatus, String), ReadError> {
    let stderr = child.stderr.take();
    let words = async {
        let mut words = Vec::new();
        if let Some(stderr) = stderr {
            // What is missing of them is for the log only.
            let _ = stderr.take(MAX_WORDS).read_to_end(&mut words).await;
        }
        String::from_utf8_lossy(&words).trim().to_owned()
    };
    let ended = async { tokio::join!(child.wait(), words) };
    match timeout(allowed.cpu * WALL_FACTOR, ended).await {
        Ok((status, words)) => Ok((status.map_err(failed("wait for the reader"))?, words)),
        // Dropped, it is killed.
        Err(_) => Err(ReadError::TooSlow { limit: allowed.cpu }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;
    use std::time::Duration;

    use rustix::process::Signal;

    use super::{Allowed, ReadError};

    #[test]
    fn the_signal_tells_the_bound() {
        let allowed = Allowed {
            memory: 64 << 20,
            cpu: Duration::from_secs(61),
            output: 65 << 20,
        };
        let text = |raw| allowed.reason(ExitStatus::from_raw(raw)).to_string();
        assert!(text(Signal::XCPU.as_raw()).contains("more than 61 s"));
        assert!(text(Signal::XFSZ.as_raw()).contains("more than 65 MiB"));
        for signal in [Signal::ABORT, Signal::KILL] {
            assert!(text(signal.as_raw()).contains("64 MiB of memory"));
        }
        // A panic.
        let failed = allowed.reason(ExitStatus::from_raw(101 << 8));
        assert!(matches!(failed, ReadError::Failed(_)), "{failed}");
    }
}
