//! The segment: what one container did, on one host, over one span of time, at
//! one resolution.
//!
//! It is the atom of the whole system. A live second, a packed minute of
//! seconds, an hour of minutes and the answer to a query are all this one type;
//! they differ in [`Resolution`], in the number of slots, and in how much is
//! folded. Everything that happens to data is one of three operations:
//! [`Segment::merge`] (pieces of one source), [`Segment::add`] (different
//! sources) and [`Segment::coarsen`] (a longer slot).
//!
//! A segment is kept *canonical*: its dictionaries are sorted by identity and
//! hold no duplicate, its cells are sorted by (row, slot) and unique. Two
//! segments with the same content are therefore equal, and encode to the same
//! bytes. Build one with [`builder::Builder`], which keeps that promise.

#[cfg(feature = "proptest")]
pub mod arbitrary;
pub mod builder;
pub mod cell;
pub mod codec;
pub mod event;
pub mod file;
pub mod fold;
pub mod loss;
pub mod merge;
pub mod network;
pub mod process;
#[cfg(feature = "testing")]
pub mod testing;
pub mod total;
mod unite;

use std::collections::BTreeMap;
use std::fmt;

use cell::Cell;
use event::Event;
use file::{File, FileIo};
use loss::Loss;
use network::{Connection, NetworkIo};
use process::{Cpu, Memory, Process};
use total::Total;

/// What one container did over one span of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Under what it is stored: container, resolution, start and source.
    pub key: Key,
    /// One bitmap a slot: which sub-slots of this source are in it. See [`Coverage`].
    pub coverage: Vec<Coverage>,
    /// What is known of the container itself: `name`, `image`, `host`, … (see [`facts`]).
    pub facts: Facts,
    /// Dictionary of processes; cells name one by its index here.
    pub processes: Vec<Process>,
    /// Dictionary of files.
    pub files: Vec<File>,
    /// Dictionary of connections.
    pub connections: Vec<Connection>,
    /// CPU time by (process, core).
    pub cpu: Vec<Cell<Cpu>>,
    /// Memory by (process, 0).
    pub memory: Vec<Cell<Memory>>,
    /// Bytes, operations and opens by (process, file).
    pub file_io: Vec<Cell<FileIo>>,
    /// Bytes, operations and connects by (process, connection).
    pub network_io: Vec<Cell<NetworkIo>>,
    /// The container's own figures from its cgroup, by ([`total::Metric`], 0).
    pub totals: Vec<Cell<Total>>,
    /// What happened at a point in time, in order of time.
    pub events: Vec<Event>,
    /// What was lost, by ([`loss::Reason`], 0): honesty.
    pub losses: Vec<Cell<Loss>>,
}

/// Under what a segment is stored. Storing the same key twice leaves one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The container.
    pub container: ContainerId,
    /// How long a slot is.
    pub resolution: Resolution,
    /// Start of the first slot: seconds since the Unix epoch, a multiple of the resolution.
    pub start: u64,
    /// Who measured it.
    pub source: SourceId,
}

/// The name of a container, unique over all hosts and for all time.
///
/// For runtimes that use 64 hexadecimal digits (Docker, Podman, containerd,
/// CRI-O) it is the first 12, as `docker ps`, sysdig and the tokens of the
/// Python system have it. For others it is `NAME@HOST` (`cron.service@node7`).
/// 1 to 255 bytes of printable ASCII without `/`, `?`, `#`, `%` or white space.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(Box<str>);

/// A container id that is empty, too long, or has a character that does not belong.
#[derive(Debug, thiserror::Error)]
#[error(
    "container id {0:?} is not 1 to 255 printable ASCII characters without / ? # % or white space"
)]
pub struct InvalidContainerId(pub String);

impl ContainerId {
    /// Longest id, in bytes.
    pub const MAX_LEN: usize = 255;

