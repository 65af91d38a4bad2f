//! The description of a guest.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::flags::Kernel;

/// A guest and the command to run in it.
pub(crate) struct Guest {
    /// The kernel to boot.
    pub(crate) kernel: Kernel,
    /// Memory in MiB.
    pub(crate) memory: u32,
    /// Emulates one processor with a clock that counts instructions: one per nanosecond.
    pub(crate) instruction_clock: bool,
    /// Time after which it is killed.
    pub(crate) time_limit: Duration,
    /// Files to copy into the guest: (path in the guest, path here).
    pub(crate) files: Vec<(String, PathBuf)>,
    /// Variables of the command.
    pub(crate) variables: Vec<(String, String)>,
    /// The command and its arguments.
    pub(crate) command: Vec<String>,
}

impl Guest {
    /// Copies a program of the host into the guest's `/bin`.
    pub(crate) fn add_program(&mut self, program: &Path) -> Result<()> {
        let name = program.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("{} has no usable name", program.display()))?;
        self.files
            .push((format!("/bin/{name}"), program.to_path_buf()));
        Ok(())
    }

    /// Copies the command into the guest if it is a path of a file here. A path in a system folder
    /// means the guest's own program.
    pub(super) fn add_command_from_here(&mut self) -> Result<()> {
        let Some(first) = self.command.first_mut() else {
            bail!("no command to run")
        };
        let path = PathBuf::from(first.as_str());
        let in_system_folder = ["/bin", "/sbin", "/usr"]
            .iter()
            .any(|folder| path.starts_with(folder));
        if first.contains('/') && path.is_file() && !in_system_folder {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or("program");
            *first = format!("/bin/{name}");
            self.add_program(&path)?;
        }
        Ok(())
    }
}
