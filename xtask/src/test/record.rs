//! What a group of tests printed, as of which the end of a run says what failed: all of it passes
//! through pipes of ours, on to where it goes anyway and into target/test/GROUP.log. So it is kept
//! of whatever a group starts, guests and npm's scripts among them.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, PipeReader, Read as _, Write as _},
    os::fd::{AsFd as _, OwnedFd},
    path::PathBuf,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use rustix::stdio::{dup2_stderr, dup2_stdout};

use crate::project;

/// How many lines are quoted of a group, or of a guest.
const QUOTED: usize = 60;
/// How long the end of the output is waited for: a program that was left behind may hold it open.
const PATIENCE: Duration = Duration::from_secs(2);
/// What a guest's lines begin with, where two run side by side.
const GUESTS: [&str; 2] = ["vfs     ", "syscall "];

/// The recording of one group's output, under way.
pub(super) struct Record {
    stdout: OwnedFd,
    stderr: OwnedFd,
    /// Closed when all has been read.
    ended: Receiver<()>,
}

/// Where the output of a group is kept.
pub(super) fn log(group: &str) -> PathBuf {
    project::target().join("test").join(format!("{group}.log"))
}

impl Record {
    /// From now on what we and our children print is kept.
    pub(super) fn start(group: &str) -> Result<Self> {
        let path = log(group);
        let cannot = || format!("cannot keep the output in {}", path.display());
        fs::create_dir_all(project::target().join("test")).with_context(cannot)?;
        let file = File::create(&path).with_context(cannot)?;
        let stdout = io::stdout().as_fd().try_clone_to_owned()?;
        let stderr = io::stderr().as_fd().try_clone_to_owned()?;
        let (sender, ended) = channel();
        let (from_stdout, to_stdout) = io::pipe()?;
        let (from_stderr, to_stderr) = io::pipe()?;
        // The file is written at one place by both.
        pass_on(
            from_stdout,
            [stdout.try_clone()?.into(), file.try_clone()?],
            sender.clone(),
        );
        pass_on(from_stderr, [stderr.try_clone()?.into(), file], sender);
        dup2_stdout(&to_stdout).context("cannot redirect standard output")?;
        dup2_stderr(&to_stderr).context("cannot redirect standard error")?;
        Ok(Self {
            stdout,
            stderr,
            ended,
        })
    }
}

impl Drop for Record {
    /// Prints as before, once all that was printed so far is kept.
    fn drop(&mut self) {
        // None of it can be mended here, and none keeps the tests from being told of.
        let _ = io::stdout().flush();
        let _ = dup2_stdout(&self.stdout);
        let _ = dup2_stderr(&self.stderr);
        // Nothing is sent: either both threads are done, or it has been long enough.
        let _ = self.ended.recv_timeout(PATIENCE);
    }
}

/// Copies what comes, as it comes, until nobody can write any more.
fn pass_on(mut from: PipeReader, to: [File; 2], ended: Sender<()>) {
    thread::spawn(move || {
        let mut bytes = [0; 8192];
        while let Ok(length @ 1..) = from.read(&mut bytes) {
            for mut to in &to {
                // A terminal that is gone must not keep the tests from printing.
                let _ = to.write_all(&bytes[..length]);
            }
        }
        drop(ended);
    });
}

/// What begins the line of a test that lacks something, on whatever it is printed after.
const UNTESTED: &str = "NOT TESTED: ";

/// What the tests of a group said that they could not test, each once.
pub(super) fn untested(log: &str) -> BTreeSet<&str> {
    log.lines()
        .filter_map(|line| Some(line[line.find(UNTESTED)?..].trim_end()))
        .collect()
}

/// What the log of a failed group tells of the failure, in few lines.
pub(super) fn quote(log: &str) -> Vec<&str> {
    let lines: Vec<&str> = log.lines().map(str::trim_end).collect();
    let host = |line: &&str| !GUESTS.iter().any(|guest| line.starts_with(guest));
    let mut outputs: Vec<Vec<&str>> = vec![lines.iter().copied().filter(host).collect()];
    outputs.extend(GUESTS.map(|guest| {
        let own = lines.iter().filter_map(|line| line.strip_prefix(guest));
        own.collect()
    }));
    let failures: Vec<&str> = outputs.iter().flat_map(|lines| failures(lines)).collect();
    if failures.is_empty() {
        // Another kind of test, or none: their ends say it.
        return lines[lines.len().saturating_sub(QUOTED)..].to_vec();
    }
    failures
}

