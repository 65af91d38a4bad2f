//! Records the output of a group of tests, so that the report can quote its failures.
//!
//! All output goes through pipes, to the terminal and into target/test/GROUP.log. So everything
//! that a group starts is recorded, including guests and npm's scripts.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, PipeReader, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::stdio::{dup2_stderr, dup2_stdout};

use crate::project;

/// Maximum number of lines that are quoted of a group, or of a guest.
const MAX_QUOTED_LINES: usize = 60;
/// Time to wait for the end of the output. A program that was left behind may keep the pipe open.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// The prefixes of the lines of two guests that run side by side.
const GUEST_PREFIXES: [&str; 2] = ["vfs     ", "syscall "];

/// The running recording of one group's output. Dropping it ends the recording.
pub(super) struct Record {
    stdout: OwnedFd,
    stderr: OwnedFd,
    /// Disconnected when all output is read.
    ended: Receiver<()>,
}

/// The log file of a group.
pub(super) fn log_path(group: &str) -> PathBuf {
    project::target().join("test").join(format!("{group}.log"))
}

impl Record {
    /// Starts to record the output of this process and its children.
    pub(super) fn start(group: &str) -> Result<Self> {
        let path = log_path(group);
        let cannot = || format!("cannot write {}", path.display());
        fs::create_dir_all(project::target().join("test")).with_context(cannot)?;
        let file = File::create(&path).with_context(cannot)?;
        let stdout = io::stdout().as_fd().try_clone_to_owned()?;
        let stderr = io::stderr().as_fd().try_clone_to_owned()?;
        let (sender, ended) = channel();
        let (from_stdout, to_stdout) = io::pipe()?;
        let (from_stderr, to_stderr) = io::pipe()?;
        // Both write at the file's common position.
        copy(
            from_stdout,
            [stdout.try_clone()?.into(), file.try_clone()?],
            sender.clone(),
        );
        copy(from_stderr, [stderr.try_clone()?.into(), file], sender);
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
    /// Restores standard output and error, after all output so far is recorded.
    fn drop(&mut self) {
        // Errors are ignored: the report of the tests is printed anyway.
        let _ = io::stdout().flush();
        let _ = dup2_stdout(&self.stdout);
        let _ = dup2_stderr(&self.stderr);
        // Nothing is ever sent: this returns when both threads have ended, or after the timeout.
        let _ = self.ended.recv_timeout(DRAIN_TIMEOUT);
    }
}

/// Copies all input to both files, until the last writer has closed the pipe.
fn copy(mut from: PipeReader, to: [File; 2], ended: Sender<()>) {
    thread::spawn(move || {
        let mut bytes = [0; 8192];
        while let Ok(length @ 1..) = from.read(&mut bytes) {
            for mut to in &to {
                // A closed terminal must not block the tests.
                let _ = to.write_all(&bytes[..length]);
            }
        }
        drop(ended);
    });
}

/// A test prints this when something that it needs is missing. Other text may precede it on the
/// line.
const UNTESTED_PREFIX: &str = "NOT TESTED: ";

/// The distinct messages of tests that could not test something.
pub(super) fn untested(log: &str) -> BTreeSet<&str> {
    log.lines()
        .filter_map(|line| Some(line[line.find(UNTESTED_PREFIX)?..].trim_end()))
        .collect()
}

/// The names of a failed group's tests, where libtest ran them.
pub(super) fn failed_tests(log: &str) -> BTreeSet<&str> {
    let heads = quote(log).into_iter();
    heads
        .filter_map(|line| line.strip_prefix("---- ")?.split(' ').next())
        .collect()
}

/// The lines of a failed group's log that explain the failure.
pub(super) fn quote(log: &str) -> Vec<&str> {
    let lines: Vec<&str> = log.lines().map(str::trim_end).collect();
    let host = |line: &&str| !GUEST_PREFIXES.iter().any(|guest| line.starts_with(guest));
    let mut outputs: Vec<Vec<&str>> = vec![lines.iter().copied().filter(host).collect()];
    outputs.extend(GUEST_PREFIXES.map(|guest| {
        let own = lines.iter().filter_map(|line| line.strip_prefix(guest));
        own.collect()
    }));
    let failures: Vec<&str> = outputs.iter().flat_map(|lines| failures(lines)).collect();
    if failures.is_empty() {
        // Not the output of libtest: the end of the log is the best guess.
        return lines[lines.len().saturating_sub(MAX_QUOTED_LINES)..].to_vec();
    }
    failures
}

/// libtest's report of the failed tests: their names, and the end of the output of each, with its
/// panic.
fn failures<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    // A test program prints it twice: before the output of the tests, and before their names.
    let heads: Vec<usize> = (0..lines.len())
        .filter(|&index| lines[index] == "failures:")
        .collect();
    let mut quoted = Vec::new();
    for pair in heads.chunks_exact(2) {
        let after_head = lines[pair[1] + 1..]
            .iter()
            .skip_while(|line| line.is_empty());
        let names: Vec<&str> = after_head
            .map_while(|line| line.strip_prefix("    "))
            .take(MAX_QUOTED_LINES / 2)
            .collect();
        let printed = &lines[pair[0] + 1..pair[1]];
        let share = (MAX_QUOTED_LINES - names.len()) / names.len().max(1);
        quoted.extend_from_slice(&names);
        let mut blocks: Vec<Vec<&str>> = Vec::new();
        let mut backtrace = false;
        for line in printed.iter().filter(|line| !line.is_empty()) {
            // The panic's message precedes the backtrace and has its location.
            backtrace =
                line.eq_ignore_ascii_case("stack backtrace:") || backtrace && line.starts_with(' ');
            if backtrace || line.starts_with("note: ") {
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
            // The head and the end of the block.
            let tail = block.len().saturating_sub(share.saturating_sub(1)).max(1);
            quoted.push(block[0]);
            quoted.extend_from_slice(&block[tail..]);
        }
    }
    let excess = quoted.len().saturating_sub(MAX_QUOTED_LINES);
    quoted.split_off(excess)
}

#[cfg(test)]
mod tests {
    use super::{MAX_QUOTED_LINES, failed_tests, quote, untested};

