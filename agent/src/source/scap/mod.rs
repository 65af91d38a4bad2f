//! Captures of sysdig and Falco: `.scap` files of every version there was.
//!
//! A capture is a list of what was there when it began (threads, descriptors), and then
//! every system call and every switch of a core, one event each. This reader keeps the
//! state that the events change (`state/`), and charges what they did to processes in
//! the sink (`account`, `io`, `cpu`), as the live source does; so the segments of a
//! capture look like those of a live host.
//!
//! Events stay where they are in the input, and one that changes nothing of interest
//! costs the reading of its head. An event of an older form is not converted: `table`
//! tells for each form where its parameters are.

mod account;
mod address;
mod block;
mod bytes;
mod call;
mod container;
mod cpu;
mod event;
mod fork;
mod held;
mod io;
mod list;
mod open;
mod process;
mod socket;
mod state;
mod table;
mod told;

use super::recording::input::Input;
use super::recording::{Error, Position, Recording, Step};
use crate::sink::Sink;
use account::Account;
use block::{Block, EventForm, Kind, damaged};
use call::Call;
pub use container::Options;
use event::{Event, Unread, View};
use io::Places;
use list::{Descriptors, Machine, Threads};
use state::thread::Enter;
use table::Table;

/// What a capture begins with: the type of its first block.
pub const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
/// The section header's own magic number, by which the order of bytes is known.
const ORDER: u32 = 0x1a2b_3c4d;
/// The newest format that can be read.
const MAJOR: u16 = 1;

/// A capture that is being read.
#[derive(Debug)]
pub struct Capture {
    input: Input,
    reader: Reader,
    ended: bool,
}

/// Takes in blocks.
#[derive(Debug)]
struct Reader {
    table: &'static Table,
    account: Account,
    /// A section has begun: this is a capture.
    begun: bool,
    /// The room of a call that begins, lent by the thread whose call ends.
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
                enter: Enter::default(),
            },
            ended: false,
        }
    }

    /// Takes in all whole blocks that are here.
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
                    if let Err(error) = self.reader.block(&block, offset, sink) {
                        break Err(error);
                    }
                    rest = &rest[block.length..];
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

    /// The input has ended: whether that was between two blocks.
    fn end(&self) -> Result<Step, Error> {
        if !self.input.data().is_empty() {
            return Err(Error::Cut {
                at: self.input.offset(),
                within: "a block".to_owned(),
            });
        }
        if !self.reader.begun {
            return Err(Error::Format("it is empty".to_owned()));
        }
        Ok(Step::End)
    }
}

