//! Opens: more files than any table of the agent can hold.

use std::fs::{self, OpenOptions};
use std::path::Path;

use anyhow::{Context, Result};
use bubble_workload::truth::Truth;

use crate::ledger::Ledger;

/// Number of files in a folder.
const FILES_PER_FOLDER: u32 = 1000;

/// Creates (and so opens once) `count` files, then removes them.
pub(crate) fn run(directory: &Path, count: u32) -> Result<Truth> {
    let mut ledger = Ledger::new("opens");
    let folder = |number: u32| directory.join(format!("opens-{:04}", number / FILES_PER_FOLDER));
    let path = |number: u32| folder(number).join(format!("{number:07}"));
    for number in 0..count {
        if number % FILES_PER_FOLDER == 0 {
            let folder = folder(number);
            fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let path = path(number);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        ledger.opened_unlisted(1);
    }
    for number in 0..count {
        fs::remove_file(path(number))?;
    }
    for number in (0..count).step_by(FILES_PER_FOLDER as usize) {
        fs::remove_dir(folder(number))?;
    }
    Ok(ledger.close())
}
