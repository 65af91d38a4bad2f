//! Captures of sysdig and Falco: `.scap` files of every version there was.
//!
//! A capture begins with a list of the threads and descriptors of the machine; then comes every
//! system call and every switch of a core, one event each. Its segments look like those of a
//! live host.
//!
//! | layer | files |
//! |---|---|
//! | blocks and events | `block`, `event`, `damage`; `table` and `view` read older forms as the newest |
//! | state of the machine, as the kernel has it | `state`: `thread`, `descriptor`; `list` (of `entry`) begins it |
//! | rows of the sink, and their containers | `rows`, `containers`; `pending` waits for one |
//! | handlers of events | `io`, `file`, `socket`; `process`, `fork`; `cpu`, `memory` |
//! | all together | `account` |
//!
//! Events stay where they are in the input. One that changes nothing costs the reading of its
//! head.

mod account;
mod address;
mod block;
mod bytes;
mod call;
mod containers;
mod cpu;
mod damage;
mod descriptor;
mod entry;
mod event;
mod event_type;
mod facts;
mod file;
mod fork;
mod ids;
mod io;
mod list;
mod memory;
mod param;
mod path;
mod pending;
mod process;
mod rows;
mod socket;
mod state;
mod table;
mod thread;
mod view;

use account::Account;
use block::{BYTE_ORDER, Block, EventForm, Kind};
use call::Call;
pub use containers::Options;
use damage::Damage;
use event::{Event, Unreadable};
use list::{Descriptors, Machine, Threads};
use table::Table;
use view::{Enter, View};

use super::recording::input::Input;
use super::recording::{Error, Position, Recording, SLACK, Step};
use crate::sink::Sink;

/// The beginning of a capture: the type of its first block.
pub const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
/// Most blocks that are looked at to find the next event.
const MAX_PEEKED: usize = 16;
/// The newest version of the format that can be read.
const MAX_MAJOR: u16 = 1;

/// A capture that is being read.
#[derive(Debug)]
pub struct Capture {
    input: Input,
    reader: Reader,
    ended: bool,
}

/// Reads blocks.
#[derive(Debug)]
struct Reader {
    table: &'static Table,
    account: Account,
    /// A section has begun: this is a capture, maybe of a network.
    begun: bool,
    /// It has a list of threads or the like, which a network capture lacks.
    has_lists: bool,
    /// It has an interface of a network capture.
    has_link: bool,
    /// The first damage that did not end reading.
    damage: Option<Damage>,
    /// The beginning of the call that ends, borrowed from its thread.
    enter: Enter,
}

impl Capture {
    /// A capture in `input`.
    pub fn new(input: Input, options: Options) -> Self {
        Self {
            input,
            reader: Reader {
                table: Table::get(),
                account: Account::new(options),
                begun: false,
                has_lists: false,
                has_link: false,
                damage: None,
                enter: Enter::default(),
            },
            ended: false,
        }
    }

