//! The start of the eBPF source: takes over the programs of an earlier run, or loads them, and pins them
//! if possible.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use aya::maps::{Array, RingBuf};
use bubble_common::kernel::cpu_state::{FIRST_GENERATION, generation_of};

use super::bpf::Barrier;
use super::btf::BtfError;
use super::cgroup::Ignored;
use super::cost::CostSampler;
use super::cpu::Cpu;
use super::cpu_state::CpuStates;
use super::file::Files;
use super::hook::{self, Family, Hook};
use super::load::{LoadError, Loaded, Prepared};
use super::log::Messages;
use super::loss::{self, Losses};
use super::network::Network;
use super::options::{Options, USUAL_PINS};
use super::pins::{PinError, Pins};
use super::process::table::Processes;
use super::wait::Waits;
use super::{Ebpf, hooks, memory};
use crate::container::hierarchy::Hierarchy;
use crate::journal::Journal;

/// The families to try, the best one first.
fn families(options: &Options) -> Vec<Family> {
    match options.family {
        Some(family) => vec![family],
        None => vec![Family::Vfs, Family::Syscall],
    }
}

fn hooks_of(family: Family) -> impl Iterator<Item = &'static Hook> + Clone {
    hooks::table().filter(move |hook| hook.family.suits(family))
}

/// Whether this version cannot use this kernel, and so has pinned nothing. An error that may pass, such as
/// too many open files, does not say so.
fn has_never_loaded(error: &LoadError) -> bool {
    use BtfError::{BitField, Malformed, NoMember, NoType, Read};
    match error {
        LoadError::Btf(error) => match error {
            NoType(_) | NoMember { .. } | BitField { .. } => true,
            Read { .. } | Malformed(_) => false,
        },
        LoadError::NoObject => true,
        _ => false,
    }
}

/// Whether an earlier run may have pinned programs in a folder that cannot be used.
fn may_be_pinned(error: &PinError, folder: &Path) -> bool {
    matches!(error, PinError::Io { .. }) && !matches!(folder.try_exists(), Ok(false))
}

impl Ebpf {
    /// Takes over the programs of an earlier run, or loads and attaches them: sums begin to grow at once.
    ///
    /// # Errors
    /// When this kernel refuses a required program, or this user may not load programs.
    pub fn start(options: &Options, primary: &Hierarchy) -> Result<Self, LoadError> {
        let Some(folder) = &options.pins else {
            if Path::new(USUAL_PINS).exists() {
                tracing::warn!(
                    "programs are pinned in {USUAL_PINS}, and go on counting: if no agent uses them, `bubble-agent unpin` removes them"
                );
            }
            return Self::load(options, primary, None);
        };
        let not_adopted = |error| LoadError::Adopt {
            folder: folder.clone(),
            why: Box::new(error),
        };
        let pins = match Pins::open(folder) {
            Ok(pins) => pins,
            Err(error) if may_be_pinned(&error, folder) => {
                return Err(not_adopted(error.into()));
            }
            Err(error) => {
                tracing::warn!("the kernel stops counting when the agent ends: {error}");
                return Self::load(options, primary, None);
            }
        };
        // The maps may hold seconds that only this key can read. Counted beside them, time would count
        // twice when a later run takes them over.
        let adopted = Self::adopt_or_clear(options, primary, &pins).map_err(not_adopted)?;
        if let Some(mut source) = adopted {
            source.pins = Some(pins);
            return Ok(source);
        }
        match Self::load(options, primary, Some(&pins)) {
            Err(LoadError::Pin(error)) => {
                tracing::warn!("the kernel stops counting when the agent ends: {error}");
                pins.remove()?;
                Self::load(options, primary, None)
            }
            Err(error) => {
                pins.remove()?;
                Err(error)
            }
            Ok(mut source) => {
                source.pins = Some(pins);
                Ok(source)
            }
        }
    }

