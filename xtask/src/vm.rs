//! `vm`: runs a command on a stock Debian kernel in QEMU, with everything that the host's kernel
//! may lack or refuse: trampolines (fexit), kprobes, pure cgroup v2. By emulation (`-accel tcg`),
//! as not every host lets KVM start: slower, but the same everywhere. The guest's whole system is
//! an initial RAM disk made here: busybox, some modules, our static programs.

mod archive;
mod init;
mod kernel;
mod module;
mod qemu;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

pub(crate) use self::kernel::Kernel;
use self::{archive::Archive, qemu::Machine};
use crate::{build, command::say, flags};

/// What to run in a guest.
pub(crate) struct Guest {
    /// The kernel that is booted.
    pub(crate) kernel: Kernel,
    /// MiB.
    pub(crate) memory: u32,
    /// One processor, whose clock counts instructions: one is a nanosecond.
    pub(crate) instruction_clock: bool,
    /// Longest time that it may run before it is killed.
    pub(crate) time_limit: Duration,
    /// Host files put in the guest: (path in the guest, path here).
    pub(crate) files: Vec<(String, PathBuf)>,
    /// Variables of the command.
    pub(crate) variables: Vec<(String, String)>,
    /// The command and its arguments.
    pub(crate) command: Vec<String>,
}

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
        for program in build::programs(build::Profile::Release)? {
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
    /// Puts a program of the host into the guest's `/bin`.
    pub(crate) fn add_program(&mut self, program: &Path) -> Result<()> {
        let name = program.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("{} has no usable name", program.display()))?;
        self.files
            .push((format!("/bin/{name}"), program.to_path_buf()));
        Ok(())
    }

    /// A command that is a file here, named with a folder, is brought along; a system's own folder
    /// is the guest's.
    fn add_command_from_here(&mut self) -> Result<()> {
        let Some(first) = self.command.first_mut() else {
            bail!("no command to run")
        };
        let path = PathBuf::from(first.as_str());
        let of_guest = ["/bin", "/sbin", "/usr"]
            .iter()
            .any(|folder| path.starts_with(folder));
        if first.contains('/') && path.is_file() && !of_guest {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or("program");
            *first = format!("/bin/{name}");
            self.add_program(&path)?;
        }
        Ok(())
    }

    /// Boots, runs the command and gives its exit code; each line of its output is handed to
    /// `on_line` as it comes.
    pub(crate) fn run(&self, on_line: &mut dyn FnMut(&str)) -> Result<i32> {
        static BOOTED: AtomicU32 = AtomicU32::new(0);
        let kernel = self.kernel.ensure()?;
        let mut archive = Archive::new();
        init::write(&mut archive, self)?;
        module::write(&mut archive, &kernel)?;
        for (path, source) in &self.files {
            archive.program(path, source)?;
        }
        // Several may run at once.
        let initramfs = kernel.folder.join(format!(
            "initramfs-{}-{}.cpio",
            std::process::id(),
            BOOTED.fetch_add(1, Ordering::Relaxed)
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
