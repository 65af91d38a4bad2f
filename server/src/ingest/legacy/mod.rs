//! The legacy wire: what the chisel `sysdigdocker` posts, as segments.
//!
//! A body tells one kind of thing (CPU, or bytes by descriptor) about all
//! containers of a host in one second: `{ts, data, evt_type, jinfo}`. It says
//! neither which host nor which run of sysdig it is of, and the same body may be
//! told twice. [`lanes`] gives it a source all the same; docs/legacy.md says
//! what follows from that.

mod descriptor;
pub mod lanes;
mod row;

use std::collections::BTreeMap;

use bubble_common::segment::builder::Builder;
use bubble_common::segment::file::FileIo;
use bubble_common::segment::fold::Caps;
use bubble_common::segment::network::NetworkIo;
use bubble_common::segment::process::{Cpu, Memory, Process};
use bubble_common::segment::{ContainerId, Coverage, Key, Resolution, Segment, SourceId, facts};
use serde::Deserialize;
use serde_json::value::RawValue;

use descriptor::Target;
use row::{CpuRow, FdRow, Number, RowError};

/// Family of hooks, as the page names it.
const HOOKS: &str = "sysdig";

/// Containers that a body may be about: each costs more memory than its row.
const CONTAINERS: usize = 10_000;
/// Nanoseconds in a second.
const NS: u64 = 1_000_000_000;

/// What kind of thing a body tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// CPU time by process and core.
    Cpu,
    /// Bytes by process and descriptor.
    Fd,
}

/// A body, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What it tells.
    pub kind: Kind,
    /// Which second, since the Unix epoch.
    pub start: u64,
    /// A second of each container that is in it, in order. Their source is
    /// [`SourceId::SUM`], which is never stored: it has to be set.
    pub segments: Vec<Segment>,
    /// Rows that could not be used, and why the first of them could not.
    pub refused: Option<(u64, RowError)>,
}

/// A body that is not an event.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// It is not JSON, or lacks a part.
    #[error("the body is not {{ts, data, evt_type}} as the chisel posts it: {0}")]
    Json(String),
    /// The time is not one.
    #[error("ts is not a number of nanoseconds since the Unix epoch")]
    Time,
}

/// The body as it is on the wire. Its rows are looked at one by one, so that one
/// that is wrong costs itself alone; what else there is (`jinfo` names the
/// columns, which never changed) is left out.
#[derive(Deserialize)]
struct Body<'a> {
    ts: Number,
    evt_type: Kind,
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
}

/// Reads a body.
///
/// # Errors
/// When it is not one. A row that is wrong is counted, and the others are read.
pub fn read(body: &[u8]) -> Result<Event, EventError> {
    // sysdig hands on names as they are, and the original chisel posts them so.
    let text = String::from_utf8_lossy(body);
    let body: Body<'_> = serde_json::from_str(&text)?;
    let start = body.ts.whole().map_err(|_| EventError::Time)? / NS;
    if start >= u64::MAX / NS {
        // Its end has no number of nanoseconds.
        return Err(EventError::Time);
    }
    let mut seconds = Seconds {
        start,
        builders: BTreeMap::new(),
    };
    let mut refused = None;
    for row in body.data {
        let taken = match body.evt_type {
            Kind::Cpu => seconds.cpu(row.get()),
            Kind::Fd => seconds.fd(row.get()),
        };
        if let Err(error) = taken {
            refused.get_or_insert((0, error)).0 += 1;
        }
    }
    Ok(Event {
        kind: body.evt_type,
        start,
        segments: seconds.build(),
        refused,
    })
}

/// One second of several containers in the making.
struct Seconds {
    start: u64,
    builders: BTreeMap<ContainerId, Builder>,
}

impl From<serde_json::Error> for EventError {
    fn from(error: serde_json::Error) -> Self {
        // It may quote the body, which may be long.
        Self::Json(error.to_string().chars().take(200).collect())
    }
}

impl Seconds {
    fn builder(&mut self, container: ContainerId) -> Result<&mut Builder, RowError> {
        let start = self.start;
        if self.builders.len() >= CONTAINERS && !self.builders.contains_key(&container) {
            return Err(RowError::Containers);
        }
        Ok(self.builders.entry(container).or_insert_with_key(|id| {
            let key = Key {
                container: id.clone(),
                resolution: Resolution::Second,
                start,
                source: SourceId::SUM,
            };
            let mut builder = Builder::new(key, 1);
            builder.cover(0, Coverage::SECOND);
            builder.fact(facts::HOOKS, HOOKS);
            builder
        }))
    }

    fn cpu(&mut self, json: &str) -> Result<(), RowError> {
        let row: CpuRow<'_> = serde_json::from_str(json).map_err(|_| RowError::Shape)?;
        let id = row::process(&row.pid)?;
        let core = row.core.narrow()?;
        let vm = u64::from(row.vm_kib.or_zero()) * 1_024;
        let ns = row.ns.whole()?;
        let process = Process {
            container_pid: row.container_pid.or_zero(),
            parent: row.parent.or_zero(),
            exe: row.exe.clone().into_owned(),
            args: words(&row.exe, &row.args),
            ..Process::new(id, row.name)
        };
        let builder = self.builder(row::container(&row.container)?)?;
        let process = builder.process(process);
        builder.cpu(process, core, 0, Cpu { ns });
        let memory = Memory {
            vm,
            ..Memory::default()
        };
        builder.memory(process, 0, memory);
        Ok(())
    }

    fn fd(&mut self, json: &str) -> Result<(), RowError> {
        let row: FdRow<'_> = serde_json::from_str(json).map_err(|_| RowError::Shape)?;
        let id = row::process(&row.pid)?;
        let bytes = row.bytes.whole()?;
        let (bytes_in, bytes_out) = match &*row.direction {
            "in" => (bytes, 0),
            "out" => (0, bytes),
            _ => return Err(RowError::Direction),
        };
        let process = Process {
            container_pid: row.container_pid.or_zero(),
            ..Process::new(id, "")
        };
        let builder = self.builder(row::container(&row.container)?)?;
        let process = builder.process(process);
        match descriptor::target(&row.name) {
            Target::File(file) => {
                let file = builder.file(file);
                let io = FileIo {
                    bytes_in,
                    bytes_out,
                    ..FileIo::default()
                };
                builder.file_io(process, file, 0, io);
            }
            Target::Connection(connection) => {
                let connection = builder.connection(connection);
                let io = NetworkIo {
                    bytes_in,
                    bytes_out,
                    ..NetworkIo::default()
                };
                builder.network_io(process, connection, 0, io);
            }
        }
        Ok(())
    }

    fn build(self) -> Vec<Segment> {
        let caps = Caps::of(Resolution::Second);
        self.builders
            .into_values()
            .map(|builder| builder.build().fold(&caps))
            .collect()
    }
}

/// The command line, word by word, as far as sysdig tells: it puts spaces between them.
fn words(exe: &str, args: &str) -> String {
    let words = std::iter::once(exe).chain(args.split(' '));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join("\0")
}
