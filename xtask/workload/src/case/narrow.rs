//! Calls of 32-bit programs: the same machine code that such a program has, in this one.

use std::path::Path;

use anyhow::Result;

use super::blocks::{fill, open, repeat};
use crate::ledger::Ledger;
use crate::rare;

/// Copies `bytes` from one file to another by the `sendfile64` of 32-bit programs.
pub(crate) fn copy(
    ledger: &mut Ledger,
    [first, second]: [&Path; 2],
    bytes: u64,
    block: usize,
) -> Result<()> {
    fill(ledger, first, bytes, block)?;
    let (from, to) = (open(ledger, first, false)?, open(ledger, second, true)?);
    let (first, second) = (first.to_string_lossy(), second.to_string_lossy());
    repeat(bytes, block, |_, length| {
        let moved = rare::narrow_sendfile(&to, &from, length)?;
        ledger.read(&first, moved);
        ledger.written(&second, moved);
        Ok(moved)
    })
}
