//! The programs in the kernel, with their maps: attaches and pins them, and hands out descriptors.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use aya::Ebpf;
use aya::maps::{Map, MapData};
use aya::programs::links::FdLink;
use aya::programs::{Program, ProgramError};
use bubble_common::kernel::Plain;

use super::bpf_object;
use super::btf::BtfError;
use super::hook::{self, Family, Finding, Hook, State};
use super::pins::{PinError, Pins};

/// Why the kernel cannot count.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The kernel side is compiled for x86-64 alone.
    #[error("there is no kernel side for this processor: use `--source procfs`")]
    NoObject,
    /// The kernel does not describe its types, or lacks a required one.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// The embedded object is damaged.
    #[error("the kernel side is damaged: build it again with `cargo xtask build-ebpf`: {0}")]
    Damaged(object::Error),
    /// The kernel refused the object.
    #[error(
        "cannot load the programs into the kernel (this takes root, or CAP_BPF and CAP_PERFMON): {0}"
    )]
    Object(#[from] Box<aya::EbpfError>),
    /// The loader cannot read the kernel's BTF.
    #[error("the loader cannot read the kernel's BTF: {0}")]
    LoaderBtf(#[from] aya::BtfError),
    /// The kernel refuses a required program.
    #[error("the kernel refuses {program}, which gives {gives}: {why}")]
    Refused {
        /// The program.
        program: &'static str,
        /// The figure that it counts.
        gives: &'static str,
        /// The kernel's answer, with the verifier's log.
        why: String,
    },
    /// The object does not match the agent.
    #[error("the kernel side has no {0}: build it again with `cargo xtask build-ebpf`")]
    Missing(String),
    /// The programs cannot be pinned.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The programs that an earlier run has pinned cannot be taken over now.
    #[error(
        "cannot take over the programs pinned in {}, which go on counting: {why}; start the agent again, or remove them and what they have counted with `bubble-agent unpin`",
        folder.display()
    )]
    Adopt {
        /// Folder of the pins.
        folder: PathBuf,
        /// Why.
        why: Box<Self>,
    },
    /// A system call failed.
    #[error("cannot {what}: {error}")]
    System {
        /// Its purpose.
        what: &'static str,
        /// Why.
        error: std::io::Error,
    },
    /// A v1 hierarchy without a controller that the kernel knows by number.
    #[error(
        "the kernel cannot identify cgroups of the hierarchy {0:?}: mount cgroup v2, or a v1 controller"
    )]
    Controller(Vec<String>),
}

/// The programs in the kernel, which [`Loaded::attach`] attaches, or an earlier run has.
pub struct Loaded {
    /// The loader's object. `None` if an earlier run has loaded it.
    pub ebpf: Option<Ebpf>,
    pub(super) maps: HashMap<String, Map>,
    pub(super) programs: HashMap<&'static str, OwnedFd>,
    /// They detach when they are dropped, unless they are pinned.
    pub(super) links: Vec<FdLink>,
    /// Where everything is pinned until it is complete.
    pub(super) part: Option<PathBuf>,
    /// The state of each hook that was tried.
    pub findings: Vec<Finding>,
    /// The family in use.
    pub family: Family,
}

/// The kernel's error, with the verifier's log if there is one.
pub(super) fn reason(error: &ProgramError) -> String {
    match error {
        ProgramError::LoadError {
            io_error,
            verifier_log,
        } => {
            let log = verifier_log.to_string();
            let log = log.trim();
            if log.is_empty() {
                io_error.to_string()
            } else {
                format!("{io_error}; the verifier's log: {log}")
            }
        }
        other => {
            let mut text = other.to_string();
            let mut source = std::error::Error::source(other);
            while let Some(inner) = source {
                text = format!("{text}: {inner}");
                source = inner.source();
            }
            text
        }
    }
}