    /// Takes over what an earlier run of the same version and settings has pinned. `None` if there is
    /// nothing of them; then nothing is pinned any more.
    fn adopt_or_clear(
        options: &Options,
        primary: &Hierarchy,
        pins: &Pins,
    ) -> Result<Option<Self>, LoadError> {
        let adopted = Self::adopt(options, primary, pins)?;
        if adopted.is_none() {
            // What is complete here has another key.
            if pins.has("")? {
                tracing::warn!(
                    "the pinned programs are of another version or other settings, and are removed: what they counted since their agent ended is lost"
                );
            }
            pins.clear()?;
        }
        Ok(adopted)
    }

    /// Takes over what an earlier run of the same version and settings has pinned. `None` if there is
    /// nothing of them.
    fn adopt(
        options: &Options,
        primary: &Hierarchy,
        pins: &Pins,
    ) -> Result<Option<Self>, LoadError> {
        for family in families(options) {
            if !pins.has(family.name())? {
                continue;
            }
            let prepared = match Prepared::new(options, family, primary) {
                Ok(prepared) => prepared,
                Err(error) if has_never_loaded(&error) => continue,
                Err(error) => return Err(error),
            };
            let Some(pinned) = pins.adopt(&prepared.key())? else {
                continue;
            };
            let (loaded, journal) = prepared.adopt(pinned, hooks_of(family))?;
            let mut source = Self::open(loaded)?;
            source.resume(open_journal(&journal)?, false)?;
            tracing::info!(
                hooks = family.name(),
                "the kernel has gone on counting since the last run"
            );
            return Ok(Some(source));
        }
        Ok(None)
    }

    /// Loads the chosen family, or the best one that this kernel accepts.
    fn load(
        options: &Options,
        primary: &Hierarchy,
        pins: Option<&Pins>,
    ) -> Result<Self, LoadError> {
        let mut result = Err(LoadError::NoObject);
        for family in families(options) {
            let prepared = Prepared::new(options, family, primary)?;
            let loaded = prepared
                .load(hooks_of(family))
                .and_then(|loaded| loaded.check().map(|()| loaded));
            match loaded {
                Ok(loaded) => return Self::attach(loaded, &prepared.key(), pins),
                Err(LoadError::Refused {
                    program,
                    why,
                    gives,
                }) => {
                    if options.family.is_none() && family == Family::Vfs {
                        tracing::info!(program, why, "vfs hooks are refused: using syscall hooks");
                    }
                    result = Err(LoadError::Refused {
                        program,
                        why,
                        gives,
                    });
                }
                Err(error) => return Err(error),
            }
        }
        result
    }

    /// Attaches loaded programs, and pins them.
    fn attach(mut loaded: Loaded, key: &str, pins: Option<&Pins>) -> Result<Self, LoadError> {
        let part = pins.map(Pins::begin).transpose()?;
        if let Some(part) = &part {
            loaded.pin(part)?;
        }
        let mut source = Self::open(loaded)?;
        // The other hooks read which task runs on their core, so this one is attached first.
        let loaded = &mut source.loaded;
        loaded.attach(|hook| hook.program == "sched_switch")?;
        source.cpu.flush();
        loaded.attach(|hook| hook.program != "sched_switch")?;
        source.flush_waits();
        if let (Some(pins), Some(part)) = (pins, &part) {
            let journal = Pins::create_journal(part, Journal::BYTES)?;
            source.resume(open_journal(&journal)?, true)?;
            pins.complete(part, key)?;
        } else {
            source.list_processes();
        }
        source.missing = hook::missing(&source.loaded.findings, source.loaded.family);
        Ok(source)
    }

    /// Opens the maps of loaded programs.
    fn open(mut loaded: Loaded) -> Result<Self, LoadError> {
        let selector = loaded
            .take_map(".data")
            .and_then(|map| Array::try_from(map).ok())
            .ok_or_else(|| LoadError::Missing("global GENERATION, alone in .data".into()))?;
        let events = loaded
            .take_map("EVENTS")
            .and_then(|map| RingBuf::try_from(map).ok())
            .ok_or_else(|| LoadError::Missing("ring buffer EVENTS".into()))?;
        let barrier = Barrier::new().map_err(|error| LoadError::System {
            what: "create the maps of the barrier",
            error,
        })?;
        let flush = loaded.program("cpu_flush")?;
        Ok(Self {
            missing: Vec::new(),
            misses: 0,
            cost: CostSampler::new(),
            drains: 0,
            barrier,
            generation: FIRST_GENERATION,
            selector,
            cpu_states: CpuStates::open(&mut loaded)?,
            events,
            cpu: Cpu::open(&loaded)?,
            waits: Waits::open(&loaded)?,
            files: Files::open(&mut loaded)?,
            network: Network::open(&mut loaded)?,
            processes: Processes::default(),
            ignored: Ignored::open(&mut loaded)?,
            losses: Losses::open(&mut loaded)?,
            messages: Messages::open(loaded.ebpf.as_mut(), flush.as_fd()),
            memory: memory::Reader::new(),
            pins: None,
            journal: None,
            waiting: Vec::new(),
            unkept: 0,
            is_late: false,
            loaded,
        })
    }

