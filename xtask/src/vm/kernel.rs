//! Debian's kernels: the packages are downloaded once, unpacked into `.cache/vm/`, and never
//! installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command::{output, run, say};
use crate::flags::Kernel;
use crate::install::{self, update_package_list};
use crate::project;

/// An unpacked kernel.
pub(crate) struct Unpacked {
    /// The output of `uname -r` in the guest.
    pub(crate) release: String,
    /// The folder of the unpacked package.
    pub(crate) folder: PathBuf,
    /// The image to boot.
    pub(crate) image: PathBuf,
    /// The root folder of its modules.
    pub(crate) modules: PathBuf,
}

impl Kernel {
    /// Its name in commands and tests.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
        }
    }

    /// The package that depends on the latest kernel of this series.
    fn meta_package(self) -> &'static str {
        match self {
            Self::V6_1 => "linux-image-cloud-amd64",
            Self::V6_12 => "linux-image-6.12-cloud-amd64",
        }
    }

    /// Downloads the kernel if it is not in the cache, and installs QEMU if it is missing.
    pub(crate) fn ensure(self) -> Result<Unpacked> {
        install::vm()?;
        self.fetch()
    }

    fn fetch(self) -> Result<Unpacked> {
        let folder = project::cache().join("vm").join(self.name());
        if let Some(fetched) = find(&folder) {
            return Ok(fetched);
        }
        let package = match self.package() {
            Ok(package) => package,
            Err(_) => {
                update_package_list()?;
                self.package()?
            }
        };
        say(format!("fetching {package} into {}", folder.display()));
        // Unpacks into another folder and then renames it, so the folder is always complete.
        let unpacked =
            folder.with_file_name(format!("{}-{}.part", self.name(), std::process::id()));
        if unpacked.exists() {
            fs::remove_dir_all(&unpacked)
                .with_context(|| format!("cannot remove {}", unpacked.display()))?;
        }
        fs::create_dir_all(&unpacked)
            .with_context(|| format!("cannot create {}", unpacked.display()))?;
        run(Command::new("apt-get")
            // As root, apt otherwise downloads as its own user, which cannot write to this folder.
            .args(["-qq", "-o", "APT::Sandbox::User=root"])
            .args(install::RETRIES)
            .args(["download", &package])
            .current_dir(&unpacked))?;
        let archive = entry(&unpacked, |name| name.ends_with(".deb"))
            .with_context(|| format!("apt-get download {package} left no .deb"))?;
        run(Command::new("dpkg-deb")
            .arg("-x")
            .arg(&archive)
            .arg(&unpacked))?;
        fs::remove_file(&archive)
            .with_context(|| format!("cannot remove {}", archive.display()))?;
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        fs::rename(&unpacked, &folder)
            .with_context(|| format!("cannot move {} into place", unpacked.display()))?;
        find(&folder).with_context(|| format!("{package} has no kernel image with modules"))
    }

    fn package(self) -> Result<String> {
        let meta = self.meta_package();
        let text = output(Command::new("apt-cache").args(["depends", "--important", meta]))?;
        text.lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "))
            .find(|name| name.starts_with("linux-image-"))
            .map(str::to_owned)
            .with_context(|| format!("{meta} depends on no kernel: run `apt-get update`"))
    }
}

fn find(folder: &Path) -> Option<Unpacked> {
    let image = entry(&folder.join("boot"), |name| name.starts_with("vmlinuz-"))?;
    let release = image
        .file_name()?
        .to_str()?
        .strip_prefix("vmlinuz-")?
        .to_owned();
    let modules = folder.join("lib/modules").join(&release).join("kernel");
    modules.is_dir().then(|| Unpacked {
        release,
        folder: folder.to_path_buf(),
        image,
        modules,
    })
}

fn entry(folder: &Path, wanted: impl Fn(&str) -> bool) -> Option<PathBuf> {
    let names = fs::read_dir(folder).ok()?.flatten();
    names.map(|entry| entry.path()).find(|path| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(&wanted)
    })
}
