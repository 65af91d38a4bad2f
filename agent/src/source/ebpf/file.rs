//! Files: what each process read, wrote and opened, and how long it waited for each.

use std::collections::HashMap;
use std::io;

use bubble_common::kernel::cpu_state::{self, CpuState, generation_of};
use bubble_common::kernel::file::{FileKey, FileSum, OTHER, UNKNOWN};
use bubble_common::kernel::key::ProcessKey;
use bubble_common::segment::file::{File, FileIo, FileKind};
use bubble_common::segment::loss::{Loss, Reason};

use super::context::Context;
pub use super::file_hooks::HOOKS;
use super::load::{LoadError, Loaded};
use super::paths::{Paths, UNKNOWN_PATH};
use super::sums::Sums;
use crate::sink::{ContainerHandle, FileHandle, Sink};

/// The sums of files, and their paths.
pub struct Files {
    sums: Sums<FileKey, FileSum>,
    others: Sums<ProcessKey, FileSum>,
    /// Paths of files and names of sockets.
    pub paths: Paths,
    handles: HashMap<(ContainerHandle, u64), FileHandle>,
}

impl Files {
    /// Opens the maps.
    ///
    /// # Errors
    /// When the kernel side lacks one.
    pub fn open(loaded: &mut Loaded) -> Result<Self, LoadError> {
        Ok(Self {
            sums: Sums::open(loaded, "FILES")?,
            others: Sums::open(loaded, "FILE_OTHERS")?,
            paths: Paths::open(loaded)?,
            handles: HashMap::new(),
        })
    }

    /// Removes the sums of a generation that the kernel retains.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn clear(&mut self, generation: u64) -> io::Result<()> {
        self.sums.clear(generation)?;
        self.others.clear(generation)?;
        self.paths.clear(generation)
    }

    /// Passes the sums of a generation to the sink.
    ///
    /// # Errors
    /// When the maps cannot be read.
    pub fn drain<S: Sink>(
        &mut self,
        generation: u64,
        cores: &[CpuState],
        context: &mut Context<'_, '_, S>,
    ) -> io::Result<()> {
        self.paths.absorb();
        // Handles of the sink expire, so each drain asks for them again.
        self.handles.clear();
        let names = &mut Names {
            paths: &mut self.paths,
            handles: &mut self.handles,
        };
        for (core, direction) in cores.iter().flat_map(|core| [(core, 0), (core, 1)]) {
            let entries = cpu_state::entries(&core.files, cpu_state::side(generation, direction));
            for last in entries {
                if generation_of(last.stamp) != generation {
                    continue;
                }
                let mut io = FileIo {
                    opens: last.opens,
                    ..FileIo::default()
                };
                if direction == 0 {
                    (io.bytes_in, io.ops_in) = (last.bytes, last.ops);
                } else {
                    (io.bytes_out, io.ops_out) = (last.bytes, last.ops);
                }
                charge(context, names, &last.key, io, 0);
            }
        }
        for (key, sum) in self.sums.take(generation)? {
            charge(context, names, key, io_of(sum), sum.waited_ns);
        }
        for (process, sum) in self.others.take(generation)? {
            let key = FileKey {
                process: *process,
                file: OTHER,
            };
            charge(context, names, &key, io_of(sum), sum.waited_ns);
        }
        self.paths.forget(generation)
    }
}

struct Names<'a> {
    paths: &'a mut Paths,
    handles: &'a mut HashMap<(ContainerHandle, u64), FileHandle>,
}

fn charge<S: Sink>(
    context: &mut Context<'_, '_, S>,
    names: &mut Names<'_>,
    key: &FileKey,
    io: FileIo,
    waited_ns: u64,
) {
    let is_idle = io == FileIo::default();
    if is_idle && waited_ns == 0 {
        return;
    }
    let owner = if is_idle {
        context.idle_owner(&key.process)
    } else {
        context.owner(&key.process)
    };
    let Some(owner) = owner else {
        return;
    };
    let name = (owner.container, key.file);
    let handle = match names.handles.get(&name) {
        Some(handle) => *handle,
        None => {
            let handle = match (key.file, names.paths.get(key.file)) {
                (OTHER, _) => context.sink.file(owner.container, &File::other()),
                (_, Some(file)) => context.sink.file(owner.container, file),
                (number, None) => {
                    if number != UNKNOWN {
                        let loss = Loss {
                            count: 1,
                            bytes: io.bytes_in.saturating_add(io.bytes_out),
                        };
                        context.sink.loss(
                            context.at,
                            Some(owner.container),
                            Reason::PATH_UNKNOWN,
                            loss,
                        );
                    }
                    let unknown = File {
                        path: UNKNOWN_PATH.to_owned(),
                        kind: FileKind::Unknown,
                    };
                    context.sink.file(owner.container, &unknown)
                }
            };
            names.handles.insert(name, handle);
            handle
        }
    };
    let at = context.at_of(key.process.cgroup);
    if !is_idle {
        context.sink.file_io(at, owner.process, handle, io);
    }
    if waited_ns != 0 {
        context.sink.file_wait(at, owner.process, handle, waited_ns);
    }
}

fn io_of(sum: &FileSum) -> FileIo {
    FileIo {
        bytes_in: sum.bytes_in,
        bytes_out: sum.bytes_out,
        ops_in: sum.ops_in,
        ops_out: sum.ops_out,
        opens: sum.opens,
        mapped_pages: sum.mapped_pages,
        // The sink rounds it, and gets it apart.
        waited: 0,
    }
}
