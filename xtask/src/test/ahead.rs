//! What later groups run is compiled while earlier ones mostly wait, for a node to come up or a
//! browser to draw: optimised programs take the compiler longer than anything else here does. At
//! idle priority (sched(7), SCHED_IDLE) it gets only what no test wants.

use std::{
    fs::File,
    process::{Command, Stdio},
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result};

use super::{
    record,
    suite::{CHISEL, SUITE},
};
use crate::{
    build::{self, Profile},
    command::{find, say},
    install, ui,
};

/// Nothing yet, or the compiling that is under way or done.
#[derive(Default)]
pub(super) struct Ahead(Option<JoinHandle<()>>);

impl Ahead {
    /// Begins, if that was not done before.
    pub(super) fn start(&mut self) {
        if self.0.is_none() {
            match compile() {
                Ok(compiling) => self.0 = Some(compiling),
                Err(error) => say(format!("nothing is compiled ahead: {error:#}")),
            }
        }
    }

    /// Waits until it is done, if it has begun.
    pub(super) fn finish(&mut self) {
        if let Some(compiling) = self.0.take() {
            if !compiling.is_finished() {
                say("waiting for what is compiled ahead");
            }
            // It has nothing to say, and panics at nothing.
            let _ = compiling.join();
        }
    }
}

fn compile() -> Result<JoinHandle<()>> {
    // Not beside the groups: they do the same.
    install::node()?;
    ui::build()?;
    build::embedded()?;
    let path = record::log("ahead");
    let log = File::create(&path)
        .with_context(|| format!("cannot keep the output in {}", path.display()))?;
    say(format!(
        "compiling meanwhile what later groups run: see {}",
        path.display()
    ));
    let mut commands = [
        idle(&build::static_programs(Profile::Release)),
        idle(&build::static_tests(SUITE)),
        idle(&build::static_tests(CHISEL)),
    ];
    for command in &mut commands {
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?);
    }
    Ok(thread::spawn(move || {
        // What fails here fails again in the group that wants it, and is told of there.
        let _ = commands
            .iter_mut()
            .all(|command| command.status().is_ok_and(|status| status.success()));
    }))
}

/// The same command at idle priority, where there is a chrt (Debian has it).
fn idle(command: &Command) -> Command {
    let mut idle = match find("chrt") {
        Some(chrt) => {
            let mut idle = Command::new(chrt);
            idle.args(["--idle", "0"]).arg(command.get_program());
            idle
        }
        None => Command::new(command.get_program()),
    };
    idle.args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        idle.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => idle.env(name, value),
            None => idle.env_remove(name),
        };
    }
    idle
}
