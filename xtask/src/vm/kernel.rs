//! The kernels: Debian's packages, fetched once into `.cache/vm/` and unpacked, never installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    command::{output, run, say},
    install::{self, update_package_list},
    project,
};

/// A kernel that tests run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kernel {
    /// Debian 12's own: no tracepoints on the length of socket calls
    #[value(name = "6.1")]
    V6_1,
    /// Debian 12's newer one: everything that the agent knows to use
    #[value(name = "6.12")]
    V6_12,
}

/// A kernel on this machine's disk.
pub(crate) struct Fetched {
    /// What `uname -r` says in the guest.
    pub(crate) release: String,
    /// Where all of it is.
    pub(crate) folder: PathBuf,
    /// The image to boot.
    pub(crate) image: PathBuf,
    /// The root of its modules.
    pub(crate) modules: PathBuf,
}

impl Kernel {
    /// The name by which commands and tests call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
        }
    }

    /// The package that depends on the current kernel of the line.
    fn meta_package(self) -> &'static str {
        match self {
            Self::V6_1 => "linux-image-cloud-amd64",
            Self::V6_12 => "linux-image-6.12-cloud-amd64",
        }
    }

    /// Gets the kernel, if it is not in the cache, and what boots it, if it is not installed.
    pub(crate) fn ensure(self) -> Result<Fetched> {
        install::vm()?;
        self.fetch()
    }

    fn fetch(self) -> Result<Fetched> {
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
        // Unpacked beside its place and then moved there: what is found is always whole.
        let unpacked =
            folder.with_file_name(format!("{}-{}.part", self.name(), std::process::id()));
        if unpacked.exists() {
            fs::remove_dir_all(&unpacked)
                .with_context(|| format!("cannot remove {}", unpacked.display()))?;
        }
        fs::create_dir_all(&unpacked)
            .with_context(|| format!("cannot make {}", unpacked.display()))?;
        run(Command::new("apt-get")
            // Without it, apt run by root wants a folder that its own user can write.
            .args(["-qq", "-o", "APT::Sandbox::User=root", "download", &package])
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
        find(&folder).with_context(|| format!("{package} holds no kernel that we understand"))
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

fn find(folder: &Path) -> Option<Fetched> {
    let image = entry(&folder.join("boot"), |name| name.starts_with("vmlinuz-"))?;
    let release = image
        .file_name()?
        .to_str()?
        .strip_prefix("vmlinuz-")?
        .to_owned();
    let modules = folder.join("lib/modules").join(&release).join("kernel");
    modules.is_dir().then(|| Fetched {
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
