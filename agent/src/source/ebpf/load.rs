//! Loads the programs: offsets and settings first, then each given hook. Keeps the finding for
//! each: usable, not needed or refused. Takes over those that an earlier run has pinned.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::time::Instant;

use aya::programs::Program;
use aya::{Ebpf, EbpfLoader};
use bubble_common::kernel::Plain as _;
use bubble_common::kernel::settings::Settings;
use sha2::{Digest as _, Sha256};

use super::btf::{Argument, Btf};
use super::hook::{self, Attach, Family, Finding, Hook, State};
pub use super::loaded::{LoadError, Loaded};
use super::loaded::{program, reason};
use super::log;
use super::options::Options;
use super::pins::Pinned;
use super::relocate::Relocations;
use super::wait_hook;
use crate::container::hierarchy::{Hierarchy, Kind};
use crate::journal;

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

/// What is loaded: the object with the offsets of this kernel, and the settings.
pub struct Prepared {
    btf: Btf,
    object: Vec<u8>,
    settings: Settings,
    family: Family,
    map_entries: Vec<(&'static str, u32)>,
}

impl Prepared {
    /// Prepares to load a family of hooks.
    ///
    /// # Errors
    /// When the object, the BTF or the settings cannot be used.
    pub fn new(options: &Options, family: Family, primary: &Hierarchy) -> Result<Self, LoadError> {
        let btf = Btf::of_kernel()?;
        let relocations = Relocations::resolve(&btf)?;
        let object = relocations.apply(object()?).map_err(LoadError::Damaged)?;
        let settings = settings(&btf, primary, family)?;
        let mut map_entries = options.map_entries();
        map_entries.push((log::MAP, log::ring_bytes()));
        Ok(Self {
            btf,
            object,
            settings,
            family,
            map_entries,
        })
    }

    /// Stands for everything that the meaning of the maps depends on.
    pub fn key(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(journal::LAYOUT.to_ne_bytes());
        hash.update([log::level()]);
        hash.update(self.settings.bytes());
        for (map, entries) in &self.map_entries {
            hash.update(map.as_bytes());
            hash.update(entries.to_ne_bytes());
        }
        hash.update(&self.object);
        let digits: String = hash
            .finalize()
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("{}-{digits}", self.family.name())
    }

    /// Loads those of `hooks` that the kernel accepts. If it refuses a required one that also counts waits,
    /// loads all again without waits.
    ///
    /// # Errors
    /// When the kernel refuses the object. A refused hook is a finding.
    pub fn load(
        &self,
        hooks: impl Iterator<Item = &'static Hook> + Clone,
    ) -> Result<Loaded, LoadError> {
        let waits = wait_hook::requirements(&self.btf);
        let loaded = self.load_with(hooks.clone(), &waits)?;
        let why = match hook::obstacle(&loaded.findings, self.family) {
            Some((hook, why)) if waits.is_ok() && wait_hook::PROGRAMS.contains(&hook.program) => {
                format!("the kernel refuses {} with it: {why}", hook.program)
            }
            _ => return Ok(loaded),
        };
        let without = self.load_with(hooks, &Err(why))?;
        let is_better = hook::obstacle(&without.findings, self.family)
            .is_none_or(|(hook, _)| !wait_hook::PROGRAMS.contains(&hook.program));
        Ok(if is_better { without } else { loaded })
    }

    fn load_with(
        &self,
        hooks: impl Iterator<Item = &'static Hook>,
        waits: &Result<(), String>,
    ) -> Result<Loaded, LoadError> {
        let mut loader = EbpfLoader::new();
        // The object has no CO-RE relocations, so the loader need not keep the kernel's types.
        loader.btf(None);
        let settings = Settings {
            waits: u32::from(waits.is_ok()),
            ..self.settings
        };
        loader.override_global("SETTINGS", settings.bytes(), true);
        let log_level = log::level();
        loader.override_global(log::LEVEL_GLOBAL, &log_level, true);
        for (map, entries) in &self.map_entries {
            loader.map_max_entries(map, *entries);
        }
        let mut ebpf = loader.load(&self.object).map_err(Box::new)?;
        let types = aya::Btf::from_sys_fs()?;
        let mut findings = Vec::new();
        let mut programs = HashMap::new();
        for hook in hooks {
            let state = match waits {
                Err(why) if hook.program == wait_hook::FLUSH => State::Refused(why.clone()),
                _ => try_load(&mut ebpf, hook, &self.btf, &types)?,
            };
            if state == State::Usable {
                programs.insert(hook.program, program(&ebpf, hook.program)?);
            }
            findings.push(Finding { hook: *hook, state });
        }
        let names: Vec<String> = ebpf
            .maps()
            .map(|(name, _)| name.to_owned())
            .filter(|name| name != log::MAP)
            .collect();
        let maps = names
            .into_iter()
            .filter_map(|name| ebpf.take_map(&name).map(|map| (name, map)))
            .collect();
        Ok(Loaded {
            ebpf: Some(ebpf),
            maps,
            programs,
            links: Vec::new(),
            part: None,
            findings,
            family: self.family,
        })
    }

