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
    process: Process,
    begin: Instant,
}

impl Beside {
    /// Starts a group.
    pub(super) fn start(&mut self, group: &'static str) -> Result<()> {
        say(format!("test group {group} begins in the background"));
        let output = project::target()
            .join("test")
            .join(format!("{group}.output"));
        let cannot = || format!("cannot write {}", output.display());
        fs::create_dir_all(project::target().join("test")).with_context(cannot)?;
        let output = File::create(&output).with_context(cannot)?;
        let nice = find("nice").context("nice is not installed")?;
        let mut command: Command = Process::command(&nice);
        command
            .args(["-n", "19"])
            .arg(project::copy_of_xtask()?)
            .args(["test", "--only", group])
            .stdout(output.try_clone()?)
            .stderr(output);
        self.0.push(Running {
            group,
            process: Process::start("a group of tests in the background", command)?,
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
        io::stdout().write_all(&fs::read(record::log_path(self.group))?)?;
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
