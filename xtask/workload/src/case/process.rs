//! Processes: many short ones with their arguments and endings, and one that ends badly.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bubble_workload::truth::Truth;

use crate::ledger::Ledger;
use crate::{cpu, sys};

/// This very program, for `exec`.
pub(crate) struct Program(CString);

impl Program {
    /// Finds its own file.
    pub(crate) fn this() -> Result<Self> {
        let path =
            std::env::current_exe().context("cannot find this program (is /proc mounted?)")?;
        Ok(Self(CString::new(path.as_os_str().as_bytes())?))
    }

    /// Forks and executes this program with `args`, its name before them.
    pub(crate) fn start(&self, args: &[String]) -> Result<u32> {
        let args = words(args)?;
        match sys::fork().context("cannot fork")? {
            Some(pid) => Ok(pid),
            None => {
                let error = sys::exec(&self.0, &args);
                eprintln!("cannot execute {:?}: {error}", self.0);
                sys::exit(127)
            }
        }
    }

    /// Runs a child to its end and enters it in the ledger.
    pub(crate) fn run(&self, ledger: &mut Ledger, args: Vec<String>) -> Result<u32> {
        let pid = self.start(&args)?;
        let ended = sys::wait(pid).context("cannot wait for a child")?;
        ledger.ended(pid, args, ended);
        Ok(pid)
    }
}

/// As `exec` takes them.
fn words(args: &[String]) -> Result<Vec<CString>> {
    let words = args.iter().map(|arg| CString::new(arg.as_str()));
    Ok(words.collect::<Result<_, _>>()?)
}

/// The argument vector of one of this program's hidden subcommands.
pub(crate) fn hidden(args: &[&str]) -> Vec<String> {
    std::iter::once("bubble-workload")
        .chain(args.iter().copied())
        .map(str::to_owned)
        .collect()
}

/// Runs `count` children, one after the other, each of about `us` microseconds of CPU, with
/// arguments of their own and exit codes 0 to 249; every fiftieth dies by signal 9 or 15 instead.
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

/// What each of them does. Returns what to leave with.
pub(crate) fn child(us: u64, code: i32, signal: Option<i32>) -> Result<i32> {
    cpu::spin_for(us);
    if let Some(signal) = signal {
        sys::kill_self(signal).context("cannot send the signal")?;
    }
    Ok(code)
}

/// The name that [`rename`] takes.
const NAME: &CStr = c"another-name";
/// What each of these does in the meantime, us of CPU.
const MEANWHILE: u64 = 1_000;

/// What it runs in the end.
const LAST: [&str; 6] = ["child", "0", "--us", "1000", "--code", "7"];

/// Runs a child that is this program, gives itself another name, and then is this program again.
pub(crate) fn renames() -> Result<Truth> {
    let mut ledger = Ledger::new("renames");
    let pid = Program::this()?.start(&hidden(&["rename"]))?;
    let ended = sys::wait(pid).context("cannot wait for a child")?;
    ledger.ended(pid, hidden(&LAST), ended);
    let (own, other) = ("bubble-workload", NAME.to_str()?);
    ledger.named(&[own, own, other, own]);
    Ok(ledger.close())
}

/// What that child does. Returns only if it cannot.
pub(crate) fn rename() -> Result<i32> {
    let program = Program::this()?;
    cpu::spin_for(MEANWHILE);
    sys::set_name(NAME).context("cannot take another name")?;
    let name = sys::name()?;
    ensure!(
        name.as_c_str() == NAME,
        "the name is {name:?} now, not {NAME:?}"
    );
    cpu::spin_for(MEANWHILE);
    let args = words(&hidden(&LAST))?;
    Err(sys::exec(&program.0, &args)).context("cannot execute this program")
}

/// Lives for `after_ms`, then leaves with `code`.
pub(crate) fn exit(after_ms: u64, code: i32) -> Truth {
    let mut ledger = Ledger::new("exit");
    sleep(Duration::from_millis(after_ms));
    ledger.leaves_with(code);
    ledger.close()
}