    /// Reads all whole blocks at hand.
    fn take<S: Sink>(&mut self, sink: &mut S) -> Result<(), Error> {
        let mut offset = self.input.offset();
        let mut rest = self.input.data();
        let mut taken = 0;
        if !self.reader.begun && !begins_as_capture(rest) {
            return Err(not_a_capture());
        }
        let result = loop {
            match block::next(rest, offset) {
                Ok(Some(block)) => {
                    rest = &rest[block.length..];
                    if let Err(error) = self.reader.block(&block, offset, rest, sink) {
                        break Err(error);
                    }
                    offset += block.length as u64;
                    taken += block.length;
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.input.consume(taken);
        result
    }

    /// Checks that the input has ended between two blocks.
    fn end(&self) -> Result<Step, Error> {
        if !self.input.data().is_empty() {
            return Err(Error::Truncated {
                at: self.input.offset(),
                within: "a block".to_owned(),
            });
        }
        if !self.reader.begun {
            return Err(Error::Format("it is empty".to_owned()));
        }
        if self.reader.has_link && !self.reader.has_calls() {
            return Err(network_capture());
        }
        match &self.reader.damage {
            None => Ok(Step::End),
            Some(damage) => Err(damage.error()),
        }
    }
}

impl Recording for Capture {
    fn step<S: Sink>(&mut self, sink: &mut S) -> Result<Step, Error> {
        if self.ended {
            return Ok(Step::End);
        }
        let result = match self.input.more() {
            Ok(true) => self.take(sink).map(|()| Step::More),
            // Guessing the format may have left a piece.
            Ok(false) => self.take(sink).and_then(|()| self.end()),
            Err(error) => self.take(sink).and(Err(error)),
        };
        if !matches!(result, Ok(Step::More)) {
            self.ended = true;
            self.reader.account.finish(sink);
        }
        result
    }

    fn position(&self) -> Position {
        let (bytes, total) = self.input.progress();
        Position {
            bytes,
            total,
            ..self.reader.account.position
        }
    }
}

/// Whether the bytes at hand can be the beginning of a capture.
fn begins_as_capture(data: &[u8]) -> bool {
    data.iter().zip(MAGIC).all(|(byte, magic)| *byte == magic)
}

fn network_capture() -> Error {
    Error::Format("it is a network capture; `sysdig -w` records system calls".to_owned())
}

fn not_a_capture() -> Error {
    Error::Format("it does not begin as a capture does".to_owned())
}

impl Reader {
    #[inline]
    fn block<S: Sink>(
        &mut self,
        block: &Block<'_>,
        offset: u64,
        after: &[u8],
        sink: &mut S,
    ) -> Result<(), Error> {
        match block.kind {
            Kind::Event(form) if self.begun => {
                self.event(block.body, form, after, sink);
                Ok(())
            }
            _ => self.list(block, offset, sink),
        }
    }

    #[cold]
    fn list<S: Sink>(&mut self, block: &Block<'_>, offset: u64, sink: &mut S) -> Result<(), Error> {
        let body = block.body;
        if block.kind == Kind::Section {
            section(body)?;
            if self.begun {
                self.account.restart(sink);
            }
            self.begun = true;
            return Ok(());
        }
        if !self.begun {
            return Err(not_a_capture());
        }
        let account = &mut self.account;
        self.has_lists |= matches!(
            block.kind,
            Kind::Machine | Kind::Threads(_) | Kind::Descriptors { .. } | Kind::Interfaces { .. }
        );
        let mut damaged = 0;
        match block.kind {
            Kind::Machine => match Machine::read(body) {
                Some(machine) => {
                    account.state.machine = machine;
                    account.machine_changed();
                }
                None => damaged = 1,
            },
            Kind::Threads(version) => {
                let mut threads = Threads::new(body, version);
                while let Some(entry) = threads.next() {
                    damaged += u64::from(entry.is_damaged);
                    if let Some(listed) = entry.value {
                        process::listed(&mut account.state, &mut account.rows, &listed, sink);
                    }
                }
            }
            Kind::Descriptors { sized } => match Descriptors::new(body, sized) {
                Some(mut list) => {
                    while let Some(entry) = list.next() {
                        damaged += u64::from(entry.is_damaged);
                        if let Some(listed) = entry.value {
                            process::listed_descriptor(&mut account.state, list.tid, listed);
                        }
                    }
                }
                None => damaged = 1,
            },
            Kind::Interfaces { sized } => {
                let read = list::interfaces(body, sized, &mut account.state.interfaces);
                damaged += u64::from(read.is_none());
            }
            Kind::Packet if !self.has_calls() => return Err(network_capture()),
            Kind::Packet => self.account.position.skipped += 1,
            Kind::Link => self.has_link = true,
            Kind::Unknown(_) => {
                self.account.position.skipped += 1;
                damaged = 1;
            }
            Kind::Section | Kind::Event(_) | Kind::Other => {}
        }
        Damage::note(&mut self.damage, offset, block.kind, damaged);
        Ok(())
    }

    /// Whether it is a capture of system calls, as far as it was read.
    fn has_calls(&self) -> bool {
        self.has_lists || self.account.position.events > 0
    }

    #[inline]
    fn event<S: Sink>(&mut self, body: &[u8], form: EventForm, after: &[u8], sink: &mut S) {
        let account = &mut self.account;
        let event = match Event::read(body, form, self.table) {
            Ok(event) => event,
            Err(Unreadable::UnknownType | Unreadable::Corrupt) => {
                account.position.skipped += 1;
                return;
            }
        };
        let info = event.info;
        // Old captures begin with events without a time, for facts from before the beginning.
        if event.at != 0 && info.is_of_recorder {
            account.position.event(None);
        } else if event.at != 0 {
            let is_damaged = account.is_too_late(event.at)
                || (account.is_jump(event.at) && falls_back(event.at, after, self.table));
            if is_damaged {
                account.skip_damaged();
                return;
            }
            let in_order = (!account.is_behind(event.at)).then_some(event.at);
            account.advance(event.at, sink);
            account.position.event(in_order);
        }
        if info.is_kept {
            let thread = account.state.get_or_insert(event.tid, event.at);
            if let Some(thread) = thread.and_then(|key| account.state.threads.get_mut(key)) {
                thread.enter.keep(&event);
            }
            return;
        }
        let conversion = info.conversion(event.count);
        match info.call {
            Call::Ignore => {}
            call if call.is_of_thread() => {
                let Some(key) = account.state.get_or_insert(event.tid, event.at) else {
                    return;
                };
                // The buffer changes hands, so that the state can change during the call.
                if let Some(thread) = account.state.threads.get_mut(key)
                    && !thread.enter.is_empty()
                {
                    std::mem::swap(&mut thread.enter, &mut self.enter);
                    let view = View::new(&event, conversion, Some(&self.enter));
                    account.call(call, key, &view, sink);
                    self.enter.clear();
                } else {
                    let view = View::new(&event, conversion, None);
                    account.call(call, key, &view, sink);
                }
            }
            call => account.event(call, &View::new(&event, conversion, None), sink),
        }
    }
}

/// Whether the time falls back after an event at `at`, as far as the blocks at hand show.
#[cold]
fn falls_back(at: u64, mut rest: &[u8], table: &'static Table) -> bool {
    for _ in 0..MAX_PEEKED {
        let Ok(Some(block)) = block::next(rest, 0) else {
            return false;
        };
        rest = &rest[block.length..];
        if let Kind::Event(form) = block.kind
            && let Ok(next) = Event::read(block.body, form, table)
            && next.at != 0
            && !next.info.is_of_recorder
        {
            return next.at.saturating_add(SLACK) < at;
        }
    }
    false
}

/// Checks that a section can be read.
fn section(body: &[u8]) -> Result<(), Error> {
    let mut rest = bytes::Bytes(body);
    match (rest.u32(), rest.u16()) {
        (Some(BYTE_ORDER), Some(0..=MAX_MAJOR)) => Ok(()),
        (Some(BYTE_ORDER), Some(major)) => Err(Error::Format(format!(
            "it has version {major}; the newest that can be read is {MAX_MAJOR}"
        ))),
        _ => Err(not_a_capture()),
    }
}

#[cfg(test)]
mod tests;
