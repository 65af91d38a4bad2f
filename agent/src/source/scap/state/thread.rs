//! Threads and processes as they are known at a moment of the capture.

use std::sync::Arc;

use bubble_common::segment::process::{Exit, Memory};

use super::super::event::Event;
use super::super::held::Held;
use super::super::table::Code;
use super::descriptor::Descriptors;
use crate::sink::{ContainerHandle, ProcessHandle};

/// Parameters of a call that begins that are kept; no call of interest has more.
const KEPT: usize = 6;
/// Longest parameters of such a call that are kept: a path as long as writers keep them.
const LONGEST: usize = 1_280;
/// Room that a thread keeps for them.
const ROOM: usize = 256;

/// A thread.
#[derive(Debug)]
pub(in super::super) struct Thread {
    pub(in super::super) tid: i64,
    /// Its process.
    pub(in super::super) process: u32,
    pub(in super::super) comm: Box<str>,
    /// When it was made, by an event; 0 when it was there before.
    pub(in super::super) born: u64,
    /// It was made known by its own event and not by its parent's.
    pub(in super::super) by_itself: bool,
    pub(in super::super) ended: bool,
    /// Whose what it does is; nothing when that is to be found out (again).
    pub(in super::super) owner: Option<Owner>,
    /// The call that it is in.
    pub(in super::super) enter: Enter,
    /// The second in which its memory was last told, and how much (virtual, resident) in it.
    pub(in super::super) told: (u64, u32, u32),
    /// When the ticks that it used were last sampled, and how many.
    pub(in super::super) sample: Option<(u64, u64)>,
}

/// Whose something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Owner {
    /// Of none that is counted.
    Nobody,
    /// Of a process in a container: its place, and the handles.
    Process {
        place: u32,
        container: ContainerHandle,
        process: ProcessHandle,
    },
}

/// A process.
#[derive(Debug, Default)]
pub(in super::super) struct Process {
    pub(in super::super) pid: i64,
    pub(in super::super) parent: i64,
    /// Its number in the innermost pid namespace; -1 when not known.
    pub(in super::super) vpid: i64,
    pub(in super::super) uid: u32,
    /// Path of the program.
    pub(in super::super) exe: Arc<str>,
    /// The command line, NUL between words.
    pub(in super::super) args: Arc<str>,
    /// Working directory; empty when not known.
    pub(in super::super) cwd: Arc<str>,
    /// When it was made; the beginning of the capture when it was there before: ns.
    pub(in super::super) start: u64,
    /// Rows that it has had.
    pub(in super::super) rows_before: u32,
    /// Place of its container; nothing when it is in none, or that is not known.
    pub(in super::super) container: Option<u32>,
    /// The place of the container that counts it among its processes.
    pub(in super::super) lives_in: Option<u32>,
    /// Whether anything said which container it is in.
    pub(in super::super) placed: bool,
    pub(in super::super) descriptors: Descriptors,
    /// Forks that the children are yet to tell of: they have the descriptors of that moment,
    /// and the parent may close them before that.
    pub(in super::super) forks: Vec<Fork>,
    /// Threads that live.
    pub(in super::super) threads: u32,
    /// Rows in the sink since it began to run its program: by thread name and container.
    pub(in super::super) rows: Vec<Row>,
    /// What it did before it was told where it is.
    pub(in super::super) held: Vec<Held>,
    /// How it ends, by what the first of its threads said.
    pub(in super::super) exit: Option<Exit>,
    /// Its memory when the capture began.
    pub(in super::super) memory: Option<Memory>,
}

/// A fork that was told by the parent.
#[derive(Debug)]
pub(in super::super) struct Fork {
    pub(in super::super) at: u64,
    /// The child's number in the parent's pid namespace.
    pub(in super::super) child: i64,
    pub(in super::super) descriptors: Descriptors,
}

/// A row of the sink.
#[derive(Debug)]
pub(in super::super) struct Row {
    pub(in super::super) name: Box<str>,
    pub(in super::super) owner: Owner,
    /// Its number among those of its process.
    pub(in super::super) number: u32,
}

/// Parameters of a call that has begun, until it ends.
#[derive(Debug, Default)]
pub(in super::super) struct Enter {
    /// The type of the event, in its newest form; 0 for none, as no such call is kept.
    pub(in super::super) code: u16,
    ends: [u16; KEPT],
    data: Vec<u8>,
}

impl Thread {
    pub(in super::super) fn new(tid: i64, process: u32, comm: Box<str>) -> Self {
        Self {
            tid,
            process,
            comm,
            born: 0,
            by_itself: false,
            ended: false,
            owner: None,
            enter: Enter::default(),
            told: (0, 0, 0),
            sample: None,
        }
    }
}

impl Enter {
    /// Keeps the parameters of an event.
    pub(in super::super) fn keep(&mut self, event: &Event<'_>, code: &Code) {
        let plan = code.plan(event.count);
        self.code = plan.map_or(event.code, |plan| plan.code);
        self.data.clear();
        let view = super::super::event::View::new(event, plan, None);
        for (index, end) in (0u8..).zip(&mut self.ends) {
            let param = view.get(index).unwrap_or_default();
            if self.data.len() + param.len() <= LONGEST {
                self.data.extend_from_slice(param);
            }
            *end = self.data.len() as u16;
        }
    }

    pub(in super::super) fn get(&self, index: u8) -> Option<&[u8]> {
        let index = usize::from(index);
        let end = usize::from(*self.ends.get(index)?);
        let begin = match index {
            0 => 0,
            _ => usize::from(self.ends[index - 1]),
        };
        self.data.get(begin..end).filter(|param| !param.is_empty())
    }

    /// The call has ended.
    pub(in super::super) fn clear(&mut self) {
        self.code = 0;
        self.data.clear();
        self.data.shrink_to(ROOM);
    }
}