/// What libtest says of the tests that failed: their names, and the end of what each printed, its
/// panic with it.
fn failures<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    // Twice in the output of a program: before what the tests printed, and before their names.
    let heads: Vec<usize> = (0..lines.len())
        .filter(|&at| lines[at] == "failures:")
        .collect();
    let mut quoted = Vec::new();
    for pair in heads.chunks_exact(2) {
        let named = lines[pair[1] + 1..]
            .iter()
            .skip_while(|line| line.is_empty());
        let names: Vec<&str> = named
            .map_while(|line| line.strip_prefix("    "))
            .take(QUOTED / 2)
            .collect();
        let printed = &lines[pair[0] + 1..pair[1]];
        let share = (QUOTED - names.len()) / names.len().max(1);
        quoted.extend_from_slice(&names);
        let mut blocks: Vec<Vec<&str>> = Vec::new();
        let mut backtrace = false;
        for line in printed.iter().filter(|line| !line.is_empty()) {
            // The panic's message stands before it, and says where.
            backtrace = *line == "stack backtrace:" || backtrace && line.starts_with(' ');
            if backtrace {
                continue;
            }
            let block = line.strip_prefix("---- ");
            let name = block.and_then(|block| block.split(' ').next());
            let head = name.is_some_and(|name| names.contains(&name));
            match blocks.last_mut() {
                Some(block) if !head => block.push(line),
                _ => blocks.push(vec![line]),
            }
        }
        for block in blocks {
            // The head, and the end.
            let rest = block.len().saturating_sub(share.saturating_sub(1)).max(1);
            quoted.push(block[0]);
            quoted.extend_from_slice(&block[rest..]);
        }
    }
    let more = quoted.len().saturating_sub(QUOTED);
    quoted.split_off(more)
}

#[cfg(test)]
mod tests {
    use super::{QUOTED, quote, untested};

    /// The end of a program of tests of which some failed, each with so many lines printed.
    fn libtest(failed: &[&str], printed: usize) -> String {
        let mut text = "running 3 tests\ntest fine ... ok\n\nsuccesses:\n\n---- fine stdout ----\nwell\n\nsuccesses:\n    fine\n\nfailures:\n\n".to_owned();
        for name in failed {
            text += &format!("---- {name} stdout ----\n");
            text += &"printed\n".repeat(printed);
            text += &format!("thread '{name}' (7) panicked at a.rs:1:2:\nwhy {name}\n");
            text += "stack backtrace:\n   0: begin\n             at a.rs:1:2\n\n";
        }
        text += "\nfailures:\n";
        for name in failed {
            text += &format!("    {name}\n");
        }
        text + "\ntest result: FAILED. 1 passed\n\nerror: test failed\n"
    }

    #[test]
    fn names_and_panics_of_failed_tests_are_quoted() {
        let log = libtest(&["a::b", "c"], 1) + &"afterwards\n".repeat(200);
        let expected = [
            "a::b",
            "c",
            "---- a::b stdout ----",
            "printed",
            "thread 'a::b' (7) panicked at a.rs:1:2:",
            "why a::b",
            "---- c stdout ----",
            "printed",
            "thread 'c' (7) panicked at a.rs:1:2:",
            "why c",
        ];
        assert_eq!(quote(&log), expected);
    }

    #[test]
    fn a_quotation_is_bounded_and_has_every_panic() {
        let log = libtest(&["a", "b", "c"], 500);
        let quoted = quote(&log);
        assert!(quoted.len() <= QUOTED, "{}", quoted.len());
        for name in ["a", "b", "c"] {
            assert!(quoted.contains(&format!("why {name}").as_str()));
        }
        let names: Vec<String> = (0..400).map(|n| format!("t{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert!(quote(&libtest(&names, 3)).len() <= QUOTED);
    }

    #[test]
    fn what_could_not_be_tested_is_found_once_wherever_it_stands() {
        let log =
            "test a ... NOT TESTED: x is missing\r\nok\nNOT TESTED: x is missing\ntest b ... ok\n";
        assert_eq!(
            untested(log).into_iter().collect::<Vec<_>>(),
            ["NOT TESTED: x is missing"]
        );
    }

    #[test]
    fn guests_are_read_apart() {
        let (vfs, syscall) = (libtest(&["v"], 0), libtest(&["s"], 0));
        let mixed = vfs.lines().zip(syscall.lines());
        let log: String = mixed
            .map(|(vfs, syscall)| format!("vfs     {vfs}\r\nsyscall {syscall}\r\n"))
            .collect();
        let quoted = quote(&log);
        assert!(quoted.contains(&"why v") && quoted.contains(&"why s"));
    }

    #[test]
    fn without_libtest_the_end_is_quoted() {
        let log = "begun\n".to_owned() + &"x\n".repeat(100) + "1 failed\n";
        let quoted = quote(&log);
        assert_eq!((quoted.len(), quoted.last()), (QUOTED, Some(&"1 failed")));
        assert_eq!(quote(""), Vec::<&str>::new());
    }
}
