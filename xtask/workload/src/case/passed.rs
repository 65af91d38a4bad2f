//! Descriptors that get another file between two calls or come from another process, and a file below
//! another root.

use std::os::fd::{AsRawFd as _, IntoRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Result, ensure};
use bubble_workload::truth::Truth;

use super::blocks::open;
use crate::ledger::Ledger;
use crate::sys;

/// Bytes that are written to the former and to the next file of a descriptor, in each round.
const FORMER: usize = 700;
const NEXT: usize = 300;
const ROUNDS: usize = 5;

/// Writes through descriptors that change.
pub(crate) fn run(directory: &Path) -> Result<Truth> {
    let mut ledger = Ledger::new("passed");
    for round in 0..ROUNDS {
        let file = |name: &str| directory.join(format!("{name}-{round}"));
        change(
            &mut ledger,
            &file("before-dup3"),
            &file("after-dup3"),
            duplicate,
        )?;
        change(
            &mut ledger,
            &file("before-close"),
            &file("after-close"),
            close_and_take,
        )?;
        receive(&mut ledger, &file("received"))?;
    }
    // Last, as it changes every path of this process.
    below_another_root(&mut ledger, directory)?;
    Ok(ledger.close())
}

/// Writes to a file, lets `change` put the next one behind its descriptor, and writes to that.
fn change(
    ledger: &mut Ledger,
    former: &Path,
    next: &Path,
    change: impl FnOnce(RawFd, OwnedFd) -> Result<()>,
) -> Result<()> {
    let number = open(ledger, former, true)?.into_raw_fd();
    let moved = sys::write(&number, &[1; FORMER])?;
    ledger.written(&former.to_string_lossy(), moved);
    let file = open(ledger, next, true)?;
    change(number, file.into())?;
    let moved = sys::write(&number, &[1; NEXT])?;
    ledger.written(&next.to_string_lossy(), moved);
    Ok(sys::close(number)?)
}

fn duplicate(number: RawFd, file: OwnedFd) -> Result<()> {
    Ok(sys::dup3(&file, number)?)
}

/// Closes the descriptor as one of a range, and gives its number to the file.
fn close_and_take(number: RawFd, file: OwnedFd) -> Result<()> {
    sys::close_range(number)?;
    let taken = sys::duplicate(&file)?;
    ensure!(taken.as_raw_fd() == number, "another descriptor was free");
    let _ = taken.into_raw_fd();
    Ok(())
}

/// Writes to a file whose descriptor came through a socket, and took the number of another one.
fn receive(ledger: &mut Ledger, path: &Path) -> Result<()> {
    let (from, to) = UnixStream::pair()?;
    let file = open(ledger, path, true)?;
    sys::send_descriptor(&to, &file)?;
    drop(file);
    let received: OwnedFd = sys::receive_descriptor(&from)?;
    let moved = sys::write(&received, &[1; NEXT])?;
    ledger.written(&path.to_string_lossy(), moved);
    Ok(())
}

/// Changes the root of this process, and writes a file there. Its path is the one that the process sees.
fn below_another_root(ledger: &mut Ledger, directory: &Path) -> Result<()> {
    sys::chroot(directory)?;
    let file = std::fs::File::create("/below-root")?;
    ledger.opened(Path::new("/below-root"));
    let moved = sys::write(&file, &[1; FORMER])?;
    ledger.written("/below-root", moved);
    Ok(())
}