    /// Takes `text` as it is.
    ///
    /// # Errors
    /// When `text` is not a container id by the rule above.
    pub fn new(text: &str) -> Result<Self, InvalidContainerId> {
        let ok = (1..=Self::MAX_LEN).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_graphic() && !b"/?#%".contains(&b));
        if ok {
            Ok(Self(text.into()))
        } else {
            Err(InvalidContainerId(text.to_owned()))
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// One run of one agent on one host, or one recording: 128 random bits.
///
/// An agent that was killed and came back is another source, so it never
/// writes under a key that it used before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub [u8; 16]);

impl SourceId {
    /// The source of a sum over several sources; never stored.
    pub const SUM: Self = Self([0; 16]);
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How long a slot is, and how many slots the segments of a stored span have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Resolution {
    /// 1 s; packed by the minute.
    Second = 0,
    /// 60 s; packed by the hour.
    Minute = 1,
    /// 3,600 s; packed by the day.
    Hour = 2,
    /// 86,400 s (UTC days); packed by 32 days.
    Day = 3,
}

impl Resolution {
    /// From the finest to the coarsest.
    pub const ALL: [Self; 4] = [Self::Second, Self::Minute, Self::Hour, Self::Day];

    /// Length of a slot in seconds.
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// Slots of a packed segment: the span that is stored as one.
    pub const fn packed_slots(self) -> u64 {
        match self {
            Self::Second | Self::Minute => 60,
            Self::Hour => 24,
            Self::Day => 32,
        }
    }

    /// Length of a packed span in seconds.
    pub const fn packed_seconds(self) -> u64 {
        self.seconds() * self.packed_slots()
    }

    /// Start of the packed span that holds the second `at`.
    pub const fn packed_start(self, at: u64) -> u64 {
        at - at % self.packed_seconds()
    }

    /// Sub-slots of a slot: how many slots of the next finer resolution it holds (1 for a second).
    pub const fn sub_slots(self) -> u32 {
        match self {
            Self::Second => 1,
            Self::Minute | Self::Hour => 60,
            Self::Day => 24,
        }
    }

    /// The next coarser resolution.
    pub const fn coarser(self) -> Option<Self> {
        match self {
            Self::Second => Some(Self::Minute),
            Self::Minute => Some(Self::Hour),
            Self::Hour => Some(Self::Day),
            Self::Day => None,
        }
    }

    /// The resolution with this number on the wire.
    pub const fn from_u8(n: u8) -> Option<Self> {
        match n {
            0 => Some(Self::Second),
            1 => Some(Self::Minute),
            2 => Some(Self::Hour),
            3 => Some(Self::Day),
            _ => None,
        }
    }

    /// `second`, `minute`, `hour` or `day`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }
}

/// Which sub-slots of one source a slot holds: bit *i* is set when the *i*-th
/// slot of the next finer resolution was merged in (for a second: bit 0).
///
/// This is what makes merging idempotent: a sub-slot of a source is counted
/// once, however often it arrives. 0 is a gap: nothing is known, which is not
/// the same as nothing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Coverage(pub u64);

impl Coverage {
    /// A gap.
    pub const NONE: Self = Self(0);
    /// A whole second.
    pub const SECOND: Self = Self(1);

    /// Nothing is known of this slot.
    pub const fn is_gap(self) -> bool {
        self.0 == 0
    }

    /// How many sub-slots are in it.
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }
}

/// What is known of the container itself, by name. See [`facts`] for the names in use.
pub type Facts = BTreeMap<String, String>;

/// Names of the facts that the agent sends and the server knows.
pub mod facts {
    /// The container's name, as its runtime has it.
    pub const NAME: &str = "name";
    /// The image it was made from.
    pub const IMAGE: &str = "image";
    /// Host name of the machine it ran on.
    pub const HOST: &str = "host";
    /// `docker`, `podman`, `containerd`, `cri-o`, `slurm`, `systemd`, `lxc`, `cgroup`.
    pub const RUNTIME: &str = "runtime";
    /// The id in full, where the container id is a part of it.
    pub const FULL_ID: &str = "full_id";
    /// Path of its cgroup.
    pub const CGROUP: &str = "cgroup";
    /// When it was started: nanoseconds since the Unix epoch, in decimal.
    pub const STARTED: &str = "started";
    /// When it ended, likewise; absent while it runs.
    pub const ENDED: &str = "ended";
    /// Exit code of its first process, in decimal.
    pub const EXIT_CODE: &str = "exit_code";
    /// `true` when the kernel killed it for want of memory.
    pub const OOM_KILLED: &str = "oom_killed";
    /// Family of hooks that counted it: `vfs`, `syscall`, `procfs`, `capture`, or `sysdig` for its chisel.
    pub const HOOKS: &str = "hooks";
    /// Cores of the host.
    pub const CORES: &str = "cores";
    /// Memory of the host in bytes.
    pub const HOST_MEMORY: &str = "host_memory";
    /// Prefix of a label: `label.com.example.team`.
    pub const LABEL: &str = "label.";
}

impl Segment {
    /// A segment of `slots` slots in which nothing is known yet.
    pub fn empty(key: Key, slots: usize) -> Self {
        Self {
            key,
            coverage: vec![Coverage::NONE; slots],
            facts: Facts::new(),
            processes: Vec::new(),
            files: Vec::new(),
            connections: Vec::new(),
            cpu: Vec::new(),
            memory: Vec::new(),
            file_io: Vec::new(),
            network_io: Vec::new(),
            totals: Vec::new(),
            events: Vec::new(),
            losses: Vec::new(),
        }
    }

    /// Number of slots.
    pub fn slots(&self) -> u32 {
        self.coverage.len() as u32
    }

    /// End of the last slot, exclusive: seconds since the Unix epoch.
    pub fn end(&self) -> u64 {
        self.key.start + self.coverage.len() as u64 * self.key.resolution.seconds()
    }

    /// The slot that holds the moment `at`, in nanoseconds since the Unix epoch.
    pub fn slot_of(&self, at: u64) -> Option<u32> {
        let second = (at / 1_000_000_000).checked_sub(self.key.start)?;
        let slot = second / self.key.resolution.seconds();
        (slot < self.coverage.len() as u64).then_some(slot as u32)
    }
}