    /// The output of a test program with failed tests, each of which printed so many lines.
    fn libtest(failed: &[&str], printed: usize) -> String {
        let mut text = "running 3 tests\ntest fine ... ok\n\nsuccesses:\n\n---- fine stdout ----\nwell\n\nsuccesses:\n    fine\n\nfailures:\n\n".to_owned();
        for name in failed {
            text += &format!("---- {name} stdout ----\n");
            text += &"printed\n".repeat(printed);
            text += &format!("thread '{name}' (7) panicked at a.rs:1:2:\nwhy {name}\n");
            text += "stack backtrace:\n   0: begin\n             at a.rs:1:2\nnote: run with\n\n";
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
        let names: Vec<&str> = failed_tests(&log).into_iter().collect();
        assert_eq!(names, ["a::b", "c"]);
    }

    #[test]
    fn a_quote_is_bounded_and_has_every_panic() {
        let log = libtest(&["a", "b", "c"], 500);
        let quoted = quote(&log);
        assert!(quoted.len() <= MAX_QUOTED_LINES, "{}", quoted.len());
        for name in ["a", "b", "c"] {
            assert!(quoted.contains(&format!("why {name}").as_str()));
        }
        let names: Vec<String> = (0..400).map(|n| format!("t{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert!(quote(&libtest(&names, 3)).len() <= MAX_QUOTED_LINES);
    }

    #[test]
    fn untested_messages_are_distinct_and_found_anywhere_in_a_line() {
        let log =
            "test a ... NOT TESTED: x is missing\r\nok\nNOT TESTED: x is missing\ntest b ... ok\n";
        assert_eq!(
            untested(log).into_iter().collect::<Vec<_>>(),
            ["NOT TESTED: x is missing"]
        );
    }

    #[test]
    fn lines_of_two_guests_are_separated() {
        let (vfs, syscall) = (libtest(&["v"], 0), libtest(&["s"], 0));
        let mixed = vfs.lines().zip(syscall.lines());
        let log: String = mixed
            .map(|(vfs, syscall)| format!("vfs     {vfs}\r\nsyscall {syscall}\r\n"))
            .collect();
        let quoted = quote(&log);
        assert!(quoted.contains(&"why v") && quoted.contains(&"why s"));
    }

    #[test]
    fn without_output_of_libtest_the_end_is_quoted() {
        let log = "begun\n".to_owned() + &"x\n".repeat(100) + "1 failed\n";
        let quoted = quote(&log);
        assert_eq!(
            (quoted.len(), quoted.last()),
            (MAX_QUOTED_LINES, Some(&"1 failed"))
        );
        assert_eq!(quote(""), Vec::<&str>::new());
    }
}
