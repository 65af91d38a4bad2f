//! Loads the programs: offsets and settings first, then each given hook. Keeps the finding for
//! each: usable, not needed or refused.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use aya::maps::{Map, MapData};
use aya::programs::{Program, ProgramError};
use aya::{Ebpf, EbpfLoader};
use bubble_common::kernel::Plain;
use bubble_common::kernel::settings::Settings;

use super::btf::{Argument, Btf, BtfError};
use super::hook::{self, Attach, Family, Finding, Hook, State};
use super::log;
use super::options::Options;
use super::relocate::Relocations;
use crate::container::hierarchy::{Hierarchy, Kind};

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

/// The programs in the kernel, not attached yet.
pub struct Loaded {
    /// The loader's object.
    pub ebpf: Ebpf,
    /// The state of each hook that was tried.
    pub findings: Vec<Finding>,
    /// The family in use.
    pub family: Family,
}

/// The compiled kernel side: `cargo xtask build-ebpf` makes it.
#[cfg(target_arch = "x86_64")]
fn object() -> Result<&'static [u8], LoadError> {
    Ok(aya::include_bytes_aligned!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/ebpf/x86_64.o"
    )))
}

#[cfg(not(target_arch = "x86_64"))]
fn object() -> Result<&'static [u8], LoadError> {
    Err(LoadError::NoObject)
}

/// Loads those of `hooks` that the kernel accepts.
///
/// # Errors
/// When the object, the BTF or the settings cannot be used. A refused hook is a finding.
pub fn load(
    hooks: impl Iterator<Item = &'static Hook>,
    options: &Options,
    family: Family,
    primary: &Hierarchy,
) -> Result<Loaded, LoadError> {
    let btf = Btf::of_kernel()?;
    let relocations = Relocations::resolve(&btf)?;
    let object = relocations.apply(object()?).map_err(LoadError::Damaged)?;
    let settings = settings(&btf, primary, family)?;
    let mut loader = EbpfLoader::new();
    // The object has no CO-RE relocations, so the loader need not keep the kernel's types.
    loader.btf(None);
    loader.override_global("SETTINGS", settings.bytes(), true);
    let log_level = log::level();
    loader.override_global(log::LEVEL_GLOBAL, &log_level, true);
    loader.map_max_entries(log::MAP, log::ring_bytes());
    for (map, entries) in options.map_entries() {
        loader.map_max_entries(map, entries);
    }
    let mut ebpf = loader.load(&object).map_err(Box::new)?;
    let types = aya::Btf::from_sys_fs()?;
    let mut findings = Vec::new();
    for hook in hooks {
        let state = try_load(&mut ebpf, hook, &btf, &types)?;
        findings.push(Finding { hook: *hook, state });
    }
    Ok(Loaded {
        ebpf,
        findings,
        family,
    })
}

/// Chooses the settings by the facts of the kernel.
fn settings(btf: &Btf, primary: &Hierarchy, family: Family) -> Result<Settings, LoadError> {
    let victim_is_task = matches!(
        btf.tracepoint_argument("mark_victim", 0),
        Some(Argument::Struct(_))
    );
    // The kernel moved the tracepoint before the release of the memory when it got this argument.
    let exit_has_memory = btf.tracepoint_argument("sched_process_exit", 1).is_some();
    let (controller, hierarchy) = match &primary.kind {
        Kind::Unified => (Settings::UNIFIED, 0),
        Kind::V1(controllers) => controllers
            .iter()
            .find_map(|name| Some((controller(btf, name)?, hierarchy_of(name)?)))
            .ok_or_else(|| LoadError::Controller(controllers.clone()))?,
    };
    Ok(Settings {
        controller,
        hierarchy,
        victim_is_task: u32::from(victim_is_task),
        exit_has_memory: u32::from(exit_has_memory),
        datagrams: match family {
            Family::Vfs => Settings::PEER_OF_MESSAGE,
            _ => Settings::PEER_AT_EXIT,
        },
        sockets_at_exit: u32::from(
            family == Family::Syscall && !btf.has_tracepoint("sock_send_length"),
        ),
        opens_by_function: u32::from(family == Family::Vfs),
        completion_is_struct: u32::from(matches!(
            btf.tracepoint_argument("io_uring_complete", 2),
            Some(Argument::Struct(_))
        )),
    })
}

/// The index of a v1 controller in the kernel's arrays.
fn controller(btf: &Btf, name: &str) -> Option<u32> {
    let name = if name == "blkio" { "io" } else { name };
    btf.enumerator("cgroup_subsys_id", &format!("{name}_cgrp_id"))
}

