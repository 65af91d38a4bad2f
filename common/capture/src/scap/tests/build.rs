//! Captures made for a test, byte by byte.

use std::io::Cursor;

use bubble_common::segment::SourceId;

use super::super::event_type::EventType;
use super::super::{Capture, Options};
use crate::recording::input::Input;
use crate::recording::{Error, Position, Recording as _, Step};
use crate::tables::Tables;
use crate::window::Window;

/// When captures begin.
pub(super) const BEGIN: u64 = 1_790_000_000_000_000_000;
pub(super) const SECOND: u64 = 1_000_000_000;
/// Cgroups of a thread in a container.
pub(super) const CGROUPS: &[u8] =
    b"cpu=/docker/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\0";

/// A capture, and the time of the next event.
pub(super) struct Build {
    pub(super) bytes: Vec<u8>,
    pub(super) at: u64,
    pub(super) cpu: u16,
    /// Events are of the form before 2018.
    pub(super) old: bool,
}

/// A number of eight bytes.
pub(super) fn n(number: i64) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

/// A number of four bytes.
pub(super) fn u(number: u32) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

/// Text with the NUL after it.
pub(super) fn t(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

/// An empty parameter.
pub(super) fn none() -> Vec<u8> {
    Vec::new()
}

/// The two ends of an IPv4 socket.
pub(super) fn tuple(from: ([u8; 4], u16), to: ([u8; 4], u16)) -> Vec<u8> {
    let end = |(ip, port): ([u8; 4], u16)| [&ip[..], &port.to_le_bytes()].concat();
    [vec![2], end(from), end(to)].concat()
}

impl Build {
    pub(super) fn new() -> Self {
        let mut build = Self {
            bytes: Vec::new(),
            at: BEGIN,
            cpu: 0,
            old: false,
        };
        build.section();
        build
    }

    pub(super) fn section(&mut self) {
        let body = [
            &0x1a2b_3c4d_u32.to_le_bytes()[..],
            &[1, 0, 2, 0],
            &[0xff; 8],
        ];
        self.block(0x0a0d_0d0a, &body.concat());
    }

    pub(super) fn block(&mut self, kind: u32, body: &[u8]) {
        let padded = body.len().next_multiple_of(4);
        let length = (padded as u32 + 12).to_le_bytes();
        self.bytes.extend(kind.to_le_bytes());
        self.bytes.extend(length);
        self.bytes.extend(body);
        self.bytes.resize(self.bytes.len() + padded - body.len(), 0);
        self.bytes.extend(length);
    }

    /// An event, 1 ms after the one before.
    pub(super) fn event(
        &mut self,
        tid: i64,
        event_type: EventType,
        params: &[Vec<u8>],
    ) -> &mut Self {
        self.numbered_event(tid, event_type.number(), params)
    }

    /// The same, of a type that need not exist.
    pub(super) fn numbered_event(&mut self, tid: i64, code: u16, params: &[Vec<u8>]) -> &mut Self {
        self.at += 1_000_000;
        let event_type = EventType::ALL.get(usize::from(code));
        let wide = event_type.is_some_and(|event_type| event_type.has_wide_lengths());
        let mut content = Vec::new();
        for param in params {
            match wide {
                true => content.extend((param.len() as u32).to_le_bytes()),
                false => content.extend((param.len() as u16).to_le_bytes()),
            }
        }
        content.extend(params.concat());
        let header = if self.old { 22 } else { 26 };
        let mut body = self.cpu.to_le_bytes().to_vec();
        body.extend(self.at.to_le_bytes());
        body.extend(tid.to_le_bytes());
        body.extend((header + content.len() as u32).to_le_bytes());
        body.extend(code.to_le_bytes());
        if !self.old {
            body.extend((params.len() as u32).to_le_bytes());
        }
        body.extend(content);
        self.block(if self.old { 0x204 } else { 0x216 }, &body);
        self
    }

    /// The child's own event of a fork, in a container.
    pub(super) fn child(&mut self, tid: i64, parent: i64, vpid: i64) -> &mut Self {
        let mut params = fork(0, tid, parent);
        params[18] = n(vpid);
        params[19] = n(vpid);
        self.event(tid, EventType::SYSCALL_CLONE_20_X, &params)
    }

    /// A process called `work` in a container, made by an event.
    pub(super) fn worker(&mut self, tid: i64) -> &mut Self {
        self.child(tid, 1, 1)
    }

    /// The thread reads this much from a descriptor.
    pub(super) fn read(&mut self, tid: i64, fd: i64, bytes: i64) -> &mut Self {
        self.event(
            tid,
            EventType::SYSCALL_READ_X,
            &[n(bytes), none(), n(fd), u(4_096)],
        )
    }

    pub(super) fn open(&mut self, tid: i64, fd: i64, path: &str, flags: u32) -> &mut Self {
        let params = [n(fd), t(path), u(flags), u(0), u(0), n(0)];
        self.event(tid, EventType::SYSCALL_OPEN_X, &params)
    }

    /// A core goes from one thread on to another.
    pub(super) fn switch(&mut self, from: i64, to: i64) -> &mut Self {
        let params = [n(to), n(0), n(0), u(1_000), u(500), u(0)];
        self.event(from, EventType::SCHEDSWITCH_6_E, &params)
    }

    pub(super) fn run(&self) -> Ran {
        self.run_with(Options::default())
    }

    pub(super) fn run_with(&self, options: Options) -> Ran {
        let input = Input::new(Cursor::new(self.bytes.clone()), None).unwrap();
        let mut capture = Capture::new(input, options);
        let mut tables = Tables::new(Window::new(SourceId([1; 16]), 0));
        let end = loop {
            match capture.step(&mut tables) {
                Ok(Step::More) => {}
                Ok(Step::End) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        tables.inner.close_all();
        Ran {
            tables,
            end,
            position: capture.position(),
        }
    }
}

/// Parameters of a fork as `result` says: 0 in the child.
pub(super) fn fork(result: i64, tid: i64, parent: i64) -> Vec<Vec<u8>> {
    vec![
        n(result),
        t("/bin/work"),
        t("--hard"),
        n(tid),
        n(tid),
        n(parent),
        none(),
        n(0),
        n(0),
        n(0),
        u(2_000),
        u(1_000),
        u(0),
        t("work"),
        CGROUPS.to_vec(),
        u(0),
        u(1_000),
        u(1_001),
        n(tid),
        n(tid),
        n(0),
    ]
}

/// The results of a capture.
pub(super) struct Ran {
    pub(super) tables: Tables<Window>,
    pub(super) end: Result<(), Error>,
    pub(super) position: Position,
}

impl Ran {
    /// The rows of `io.tsv` without the container, sorted.
    pub(super) fn io(&self) -> Vec<String> {
        short(&self.tables.io())
    }

    pub(super) fn cpu(&self) -> Vec<String> {
        short(&self.tables.cpu())
    }

    pub(super) fn processes(&self) -> Vec<String> {
        short(&self.tables.processes())
    }
}

fn short(table: &str) -> Vec<String> {
    let rows = table.lines().skip(1);
    rows.map(|row| row.split_once('\t').unwrap().1.replace('\t', " "))
        .collect()
}
