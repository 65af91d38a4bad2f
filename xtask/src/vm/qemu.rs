//! Runs QEMU with the few devices that the guest needs.
//!
//! Its console is read until the line with the command's exit code. QEMU is killed after a time
//! limit.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::command::find;
use crate::process::Process;

/// The guest's process 1 prints this before the exit code of the command.
pub(super) const EXIT_MARKER: &str = "the command in the guest ended with code ";

/// Number of console lines in the error when the guest ends early.
const MAX_LAST_LINES: usize = 40;

/// Time that powering off may take.
const POWER_OFF_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct Machine<'a> {
    pub(super) kernel: &'a Path,
    pub(super) initramfs: &'a Path,
    pub(super) memory: u32,
    pub(super) instruction_clock: bool,
    pub(super) time_limit: Duration,
}

impl Machine<'_> {
    pub(super) fn run(&self, on_line: &mut dyn FnMut(&str)) -> Result<i32> {
        let mut child = self
            .command()?
            .spawn()
            .context("cannot start qemu-system-x86_64")?;
        let result = match child.stdout.take() {
            Some(console) => self.follow(lines_of(console), on_line),
            None => Err(anyhow!("QEMU has no console")),
        };
        // A guest that printed the exit code is about to power off.
        end(
            &mut child,
            if result.is_ok() {
                POWER_OFF_TIMEOUT
            } else {
                Duration::ZERO
            },
        )?;
        result
    }

    /// QEMU, which ends with this process.
    fn command(&self) -> Result<Command> {
        let qemu = find("qemu-system-x86_64").context("qemu-system-x86_64 is not installed")?;
        let mut command = Process::command(&qemu);
        if self.instruction_clock {
            // The clock counts the instructions of one processor.
            command.args(["-icount", "shift=0,sleep=off", "-smp", "1"]);
        } else {
            command.args(["-smp", "2"]);
        }
        command
            // One thread emulates both processors in turns. With a thread each, an interrupt from
            // one to the other can get lost, and 6.1 then waits forever.
            .args(["-accel", "tcg,thread=single"])
            .args(["-cpu", "max", "-m", &self.memory.to_string()])
            .args([
                "-nodefaults",
                "-no-user-config",
                "-no-reboot",
                "-display",
                "none",
            ])
            .args(["-serial", "stdio"])
            .arg("-kernel")
            .arg(self.kernel)
            .arg("-initrd")
            .arg(self.initramfs)
            // A panic reboots at once, and -no-reboot makes QEMU exit instead. A processor that
            // hangs for two minutes causes a panic.
            .args([
                "-append",
                "console=ttyS0 quiet loglevel=3 panic=-1 softlockup_panic=1 watchdog_thresh=60 \
                 rdinit=/init",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        Ok(command)
    }

    fn follow(&self, lines: Receiver<String>, on_line: &mut dyn FnMut(&str)) -> Result<i32> {
        let deadline = Instant::now() + self.time_limit;
        let mut last = VecDeque::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match lines.recv_timeout(left) {
                Ok(line) => {
                    if let Some(code) = line.strip_prefix(EXIT_MARKER) {
                        return code
                            .parse()
                            .with_context(|| format!("cannot parse the exit code {code:?}"));
                    }
                    on_line(&line);
                    if last.len() == MAX_LAST_LINES {
                        last.pop_front();
                    }
                    last.push_back(line);
                }
                Err(RecvTimeoutError::Timeout) => {
                    bail!(
                        "the guest did not end within {} s",
                        self.time_limit.as_secs()
                    );
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!(
                        "the guest ended before its command did; its last lines:\n{}",
                        Vec::from(last).join("\n")
                    );
                }
            }
        }
    }
}

/// Reads lines in a thread, so that the time limit also ends a silent guest.
fn lines_of(console: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut console = BufReader::new(console);
        let mut line = Vec::new();
        while console
            .read_until(b'\n', &mut line)
            .is_ok_and(|read| read > 0)
        {
            let text = String::from_utf8_lossy(&line)
                .trim_end_matches(['\n', '\r'])
                .to_owned();
            if sender.send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
    receiver
}

/// Waits for QEMU to exit, and kills it after the timeout.
fn end(child: &mut Child, timeout: Duration) -> Result<()> {
    let deadline = Instant::now() + timeout;
    while child.try_wait().context("cannot wait for QEMU")?.is_none() {
        if Instant::now() >= deadline {
            child.kill().context("cannot kill QEMU")?;
            child.wait().context("cannot wait for QEMU")?;
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