impl Loaded {
    /// Checks that every required hook of the family is usable.
    ///
    /// # Errors
    /// When one was refused.
    pub fn check(&self) -> Result<(), LoadError> {
        match hook::obstacle(&self.findings, self.family) {
            Some((hook, why)) => Err(LoadError::Refused {
                program: hook.program,
                gives: hook.gives,
                why: why.to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// Whether this program is usable.
    pub fn has(&self, program: &str) -> bool {
        self.findings
            .iter()
            .any(|one| one.hook.program == program && one.state == State::Usable)
    }

    /// Attaches the usable programs of the family that `filter` accepts.
    ///
    /// # Errors
    /// When the kernel refuses a required hook. Other refusals become findings.
    pub fn attach(&mut self, filter: impl Fn(&Hook) -> bool) -> Result<(), LoadError> {
        for finding in &mut self.findings {
            let hook = finding.hook;
            if finding.state != State::Usable || !hook.family.suits(self.family) || !filter(&hook) {
                continue;
            }
            let Some(program) = self
                .ebpf
                .as_mut()
                .and_then(|ebpf| ebpf.program_mut(hook.program))
            else {
                continue;
            };
            match attach(program) {
                Ok(None) => {}
                Ok(Some(link)) => match &self.part {
                    Some(part) => {
                        let path = part.join("links").join(hook.program);
                        let pinned = link.pin(&path).map_err(|error| PinError::Io {
                            path,
                            source: std::io::Error::other(error),
                        })?;
                        self.links.push(pinned.into());
                    }
                    None => self.links.push(link),
                },
                Err(error) => {
                    finding.state = State::Refused(reason(&error));
                    if let Some(part) = &self.part {
                        // The next run must not take it for attached.
                        let path = part.join("programs").join(hook.program);
                        std::fs::remove_file(&path)
                            .map_err(|source| PinError::Io { path, source })?;
                    }
                }
            }
        }
        self.check()
    }

    /// Pins maps and programs in this folder, now, and links when they are attached.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn pin(&mut self, part: &Path) -> Result<(), PinError> {
        for (name, map) in &self.maps {
            Pins::pin_map(part, name, map)?;
        }
        for (name, program) in &self.programs {
            let path = part.join("programs").join(name);
            bpf_object::pin(program.as_fd(), &path)
                .map_err(|source| PinError::Io { path, source })?;
        }
        self.part = Some(part.to_owned());
        Ok(())
    }

    /// Whether the programs are pinned, or were when they were adopted.
    pub fn is_pinned(&self) -> bool {
        self.part.is_some() || self.ebpf.is_none()
    }

    /// Takes a map.
    pub fn take_map(&mut self, name: &str) -> Option<Map> {
        self.maps.remove(name)
    }

    /// A second descriptor of a program.
    ///
    /// # Errors
    /// When the program is not loaded.
    pub fn program(&self, name: &str) -> Result<OwnedFd, LoadError> {
        let program = self
            .programs
            .get(name)
            .ok_or_else(|| LoadError::Missing(format!("program {name}, loaded")))?;
        duplicate(program.as_fd())
    }

    /// All usable programs, by name.
    pub fn programs(&self) -> &HashMap<&'static str, OwnedFd> {
        &self.programs
    }

    /// A second descriptor of a hash map with keys and values of these types.
    ///
    /// # Errors
    /// When no map has this name and these sizes.
    pub fn hash<K: Plain, V: Plain>(&self, name: &str) -> Result<OwnedFd, LoadError> {
        let missing = || LoadError::Missing(format!("map {name} of these sizes"));
        let data: &MapData = match self.maps.get(name) {
            Some(Map::HashMap(data)) => data,
            _ => return Err(missing()),
        };
        let info = data.info().map_err(|_| missing())?;
        if info.key_size() as usize != size_of::<K>()
            || info.value_size() as usize != size_of::<V>()
        {
            return Err(missing());
        }
        duplicate(data.fd().as_fd())
    }
}

/// Attaches a program. `None` if it is of a type that is not attached.
fn attach(program: &mut Program) -> Result<Option<FdLink>, ProgramError> {
    Ok(match program {
        Program::BtfTracePoint(program) => {
            let link = program.attach()?;
            Some(program.take_link(link)?.into())
        }
        Program::FExit(program) => {
            let link = program.attach()?;
            Some(program.take_link(link)?.into())
        }
        Program::FEntry(program) => {
            let link = program.attach()?;
            Some(program.take_link(link)?.into())
        }
        _ => None,
    })
}

/// A descriptor of a loaded program.
pub(super) fn program(ebpf: &Ebpf, name: &str) -> Result<OwnedFd, LoadError> {
    let missing = || LoadError::Missing(format!("program {name}, loaded"));
    let program = ebpf.program(name).ok_or_else(missing)?;
    duplicate(program.fd().map_err(|_| missing())?.as_fd())
}

fn duplicate(fd: BorrowedFd<'_>) -> Result<OwnedFd, LoadError> {
    fd.try_clone_to_owned().map_err(|error| LoadError::System {
        what: "duplicate a descriptor",
        error,
    })
}
