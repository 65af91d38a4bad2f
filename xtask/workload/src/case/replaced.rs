//! Descriptors that get another file while a call waits in the former one.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd as _, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread::{scope, sleep};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bubble_workload::truth::Truth;

use super::blocks::{fill, open};
use crate::ledger::Ledger;
use crate::sys;

/// Time from the beginning of a call until it waits, also on a busy machine.
const BLOCKED: Duration = Duration::from_millis(700);
const BYTES: usize = 1000;
const ROUNDS: usize = 3;

/// Makes a call wait, replaces its descriptor in another thread, and lets the call go on.
pub(crate) fn run(directory: &Path) -> Result<Truth> {
    let mut ledger = Ledger::new("replaced");
    let [decoy, target] = ["decoy", "target"].map(|name| directory.join(name));
    fill(&mut ledger, &decoy, 5000, 5000)?;
    for round in 0..ROUNDS {
        let way = if round % 2 == 0 {
            Way::Duplicate
        } else {
            Way::CloseAndOpen
        };
        read_from_pipe(&mut ledger, &decoy, way)?;
        read_from_socket(&mut ledger, &decoy, way)?;
        write_to_pipe(&mut ledger, &decoy, way)?;
        splice_to_file(&mut ledger, &decoy, &target, way)?;
    }
    std::fs::remove_file(&decoy)?;
    std::fs::remove_file(&target)?;
    Ok(ledger.close())
}

/// How a descriptor gets another file.
#[derive(Clone, Copy)]
enum Way {
    /// `dup2`
    Duplicate,
    /// `close`, and an `open` that gets the same number
    CloseAndOpen,
}

/// Puts the decoy behind `number`. The descriptor that was there is gone then.
fn replace(ledger: &mut Ledger, decoy: &Path, number: RawFd, way: Way) -> Result<()> {
    match way {
        Way::Duplicate => {
            let file = open(ledger, decoy, false)?;
            sys::dup2(&file, number)?;
        }
        Way::CloseAndOpen => {
            sys::close(number)?;
            let file = open(ledger, decoy, false)?;
            ensure!(file.as_raw_fd() == number, "another descriptor was free");
            let _ = file.into_raw_fd();
        }
    }
    Ok(())
}

/// Runs `call` in another thread, replaces the descriptor `number` while it waits, and runs `release`,
/// after which it can go on. Closes the descriptor.
fn during(
    ledger: &mut Ledger,
    (decoy, number, way): (&Path, RawFd, Way),
    call: impl FnOnce() -> io::Result<u64> + Send,
    release: impl FnOnce(&mut Ledger) -> Result<()>,
) -> Result<u64> {
    let moved = scope(|threads| -> Result<u64> {
        let (begins, begun) = channel();
        let waiting = threads.spawn(move || {
            // Fails if the other end is gone, and then nobody waits for it.
            let _ = begins.send(());
            call()
        });
        begun.recv()?;
        sleep(BLOCKED);
        ensure!(!waiting.is_finished(), "the call did not wait");
        replace(ledger, decoy, number, way)?;
        release(ledger)?;
        let moved = waiting.join().ok().context("the thread panicked")??;
        Ok(moved)
    })?;
    sys::close(number)?;
    Ok(moved)
}

/// All pipes of a process are one file to the agent.
const PIPES: &str = "pipe:[all]";

fn read_from_pipe(ledger: &mut Ledger, decoy: &Path, way: Way) -> Result<()> {
    let (from, to) = sys::pipe()?;
    let number = from.into_raw_fd();
    let moved = during(
        ledger,
        (decoy, number, way),
        || sys::read(&number, &mut [0; BYTES]),
        |ledger| {
            let moved = sys::write(&to, &[1; BYTES])?;
            ledger.written(PIPES, moved);
            Ok(())
        },
    )?;
    ledger.read(PIPES, moved);
    Ok(())
}

fn read_from_socket(ledger: &mut Ledger, decoy: &Path, way: Way) -> Result<()> {
    let (from, to) = UnixStream::pair()?;
    let number = from.into_raw_fd();
    let moved = during(
        ledger,
        (decoy, number, way),
        || sys::read(&number, &mut [0; BYTES]),
        |_| Ok(sys::write(&to, &[1; BYTES]).map(drop)?),
    )?;
    ensure!(moved == BYTES as u64, "only {moved} bytes from the socket");
    Ok(())
}

fn write_to_pipe(ledger: &mut Ledger, decoy: &Path, way: Way) -> Result<()> {
    /// More than a pipe holds.
    const MUCH: usize = 100_000;
    let (from, to) = sys::pipe()?;
    let number = to.into_raw_fd();
    let moved = during(
        ledger,
        (decoy, number, way),
        || sys::write(&number, &[1; MUCH]),
        |ledger| {
            let mut left = MUCH as u64;
            while left > 0 {
                let moved = sys::read(&from, &mut [0; 1 << 14])?;
                ledger.read(PIPES, moved);
                left -= moved;
            }
            Ok(())
        },
    )?;
    ledger.written(PIPES, moved);
    Ok(())
}

fn splice_to_file(ledger: &mut Ledger, decoy: &Path, target: &Path, way: Way) -> Result<()> {
    let (from, to) = sys::pipe()?;
    let file: File = open(ledger, target, true)?;
    let number = file.into_raw_fd();
    let moved = during(
        ledger,
        (decoy, number, way),
        || sys::splice(&from, &number, BYTES),
        |ledger| {
            let moved = sys::write(&to, &[1; BYTES])?;
            ledger.written(PIPES, moved);
            Ok(())
        },
    )?;
    ledger.read(PIPES, moved);
    ledger.written(&target.to_string_lossy(), moved);
    Ok(())
}