    /// Takes over what an earlier run has loaded and attached. Returns the memory of the journal too.
    ///
    /// # Errors
    /// When something required is missing.
    pub fn adopt(
        &self,
        pinned: Pinned,
        hooks: impl Iterator<Item = &'static Hook>,
    ) -> Result<(Loaded, OwnedFd), LoadError> {
        let Pinned {
            maps,
            programs: mut pinned,
            journal,
        } = pinned;
        let mut programs = HashMap::new();
        let mut findings = Vec::new();
        for hook in hooks {
            let state = match pinned.remove(hook.program) {
                Some(program) => {
                    programs.insert(hook.program, program);
                    State::Usable
                }
                None => absence(hook, &self.btf).unwrap_or_else(|| {
                    State::Refused("the kernel refused it when an earlier run loaded it".into())
                }),
            };
            findings.push(Finding { hook: *hook, state });
        }
        let loaded = Loaded {
            ebpf: None,
            maps,
            programs,
            links: Vec::new(),
            part: None,
            findings,
            family: self.family,
        };
        loaded.check()?;
        Ok((loaded, journal))
    }
}

/// Number of cores that there can be, online or not.
///
/// # Errors
/// When the kernel does not say.
pub fn possible_cores() -> Result<u32, LoadError> {
    let cores = aya::util::nr_cpus().map_err(|(_, error)| LoadError::System {
        what: "read the number of possible cores",
        error,
    })?;
    Ok(cores as u32)
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
        Kind::V1(controllers) => {
            let cgroup = std::fs::read_to_string("/proc/self/cgroup");
            let cgroup = cgroup.map_err(|error| LoadError::System {
                what: "read the cgroups of this process",
                error,
            })?;
            let mut names = controllers.iter();
            names
                .find_map(|name| Some((controller(btf, name)?, hierarchy_of(&cgroup, name)?)))
                .ok_or_else(|| LoadError::Controller(controllers.clone()))?
        }
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
        waits: u32::from(wait_hook::requirements(btf).is_ok()),
        in_iowait: btf
            .bit("task_struct", "in_iowait")
            .map_or(0, |(_, bit)| 1 << bit),
        cores: if btf
            .enumerator("bpf_func_id", "BPF_FUNC_map_lookup_percpu_elem")
            .is_some()
        {
            possible_cores()?
        } else {
            0
        },
    })
}

/// The index of a v1 controller in the kernel's arrays.
fn controller(btf: &Btf, name: &str) -> Option<u32> {
    let name = if name == "blkio" { "io" } else { name };
    btf.enumerator("cgroup_subsys_id", &format!("{name}_cgrp_id"))
}

/// Number of the hierarchy of a v1 controller, by the text of a process's `cgroup`.
fn hierarchy_of(cgroup: &str, controller: &str) -> Option<u32> {
    cgroup.lines().find_map(|line| {
        let (number, rest) = line.split_once(':')?;
        let (controllers, _) = rest.split_once(':')?;
        controllers
            .split(',')
            .any(|one| one == controller)
            .then(|| number.parse().ok())?
    })
}

/// The state of a hook that this kernel has no place for.
fn absence(hook: &Hook, btf: &Btf) -> Option<State> {
    if hook.program == wait_hook::FLUSH
        && let Err(why) = wait_hook::requirements(btf)
    {
        return Some(State::Refused(why));
    }
    if let Some(better) = hook.unless.filter(|name| btf.has_tracepoint(name)) {
        return Some(State::NotNeeded(format!("tracepoint {better} counts it")));
    }
    let why = match hook.attach {
        Attach::Tracepoint(name) if !btf.has_tracepoint(name) => {
            format!("this kernel has no tracepoint {name}")
        }
        Attach::Exit(name) | Attach::Entry(name) if !btf.has_function(name) => {
            format!("this kernel has no function {name}")
        }
        _ => return None,
    };
    Some(match hook.instead {
        Some(instead) => State::NotNeeded(format!("{why}: {instead}")),
        None => State::Refused(why),
    })
}

fn try_load(ebpf: &mut Ebpf, hook: &Hook, btf: &Btf, types: &aya::Btf) -> Result<State, LoadError> {
    if let Some(state) = absence(hook, btf) {
        return Ok(state);
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
