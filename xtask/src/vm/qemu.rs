//! QEMU: started without anything that the guest does not need, its console read line by line
//! until the marker with the command's exit code, ended when the time is over.

use std::{
    collections::VecDeque,
    io::{BufRead as _, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};

/// What the guest's process 1 prints before the exit code of the command.
pub(super) const EXIT_MARKER: &str = "the command in the guest ended with code ";

/// How many lines of console are shown when the guest ends without a word.
const LAST_LINES: usize = 40;

/// What powering off may take.
const POWER_OFF: Duration = Duration::from_secs(5);

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
            .command()
            .spawn()
            .context("cannot start qemu-system-x86_64")?;
        let result = match child.stdout.take() {
            Some(console) => self.follow(lines_of(console), on_line),
            None => Err(anyhow!("QEMU has no console")),
        };
        // A guest that told its code is about to power off.
        end(
            &mut child,
            if result.is_ok() {
                POWER_OFF
            } else {
                Duration::ZERO
            },
        )?;
        result
    }

    fn command(&self) -> Command {
        let mut command = Command::new("qemu-system-x86_64");
        if self.instruction_clock {
            // One processor: the clock is what it executed.
            command.args(["-icount", "shift=0,sleep=off", "-smp", "1"]);
        } else {
            command.args(["-smp", "2"]);
        }
        command
            // Its processors take turns: when each has a thread of its own, an interrupt from one
            // to the other can get lost, and 6.1 then waits for its answer for ever.
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
            // A panic reboots at once, which -no-reboot turns into an end; a processor that hangs
            // for two minutes is one.
            .args([
                "-append",
                "console=ttyS0 quiet loglevel=3 panic=-1 softlockup_panic=1 watchdog_thresh=60 \
                 rdinit=/init",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        command
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
                            .with_context(|| format!("odd exit code {code:?}"));
                    }
                    on_line(&line);
                    if last.len() == LAST_LINES {
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

/// Reads in a thread of its own, so that a silent guest cannot outlast its time.
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

/// Gives QEMU some time to end by itself, then ends it.
fn end(child: &mut Child, patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    while child.try_wait().context("cannot wait for QEMU")?.is_none() {
        if Instant::now() >= deadline {
            child.kill().context("cannot end QEMU")?;
            child.wait().context("cannot wait for QEMU")?;
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