    /// Continues where the journal ends. `first`: the programs are new.
    fn resume(&mut self, mut journal: Journal, first: bool) -> Result<(), LoadError> {
        let system = |what| move |error| LoadError::System { what, error };
        let stamp = self
            .selector
            .get(&0, 0)
            .map_err(std::io::Error::other)
            .map_err(system("read the generation"))?;
        self.generation = generation_of(stamp);
        self.list_processes();
        self.waiting = journal.resume(self.generation, first);
        self.unkept = journal.dropped_records(self.generation);
        self.is_late = !first;
        // What the ring buffer has is sorted by time with the rest.
        while !first && journal.has_room() {
            let Some(item) = self.events.next() else {
                break;
            };
            journal.keep_record(&item);
            self.waiting.push((journal.recorded(), item.to_vec()));
        }
        let before = journal
            .unspooled()
            .map_or(self.generation, |unspooled| unspooled.generation);
        if let Some(totals) = journal.totals(before - 1) {
            let (causes, misses) = loss::decode(&totals);
            self.losses.resume(causes);
            self.misses = misses;
        }
        self.files
            .paths
            .resume(journal.texts())
            .map_err(system("read the known paths"))?;
        self.missing = hook::missing(&self.loaded.findings, self.loaded.family);
        self.journal = Some(journal);
        Ok(())
    }
}

fn open_journal(memory: &OwnedFd) -> Result<Journal, LoadError> {
    Journal::open(Some(memory.as_fd())).map_err(|error| LoadError::System {
        what: "map the journal",
        error,
    })
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::{Path, PathBuf};

    use super::{has_never_loaded, may_be_pinned};
    use crate::source::ebpf::btf::BtfError;
    use crate::source::ebpf::load::LoadError;
    use crate::source::ebpf::pins::PinError;

    #[test]
    fn only_a_kernel_that_cannot_be_used_proves_that_nothing_was_pinned() {
        let lacks = BtfError::NoMember {
            of: "task_struct".to_owned(),
            path: "x".to_owned(),
        };
        assert!(has_never_loaded(&lacks.into()));
        assert!(has_never_loaded(
            &BtfError::NoType("file".to_owned()).into()
        ));
        for error in [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOENT] {
            let unread = BtfError::Read {
                path: PathBuf::from("/sys/kernel/btf/vmlinux"),
                error: io::Error::from_raw_os_error(error),
            };
            assert!(!has_never_loaded(&unread.into()), "{error}");
        }
        assert!(!has_never_loaded(
            &BtfError::Malformed("a type is cut").into()
        ));
        let system = LoadError::System {
            what: "read",
            error: io::Error::from_raw_os_error(libc::ENOMEM),
        };
        assert!(!has_never_loaded(&system));
    }

    #[test]
    fn a_folder_that_cannot_be_opened_may_have_pins() {
        let folder = tempfile::tempdir().unwrap();
        let failed = |path: &Path| PinError::Io {
            path: path.to_owned(),
            source: io::Error::from_raw_os_error(libc::EMFILE),
        };
        let absent = folder.path().join("absent");
        assert!(may_be_pinned(&failed(folder.path()), folder.path()));
        assert!(!may_be_pinned(&failed(&absent), &absent));
        let elsewhere = PinError::NoFileSystem(folder.path().to_owned());
        assert!(!may_be_pinned(&elsewhere, folder.path()));
    }
}
