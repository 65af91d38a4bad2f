//! Who a process is: the user that it becomes, the title that it sets, the file that it really runs,
//! and a life that goes on after its first thread.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread::{sleep, spawn};
use std::time::Duration;

use anyhow::{Context, Result};
use bubble_workload::truth::Truth;
use clap::ValueEnum;

use super::memory::hold_here;
use super::process::{Program, hidden, to_c_strings};
use crate::ledger::Ledger;
use crate::{cpu, sys};

/// What the child does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Case {
    /// becomes another user and ends at once
    User,
    /// becomes another user, overwrites its arguments, and goes on for some seconds
    Title,
    /// its first thread ends, and another one holds memory for some seconds
    DeadLeader,
    /// executes a copy of this program in memory
    Memfd,
    /// executes /proc/self/exe
    ProcSelf,
    /// executes a copy of this program that is deleted
    Deleted,
    /// executes a script
    Script,
    /// executes this program from another thread than the first one
    Thread,
}

/// The user and group that it becomes.
const USER: u32 = 1_234;
const GROUP: u32 = 4_321;
const TITLE: &str = "bubble: idle";
const MEMFD: &std::ffi::CStr = c"payload";
/// Memory of [`Case::DeadLeader`], MiB.
const MIB: usize = 64;
/// How long a child goes on.
const LIFE_MS: u64 = 4_000;
const CODE: i32 = 7;
/// The last program of a child that executes another one.
const LAST_ARGS: [&str; 6] = ["child", "0", "--us", "1000", "--code", "7"];

/// Runs a child.
pub(crate) fn run(case: Case, directory: &Path) -> Result<Truth> {
    let value = case.to_possible_value();
    let name = value.as_ref().map_or("", |value| value.get_name());
    let mut ledger = Ledger::new(format!("identity {name}"));
    let program = std::env::current_exe().context("cannot find this program")?;
    let folder = directory.to_str().context("the folder is not UTF-8")?;
    let args = hidden(&["--directory", folder, "identity-here", name]);
    let pid = Program::this()?.start(&args)?;
    let ended = sys::wait(pid).context("cannot wait for a child")?;
    let program = program.to_string_lossy().into_owned();
    let (args, exe) = match case {
        Case::User | Case::DeadLeader => (args, program),
        Case::Title => (vec![TITLE.to_owned()], program),
        Case::ProcSelf | Case::Thread => (hidden(&LAST_ARGS), program),
        Case::Memfd => {
            let name = MEMFD.to_string_lossy();
            (hidden(&LAST_ARGS), format!("/memfd:{name}"))
        }
        Case::Deleted => (hidden(&LAST_ARGS), format!("{folder}/deleted")),
        // The kernel puts the interpreter, its argument and the script before the other arguments.
        Case::Script => {
            let script = format!("{folder}/script");
            fs::remove_file(&script).context("cannot remove the script")?;
            (
                vec![program.clone(), "script-here".to_owned(), script],
                program,
            )
        }
    };
    ledger.ended(pid, args, ended);
    let (uid, gid) = match case {
        Case::User | Case::Title => (USER, GROUP),
        _ => (0, 0),
    };
    ledger.identified(uid, gid, exe);
    Ok(ledger.close())
}

/// The work of the child. Returns its exit code, or an error if it cannot execute.
pub(crate) fn here(case: Case, directory: &Path) -> Result<i32> {
    match case {
        Case::User => {
            sys::set_user(USER, GROUP).context("cannot become another user")?;
            Ok(CODE)
        }
        Case::Title => {
            sys::set_user(USER, GROUP).context("cannot become another user")?;
            sys::set_title(TITLE);
            active(LIFE_MS);
            Ok(CODE)
        }
        Case::DeadLeader => {
            spawn(|| {
                spawn(|| active(LIFE_MS));
                hold_here(MIB, LIFE_MS);
                sys::exit(CODE)
            });
            sys::end_thread()
        }
        Case::Memfd => {
            let mut file = sys::memfd(MEMFD).context("cannot create a file in memory")?;
            file.write_all(&this()?)?;
            Err(sys::exec_file(&file, &last()?)).context("cannot execute a file in memory")
        }
        Case::Deleted => {
            let path = directory.join("deleted");
            install(&path, &this()?)?;
            let file = File::open(&path)?;
            fs::remove_file(&path)?;
            Err(sys::exec_file(&file, &last()?)).context("cannot execute a deleted file")
        }
        Case::ProcSelf => {
            Err(sys::exec(c"/proc/self/exe", &last()?)).context("cannot execute this program")
        }
        Case::Script => {
            let path = directory.join("script");
            let program = std::env::current_exe()?;
            install(
                &path,
                format!("#!{} script-here\n", program.display()).as_bytes(),
            )?;
            let path = to_c_strings(&[path.to_string_lossy().into_owned()])?;
            Err(sys::exec(&path[0], &path)).context("cannot execute a script")
        }
        Case::Thread => {
            let program = Program::this()?;
            let last = last()?;
            let error = spawn(move || program.exec(&last)).join();
            Err(error.map_err(|_| anyhow::anyhow!("the thread panicked"))?)
                .context("cannot execute this program from a thread")
        }
    }
}

/// The script's only work.
pub(crate) fn script() -> i32 {
    cpu::spin_for(1_000);
    CODE
}

/// Uses a little CPU time now and then.
fn active(ms: u64) {
    for _ in 0..ms / 100 {
        cpu::spin_for(1_000);
        sleep(Duration::from_millis(99));
    }
}

/// The bytes of this program.
fn this() -> Result<Vec<u8>> {
    fs::read("/proc/self/exe").context("cannot read this program")
}

fn last() -> Result<Vec<std::ffi::CString>> {
    to_c_strings(&hidden(&LAST_ARGS))
}

/// Writes a file that can be executed.
fn install(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(fs::set_permissions(
        path,
        fs::Permissions::from_mode(0o755),
    )?)
}
