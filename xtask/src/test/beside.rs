//! Groups that run in the background while other groups wait for clocks, nodes and browsers.
//!
//! Each is a process of its own at the lowest priority, so that it takes only time that nobody else
//! uses. Only a group whose results do not depend on the speed of the machine may run so. When its turn
//! comes, it gets the normal priority and is waited for.
//!
//! A group says when it has compiled what it needs ([`super::context::Run::waits`]): only one process can
//! compile at a time.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::record;
use crate::command::{find, say};
use crate::process::Process;
use crate::project;

/// The groups in the background.
#[derive(Default)]
pub(super) struct Beside(Vec<Running>);

struct Running {
    group: &'static str,
    /// What its process prints.
    output: PathBuf,
    process: Process,
    begin: Instant,
}

impl Beside {
    /// Starts a group. `arguments` are those of the test programs.
    pub(super) fn start(&mut self, group: &'static str, arguments: &[String]) -> Result<()> {
        say(format!("test group {group} begins in the background"));
        let log = record::log_path(group);
        let path = log.with_extension("output");
        let cannot = || format!("cannot write {}", path.display());
        fs::create_dir_all(project::target().join("test")).with_context(cannot)?;
        let output = File::create(&path).with_context(cannot)?;
        // That of a former run is not to be taken for one of this run.
        fs::write(&log, "").with_context(cannot)?;
        let nice = find("nice").context("nice is not installed")?;
        let mut command: Command = Process::command(&nice);
        command
            .args(["-n", "19"])
            .arg(project::copy_of_xtask(&format!("xtask-{group}"))?)
            .args(["test", "--only", group, "--"])
            .args(arguments)
            .stdout(output.try_clone()?)
            .stderr(output);
        self.0.push(Running {
            group,
            output: path,
            process: Process::start_group("a group of tests in the background", command)?,
            begin: Instant::now(),
        });
        Ok(())
    }

    /// Waits for a group if it runs in the background, and prints its output, which its own process has
    /// recorded. `None`: it does not.
    pub(super) fn finish(&mut self, group: &str) -> Option<Result<()>> {
        let index = self.0.iter().position(|one| one.group == group)?;
        Some(self.0.swap_remove(index).finish())
    }
}

impl Running {
    fn finish(mut self) -> Result<()> {
        let before = self.begin.elapsed();
        self.raise_priority();
        let status = self.process.wait()?;
        let log = record::log_path(self.group);
        if fs::metadata(&log)?.len() == 0 {
            // It did not come to the group: the reason is what its process said.
            fs::copy(&self.output, &log)?;
        }
        io::stdout().write_all(&fs::read(log)?)?;
        say(format!(
            "{} took {} s, {} s of them in the background",
            self.group,
            self.begin.elapsed().as_secs(),
            before.as_secs()
        ));
        ensure!(status.success(), "its process ended with {status}");
        Ok(())
    }

    /// Nobody else needs the processors now. Only root may do that; others wait longer.
    fn raise_priority(&self) {
        let group = self.process.id().to_string();
        let raised = Command::new("renice")
            .args(["-n", "0", "-g", &group])
            .output();
        if !raised.is_ok_and(|output| output.status.success()) {
            say(format!("{} keeps the lowest priority", self.group));
        }
    }
}
