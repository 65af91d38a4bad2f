//! Names that hold any byte: of files, of a process and of its threads; and a path longer than the kernel's
//! maximum.

use std::env;
use std::ffi::{CStr, OsStr};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::thread::spawn;

use anyhow::{Context, Result, ensure};
use bubble_workload::truth::Truth;

use super::process::{Program, hidden};
use crate::ledger::Ledger;
use crate::{cpu, sys};

/// Names of files, and how they are shown. Two of them differ in a byte that is no text.
const FILES: [(&[u8], &str); 7] = [
    (b"x\xff\xfe", r"x\xff\xfe"),
    (b"x\xfd\xfe", r"x\xfd\xfe"),
    (b"new\nline", "new\nline"),
    (b"tab\t\"<b>", "tab\t\"<b>"),
    (b"e (deleted)", "e (deleted)"),
    (b"back\\slash", "back\\slash"),
    ("\u{20ac}".as_bytes(), "\u{20ac}"),
];
/// The name of the child, and how it is shown.
const NAME: &CStr = c"a\nb\xff\xfe\t\"<b>";
const SHOWN_NAME: &str = "a\nb\\xff\\xfe\t\"<b>";
/// The thread of the child has another one.
const THREAD: &CStr = c"a-thread";
/// CPU time of both, microseconds.
const WORK_US: u64 = 1_000;
const CODE: i32 = 7;
/// Folders of the long path, and bytes of their names.
const DEPTH: usize = 30;
const FOLDER_BYTES: usize = 200;
/// Longest path that is stored, in bytes. A longer one is shown by its last names, after an ellipsis.
const MAX_PATH: usize = 1024;

/// Writes the files, and runs the child.
pub(crate) fn run(directory: &Path) -> Result<Truth> {
    let mut ledger = Ledger::new("names");
    for (number, (name, shown)) in FILES.iter().enumerate() {
        let path = directory.join(OsStr::from_bytes(name));
        write(&mut ledger, &path, &directory.join(shown), 100 + number)?;
    }
    let args = hidden(&["named-here"]);
    let pid = Program::this()?.start(&args)?;
    let ended = sys::wait(pid).context("cannot wait for a child")?;
    ensure!(ended.exit_code == Some(CODE), "the child failed");
    ledger.ended(pid, args, ended);
    ledger.named(&["bubble-workload", SHOWN_NAME]);
    deep(&mut ledger, directory)?;
    Ok(ledger.close())
}

fn write(ledger: &mut Ledger, path: &Path, shown: &Path, bytes: usize) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    ledger.opened(shown);
    let moved = sys::write(&file, &vec![1; bytes])?;
    ledger.written(&shown.to_string_lossy(), moved);
    Ok(())
}

/// Writes a file whose path is longer than a call may pass. Changes the current folder.
fn deep(ledger: &mut Ledger, directory: &Path) -> Result<()> {
    env::set_current_dir(directory)?;
    let mut names = Vec::new();
    for number in 0..DEPTH {
        let name = format!("{number:0FOLDER_BYTES$}");
        fs::create_dir(&name)?;
        env::set_current_dir(&name)?;
        names.push(name);
    }
    names.push("deep".to_owned());
    let mut shown = String::new();
    for name in names.iter().rev() {
        if shown.len() + 1 + name.len() + "…".len() > MAX_PATH {
            break;
        }
        shown = format!("/{name}{shown}");
    }
    write(
        ledger,
        Path::new("deep"),
        Path::new(&format!("…{shown}")),
        4_000,
    )
}

/// The work of the child. A thread with a name of its own ends the process.
pub(crate) fn here() -> Result<i32> {
    sys::set_name(NAME).context("cannot set the name")?;
    cpu::spin_for(WORK_US);
    let thread = spawn(|| {
        if sys::set_name(THREAD).is_ok() {
            cpu::spin_for(WORK_US);
            sys::exit(CODE)
        }
    });
    let _ = thread.join();
    anyhow::bail!("cannot set the name of a thread")
}
