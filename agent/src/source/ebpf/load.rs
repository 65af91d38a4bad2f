//! Loads the programs: offsets and settings first, then every hook of the family
//! that the kernel takes, and says of each what became of it.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use aya::maps::{Map, MapData};
use aya::programs::{Program, ProgramError};
use aya::{Ebpf, EbpfLoader};
use bubble_common::kernel::Plain;
use bubble_common::kernel::settings::Settings;

use super::Options;
use super::btf::{Argument, Btf, BtfError};
use super::hooks::{self, Attach, Family, Finding, Hook, State};
use super::places::Places;
use crate::container::hierarchy::{Hierarchy, Kind};

/// Why counting in the kernel is not possible.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// This agent has no programs in it.
    #[error(
        "this agent was built without its kernel side: run `cargo xtask build-ebpf` and build again"
    )]
    NoObject,
    /// The kernel does not describe its types, or lacks one that is needed.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// The programs in this agent are damaged.
    #[error("the kernel side is damaged: build it again with `cargo xtask build-ebpf`: {0}")]
    Damaged(object::Error),
    /// The object could not be taken in.
    #[error(
        "cannot load the programs into the kernel (this takes root, or CAP_BPF and CAP_PERFMON): {0}"
    )]
    Object(#[from] Box<aya::EbpfError>),
    /// The kernel's BTF cannot be read by the loader.
    #[error("the loader cannot read the kernel's BTF: {0}")]
    LoaderBtf(#[from] aya::BtfError),
    /// The kernel refuses what cannot be done without.
    #[error("the kernel refuses {program}, which gives {gives}: {why}")]
    Refused {
        /// The program.
        program: &'static str,
        /// What it gives.
        gives: &'static str,
        /// The kernel's answer, with the verifier's log.
        why: String,
    },
    /// The object and the agent do not belong together.
    #[error("the kernel side has no {0}: build it again with `cargo xtask build-ebpf`")]
    Missing(String),
    /// A system call of ours failed.
    #[error("cannot {what}: {error}")]
    System {
        /// What it was for.
        what: &'static str,
        /// Why.
        error: std::io::Error,
    },
    /// A v1 tree without a controller that the kernel knows by number.
    #[error(
        "cgroups of the tree {0:?} cannot be told apart in the kernel: mount cgroup v2, or a v1 controller"
    )]
    Controller(Vec<String>),
}

/// The programs in the kernel, not attached yet.
pub struct Loaded {
    /// The loader's own.
    pub ebpf: Ebpf,
    /// What became of each hook that was tried.
    pub findings: Vec<Finding>,
    /// The family in use.
    pub family: Family,
}

#[cfg(not(no_ebpf_object))]
fn object() -> Result<&'static [u8], LoadError> {
    Ok(aya::include_bytes_aligned!(env!("BUBBLE_EBPF_OBJECT")))
}

#[cfg(no_ebpf_object)]
fn object() -> Result<&'static [u8], LoadError> {
    Err(LoadError::NoObject)
}

/// Loads what the family takes.
///
/// # Errors
/// When something cannot be done without.
pub fn load(
    options: &Options,
    family: Family,
    primary: &Hierarchy,
    only: Option<Family>,
) -> Result<Loaded, LoadError> {
    let btf = Btf::of_kernel()?;
    let places = Places::of(&btf)?;
    let object = places.fill(object()?).map_err(LoadError::Damaged)?;
    let settings = settings(&btf, primary, family)?;
    let mut loader = EbpfLoader::new();
    // We have no relocations against the kernel's types: the loader need not keep them.
    loader.btf(None);
    loader.override_global("SETTINGS", settings.bytes(), true);
    for (map, entries) in options.map_entries() {
        loader.map_max_entries(map, entries);
    }
    let mut ebpf = loader.load(&object).map_err(Box::new)?;
    let types = aya::Btf::from_sys_fs()?;
    let mut findings = Vec::new();
    for hook in hooks::table() {
        if only.is_none_or(|only| hook.family.suits(only)) {
            let state = try_load(&mut ebpf, hook, &btf, &types)?;
            findings.push(Finding { hook: *hook, state });
        }
    }
    Ok(Loaded {
        ebpf,
        findings,
        family,
    })
}

/// Chooses the settings by what the kernel has.
fn settings(btf: &Btf, primary: &Hierarchy, family: Family) -> Result<Settings, LoadError> {
    let victim_is_task = matches!(
        btf.tracepoint_argument("mark_victim", 0),
        Some(Argument::Struct(_))
    );
    // The tracepoint was moved before the memory is dropped when it got this argument.
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
    })
}

/// The index of a v1 controller in the kernel's arrays.
fn controller(btf: &Btf, name: &str) -> Option<u32> {
    let name = if name == "blkio" { "io" } else { name };
    btf.enumerator("cgroup_subsys_id", &format!("{name}_cgrp_id"))
}

/// The number of the hierarchy that a v1 controller is in.
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
        return Ok(State::NotNeeded(format!("tracepoint {better} gives it")));
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
        "loaded, or refused"
    );
    Ok(match result {
        Ok(()) => State::Usable,
        Err(error) => State::Refused(reason(&error)),
    })
}

/// What the kernel answered, with the verifier's log where it has one.
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
    /// An error when the family cannot do without something that was refused.
    ///
    /// # Errors
    /// See above.
    pub fn check(&self) -> Result<(), LoadError> {
        match hooks::obstacle(&self.findings, self.family) {
            Some((hook, why)) => Err(LoadError::Refused {
                program: hook.program,
                gives: hook.gives,
                why: why.to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// Whether the kernel took this program.
    pub fn has(&self, program: &str) -> bool {
        self.findings
            .iter()
            .any(|one| one.hook.program == program && one.state == State::Usable)
    }

    /// Attaches every program that is attached and that the kernel took.
    ///
    /// # Errors
    /// When the kernel refuses a hook that the family needs; others become findings.
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
    /// When it is not loaded.
    pub fn program(&self, name: &str) -> Result<OwnedFd, LoadError> {
        let program = self
            .ebpf
            .program(name)
            .ok_or_else(|| LoadError::Missing(format!("program {name}")))?;
        let missing = |_| LoadError::Missing(format!("program {name}, loaded"));
        duplicate(program.fd().map_err(missing)?.as_fd())
    }

    /// Second descriptors of all programs that were loaded, with their names.
    pub fn programs(&self) -> HashMap<&'static str, OwnedFd> {
        self.findings
            .iter()
            .filter(|one| one.state == State::Usable)
            .filter_map(|one| Some((one.hook.program, self.program(one.hook.program).ok()?)))
            .collect()
    }

    /// A second descriptor of a hash map whose keys and values have the sizes of these types.
    ///
    /// # Errors
    /// When there is none.
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