impl Recording for Capture {
    fn step<S: Sink>(&mut self, sink: &mut S) -> Result<Step, Error> {
        if self.ended {
            return Ok(Step::End);
        }
        let result = match self.input.more() {
            Ok(true) => self.take(sink).map(|()| Step::More),
            // Who found out what it is has left a piece here.
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

/// Whether what is there of the beginning is that of a capture.
fn begins_as_capture(data: &[u8]) -> bool {
    data.iter().zip(MAGIC).all(|(byte, magic)| *byte == magic)
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
        sink: &mut S,
    ) -> Result<(), Error> {
        match block.kind {
            Kind::Event(form) if self.begun => {
                self.event(block.body, form, sink);
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
        let wrong = |what: &str| damaged(offset, format!("the list of {what} cannot be read"));
        let account = &mut self.account;
        match block.kind {
            Kind::Machine => {
                account.state.machine = Machine::read(body).ok_or_else(|| wrong("the machine"))?;
                account.host();
            }
            Kind::Threads(version) => {
                let mut threads = Threads::new(body, version);
                while let Some(listed) = threads.next() {
                    account.listed(&listed.map_err(|()| wrong("threads"))?, sink);
                }
            }
            Kind::Descriptors { sized } => {
                let list = Descriptors::new(body, sized);
                let mut list = list.ok_or_else(|| wrong("descriptors"))?;
                while let Some(listed) = list.next() {
                    let listed = listed.map_err(|()| wrong("descriptors"))?;
                    account.listed_descriptor(list.tid, listed);
                }
            }
            Kind::Interfaces { sized } => {
                list::interfaces(body, sized, &mut account.state.interfaces)
                    .ok_or_else(|| wrong("interfaces"))?;
            }
            Kind::Section | Kind::Event(_) | Kind::Other => {}
        }
        Ok(())
    }

    #[inline]
    fn event<S: Sink>(&mut self, body: &[u8], form: EventForm, sink: &mut S) {
        let event = match Event::read(body, form, self.table) {
            Ok(event) => event,
            Err(Unread::Unknown | Unread::Corrupt) => {
                self.account.position.skipped += 1;
                return;
            }
        };
        // What was known before has no time in old captures, and is none of the events.
        if event.at != 0 {
            if self.account.is_far(event.at) {
                self.account.position.skipped += 1;
                return;
            }
            self.account.time(event.at, sink);
            self.account.position.event(event.at);
        }
        let Some(code) = self.table.code(event.code) else {
            return;
        };
        if code.keep {
            let thread = self.account.state.meet(event.tid, event.at);
            if let Some(thread) = thread.and_then(|at| self.account.state.threads.get_mut(at)) {
                thread.enter.keep(&event, code);
            }
            return;
        }
        let plan = code.plan(event.count);
        match code.call {
            Call::Ignore => {}
            Call::Switch => self.account.switch(&View::new(&event, plan, None), sink),
            call if call.is_of_thread() => {
                let account = &mut self.account;
                let Some(place) = account.state.meet(event.tid, event.at) else {
                    return;
                };
                // The room changes hands, so that the state can change while the call is looked at.
                if let Some(thread) = account.state.threads.get_mut(place)
                    && thread.enter.code != 0
                {
                    std::mem::swap(&mut thread.enter, &mut self.enter);
                    let view = View::new(&event, plan, Some(&self.enter));
                    account.call(call, place, &view, sink);
                    self.enter.clear();
                } else {
                    let view = View::new(&event, plan, None);
                    account.call(call, place, &view, sink);
                }
            }
            call => self
                .account
                .rare(call, &View::new(&event, plan, None), sink),
        }
    }
}

/// Looks whether a section is of a kind that can be read.
fn section(body: &[u8]) -> Result<(), Error> {
    let mut rest = bytes::Bytes(body);
    match (rest.u32(), rest.u16()) {
        (Some(ORDER), Some(0..=MAJOR)) => Ok(()),
        (Some(ORDER), Some(major)) => Err(Error::Format(format!(
            "it is of format {major}, and {MAJOR} is the newest that is known"
        ))),
        (Some(order), _) if order == ORDER.swap_bytes() => Err(Error::Format(
            "it was recorded on a big-endian machine".to_owned(),
        )),
        _ => Err(not_a_capture()),
    }
}

impl Account {
    /// A call that ended, of a thread that is known.
    #[inline]
    fn call<S: Sink>(&mut self, call: Call, place: u32, view: &View<'_>, sink: &mut S) {
        let Event { at, tid, .. } = *view.event;
        match call {
            Call::Io {
                fd,
                tuple,
                out,
                control,
            } => {
                let places = Places {
                    fd,
                    tuple,
                    out,
                    control,
                };
                self.io(place, at, view, places, sink);
            }
            Call::Transfer { from, to } => {
                self.transfer(place, at, view, [from, to], sink);
            }
            Call::Memory => self.told_memory(place, at, view, 1, sink),
            Call::Open {
                directory,
                name,
                flags,
            } => self.open(place, at, view, [directory, name, flags], sink),
            Call::Anonymous { name, what } => self.anonymous(place, view, name, what),
            Call::Close => self.close(place, view),
            Call::CloseRange => self.close_range(place, view),
            Call::Dup { old, flags } => self.dup(place, view, [old, flags]),
            Call::TakeDescriptor => self.take_descriptor(place, view),
            Call::Fcntl => self.fcntl(place, view),
            Call::Pipe { flags } => self.pipe(place, view, flags),
            Call::Socket => self.socket(place, view),
            Call::SocketPair => self.socket_pair(place, view),
            Call::Bind => self.bind(place, view),
            Call::Connect => self.connect(place, at, view, sink),
            Call::Accept => self.accept(place, at, view, sink),
            Call::Exec => self.exec(at, tid, view, sink),
            Call::Chdir => self.chdir(place, view),
            Call::Fchdir => self.fchdir(place, view),
            Call::User(index) => self.user(place, view, index),
            _ => {}
        }
    }

    /// What is not a call of the event's own thread.
    fn rare<S: Sink>(&mut self, call: Call, view: &View<'_>, sink: &mut S) {
        let Event { at, tid, .. } = *view.event;
        let told = match call {
            Call::ProcInfo => return self.sample(view, sink),
            Call::Clone { vfork } => return self.clone(at, tid, view, vfork, sink),
            Call::Exit => return self.exit(at, tid, view, sink),
            Call::Drop => return self.dropped(at, sink),
            Call::Container => view.get(0).and_then(told::json),
            Call::ContainerOld => told::params([0, 1, 2, 3].map(|index| view.get(index))),
            Call::Async => {
                let name = view.get(1).map(bytes::until_nul);
                let added = name == Some(b"container");
                view.get(2).filter(|_| added).and_then(told::json)
            }
            _ => None,
        };
        if let Some(told) = told {
            self.containers.tell(&told.id, told.facts, sink);
        }
    }
}

#[cfg(test)]
mod tests;
