//! Processes: many short ones with different arguments and exits, and one that fails.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bubble_workload::truth::Truth;

use crate::ledger::Ledger;
use crate::{cpu, sys};

/// The path of this program, for `exec`.
pub(crate) struct Program(CString);

impl Program {
    /// Finds the path.
    pub(crate) fn this() -> Result<Self> {
        let path =
            std::env::current_exe().context("cannot find this program (is /proc mounted?)")?;
        Ok(Self(CString::new(path.as_os_str().as_bytes())?))
    }

    /// Executes this program. Returns only on failure.
    pub(crate) fn exec(&self, args: &[CString]) -> std::io::Error {
        sys::exec(&self.0, args)
    }

    /// Forks and executes this program. `args` begins with its name.
    pub(crate) fn start(&self, args: &[String]) -> Result<u32> {
        let args = to_c_strings(args)?;
        match sys::fork().context("cannot fork")? {
            Some(pid) => Ok(pid),
            None => {
                let error = sys::exec(&self.0, &args);
                eprintln!("cannot execute {:?}: {error}", self.0);
                sys::exit(127)
            }
        }
    }

    /// Runs a child to its end and records it in the ledger.
    pub(crate) fn run(&self, ledger: &mut Ledger, args: Vec<String>) -> Result<u32> {
        let pid = self.start(&args)?;
        let ended = sys::wait(pid).context("cannot wait for a child")?;
        ledger.ended(pid, args, ended);
        Ok(pid)
    }
}

/// Converts arguments for `exec`.
pub(crate) fn to_c_strings(args: &[String]) -> Result<Vec<CString>> {
    let args = args.iter().map(|arg| CString::new(arg.as_str()));
    Ok(args.collect::<Result<_, _>>()?)
}

/// The arguments for a hidden subcommand of this program.
pub(crate) fn hidden(args: &[&str]) -> Vec<String> {
    std::iter::once("bubble-workload")
        .chain(args.iter().copied())
        .map(str::to_owned)
        .collect()
}

/// Runs `count` children one after the other, each for about `us` microseconds of CPU time. Each has
/// different arguments. They exit with 0 to 249, but signal 9 or 15 kills every fiftieth.
pub(crate) fn many(count: u32, us: u64) -> Result<Truth> {
    let mut ledger = Ledger::new("processes");
    let program = Program::this()?;
    for number in 0..count {
        let (number_text, us) = (number.to_string(), us.to_string());
        let code = (number % 250).to_string();
        let signal = if number % 100 == 49 { "9" } else { "15" };
        let args = match number % 50 {
            49 => hidden(&["child", &number_text, "--us", &us, "--signal", signal]),
            _ => hidden(&["child", &number_text, "--us", &us, "--code", &code]),
        };
        program.run(&mut ledger, args)?;
    }
    Ok(ledger.close())
}

/// Runs `count` children one after the other that do nothing but exit.
pub(crate) fn forks(count: u32) -> Result<Truth> {
    let mut ledger = Ledger::new("forks");
    for _ in 0..count {
        match sys::fork().context("cannot fork")? {
            Some(pid) => {
                let ended = sys::wait(pid).context("cannot wait for a child")?;
                ledger.ended(pid, Vec::new(), ended);
            }
            None => sys::exit(0),
        }
    }
    Ok(ledger.close())
}

/// The work of such a child. Returns the exit code.
pub(crate) fn child(us: u64, code: i32, signal: Option<i32>) -> Result<i32> {
    cpu::spin_for(us);
    if let Some(signal) = signal {
        sys::kill_self(signal).context("cannot send the signal")?;
    }
    Ok(code)
}

/// The last name in [`rename`].
const NEW_NAME: &CStr = c"another-name";
/// Names before it.
const OTHER_NAMES: u32 = 2_000;
/// CPU time between the changes of the name, microseconds.
const WORK_US: u64 = 1_000;

/// Its last program.
const LAST_ARGS: [&str; 6] = ["child", "0", "--us", "1000", "--code", "7"];

/// Runs a child that executes this program, renames itself many times, and executes this program again.
pub(crate) fn renames() -> Result<Truth> {
    let mut ledger = Ledger::new("renames");
    let pid = Program::this()?.start(&hidden(&["rename"]))?;
    let ended = sys::wait(pid).context("cannot wait for a child")?;
    ledger.ended(pid, hidden(&LAST_ARGS), ended);
    let (own, other) = ("bubble-workload", NEW_NAME.to_str()?);
    ledger.named(&[own, other, own]);
    Ok(ledger.close())
}

/// The work of that child. Returns only on failure.
pub(crate) fn rename() -> Result<i32> {
    let program = Program::this()?;
    cpu::spin_for(WORK_US);
    for number in 0..OTHER_NAMES {
        let name = CString::new(format!("zz-{number}"))?;
        sys::set_name(&name).context("cannot set the name")?;
    }
    sys::set_name(NEW_NAME).context("cannot set the name")?;
    let name = sys::name()?;
    ensure!(
        name.as_c_str() == NEW_NAME,
        "the name is {name:?} now, not {NEW_NAME:?}"
    );
    cpu::spin_for(WORK_US);
    let args = to_c_strings(&hidden(&LAST_ARGS))?;
    Err(sys::exec(&program.0, &args)).context("cannot execute this program")
}

/// Sleeps for `after_ms`, then exits with `code`.
pub(crate) fn exit(after_ms: u64, code: i32) -> Truth {
    let mut ledger = Ledger::new("exit");
    sleep(Duration::from_millis(after_ms));
    ledger.exit_code(code);
    ledger.close()
}