/// Number of the hierarchy of a v1 controller.
fn hierarchy_of(controller: &str) -> Option<u32> {
    let text = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    text.lines().find_map(|line| {
        let (number, rest) = line.split_once(':')?;
        let (controllers, _) = rest.split_once(':')?;
        controllers
            .split(',')
            .any(|one| one == controller)
            .then(|| number.parse().ok())?
    })
}

fn try_load(ebpf: &mut Ebpf, hook: &Hook, btf: &Btf, types: &aya::Btf) -> Result<State, LoadError> {
    if let Some(better) = hook.unless.filter(|name| btf.has_tracepoint(name)) {
        return Ok(State::NotNeeded(format!("tracepoint {better} counts it")));
    }
    let absent = match hook.attach {
        Attach::Tracepoint(name) if !btf.has_tracepoint(name) => {
            Some(format!("this kernel has no tracepoint {name}"))
        }
        Attach::Exit(name) | Attach::Entry(name) if !btf.has_function(name) => {
            Some(format!("this kernel has no function {name}"))
        }
        _ => None,
    };
    if let Some(why) = absent {
        return Ok(match hook.instead {
            Some(instead) => State::NotNeeded(format!("{why}: {instead}")),
            None => State::Refused(why),
        });
    }
    let begun = Instant::now();
    let program = ebpf
        .program_mut(hook.program)
        .ok_or_else(|| LoadError::Missing(format!("program {}", hook.program)))?;
    let result = match (hook.attach, &mut *program) {
        (Attach::Tracepoint(name), Program::BtfTracePoint(program)) => program.load(name, types),
        (Attach::Exit(name), Program::FExit(program)) => program.load(name, types),
        (Attach::Entry(name), Program::FEntry(program)) => program.load(name, types),
        (Attach::Iterator(name), Program::Iter(program)) => program.load(name, types),
        (Attach::EachCore, Program::RawTracePoint(program)) => program.load(),
        _ => {
            return Err(LoadError::Missing(format!(
                "program {} of that type",
                hook.program
            )));
        }
    };
    let steps = program
        .info()
        .ok()
        .and_then(|info| info.verified_instruction_count());
    tracing::debug!(
        program = hook.program,
        verifier_steps = steps.unwrap_or_default(),
        elapsed = ?begun.elapsed(),
        "the kernel decided on a program"
    );
    Ok(match result {
        Ok(()) => State::Usable,
        Err(error) => State::Refused(reason(&error)),
    })
}

/// The kernel's error, with the verifier's log if there is one.
fn reason(error: &ProgramError) -> String {
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
            let result = match self.ebpf.program_mut(hook.program) {
                Some(Program::BtfTracePoint(program)) => program.attach().map(drop),
                Some(Program::FExit(program)) => program.attach().map(drop),
                Some(Program::FEntry(program)) => program.attach().map(drop),
                _ => Ok(()),
            };
            if let Err(error) = result {
                finding.state = State::Refused(reason(&error));
            }
        }
        self.check()
    }

    /// A second descriptor of a program.
    ///
    /// # Errors
    /// When the program is not loaded.
    pub fn program(&self, name: &str) -> Result<OwnedFd, LoadError> {
        let program = self
            .ebpf
            .program(name)
            .ok_or_else(|| LoadError::Missing(format!("program {name}")))?;
        let missing = |_| LoadError::Missing(format!("program {name}, loaded"));
        duplicate(program.fd().map_err(missing)?.as_fd())
    }

    /// Second descriptors of all usable programs, by name.
    pub fn programs(&self) -> HashMap<&'static str, OwnedFd> {
        self.findings
            .iter()
            .filter(|one| one.state == State::Usable)
            .filter_map(|one| Some((one.hook.program, self.program(one.hook.program).ok()?)))
            .collect()
    }

    /// A second descriptor of a hash map with keys and values of these types.
    ///
    /// # Errors
    /// When no map has this name and these sizes.
    pub fn hash<K: Plain, V: Plain>(&self, name: &str) -> Result<OwnedFd, LoadError> {
        let missing = || LoadError::Missing(format!("map {name} of these sizes"));
        let data: &MapData = match self.ebpf.map(name) {
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

fn duplicate(fd: BorrowedFd<'_>) -> Result<OwnedFd, LoadError> {
    fd.try_clone_to_owned().map_err(|error| LoadError::System {
        what: "duplicate a descriptor",
        error,
    })
}
