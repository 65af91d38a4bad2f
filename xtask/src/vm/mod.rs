//! `vm`: runs a command on a stock Debian kernel in QEMU.
//!
//! Such a kernel has features that the host's kernel may lack or refuse: trampolines (fexit),
//! kprobes, pure cgroup v2. QEMU emulates the processor (`-accel tcg`), because KVM is not
//! available everywhere. The guest's system is an initial RAM disk with busybox, some modules and
//! our static programs.

mod archive;
mod guest;
mod init;
mod kernel;
mod module;
mod qemu;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};

use self::archive::Archive;
pub(crate) use self::guest::Guest;
use self::qemu::Machine;
use crate::command::say;
use crate::{build, flags};

pub(crate) fn run(flags: &flags::Vm) -> Result<ExitCode> {
    let mut guest = Guest {
        kernel: flags.kernel,
        memory: flags.memory,
        instruction_clock: flags.instruction_clock,
        time_limit: Duration::from_secs(flags.timeout),
        files: Vec::new(),
        variables: flags.env.clone(),
        command: flags.command.clone(),
    };
    if !flags.no_build {
        for program in build::programs(build::Profile::Dev)? {
            guest.add_program(&program)?;
        }
    }
    for file in &flags.file {
        guest.files.push(file.clone());
    }
    guest.add_command_from_here()?;
    let code = guest.run(&mut |line| println!("{line}"))?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

impl Guest {
    /// Boots, runs the command and returns its exit code. Calls `on_line` with each line of output.
    pub(crate) fn run(&self, on_line: &mut dyn FnMut(&str)) -> Result<i32> {
        static BOOT_COUNT: AtomicU32 = AtomicU32::new(0);
        let kernel = self.kernel.ensure()?;
        let mut archive = Archive::new();
        init::write(&mut archive, self)?;
        module::write(&mut archive, &kernel)?;
        for (path, source) in &self.files {
            archive.program(path, source)?;
        }
        // Several guests may run at once.
        let initramfs = kernel.folder.join(format!(
            "initramfs-{}-{}.cpio",
            std::process::id(),
            BOOT_COUNT.fetch_add(1, Ordering::Relaxed)
        ));
        archive.save(&initramfs)?;
        say(format!(
            "booting {} to run: {}",
            kernel.release,
            self.command.join(" ")
        ));
        let result = Machine {
            kernel: &kernel.image,
            initramfs: &initramfs,
            memory: self.memory,
            instruction_clock: self.instruction_clock,
            time_limit: self.time_limit,
        }
        .run(on_line);
        std::fs::remove_file(&initramfs)
            .with_context(|| format!("cannot remove {}", initramfs.display()))?;
        result
    }
}
