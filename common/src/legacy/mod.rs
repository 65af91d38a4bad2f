//! The legacy wire: posts of the chisel `sysdigdocker`, read as segments.
//!
//! A body holds one kind of measurement (CPU, or bytes by descriptor) of all containers of a
//! host in one second: `{ts, data, evt_type, jinfo}`. It names neither the host nor the run of
//! sysdig, and may be posted twice. The server derives a source; docs/legacy.md describes the
//! consequences.

mod descriptor;
mod row;

use std::collections::BTreeMap;

use crate::segment::builder::Builder;
use crate::segment::file::FileIo;
use crate::segment::fold::Caps;
use crate::segment::network::NetworkIo;
use crate::segment::process::{Cpu, Memory, Process};
use crate::segment::{ContainerId, Coverage, Key, Resolution, Segment, SourceId, facts};
use serde::Deserialize;
use serde_json::value::RawValue;

use self::descriptor::Target;
use self::row::{CpuRow, FdRow, Number, RowError};

/// Name of the family of hooks on the page.
const HOOKS: &str = "sysdig";

/// Containers in one body at most: each takes more memory than its row.
const MAX_CONTAINERS: usize = 10_000;
/// Nanoseconds in a second.
const NS: u64 = 1_000_000_000;

/// Kind of measurement in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// CPU time by process and core.
    Cpu,
    /// Bytes by process and descriptor.
    Fd,
}

/// A decoded body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its kind.
    pub kind: Kind,
    /// Its second, since the Unix epoch.
    pub start: u64,
    /// One second of each container, in order. Their source is [`SourceId::SUM`], which is never
    /// stored: the caller must set it.
    pub segments: Vec<Segment>,
    /// Number of rows that were refused, and the reason of the first.
    pub refused: Option<(u64, RowError)>,
}

/// Why a body is not a legacy post.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// It is not JSON, or a part is missing.
    #[error("the body is not {{ts, data, evt_type}} as the chisel posts it: {0}")]
    Json(String),
    /// Its time is invalid.
    #[error("ts is not a number of nanoseconds since the Unix epoch")]
    Time,
}

/// The body on the wire. Rows are decoded one by one, so an invalid row is refused alone. Other
/// members are ignored (`jinfo` names the columns, which never changed).
#[derive(Deserialize)]
struct Body<'a> {
    ts: Number,
    evt_type: Kind,
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
}

/// Decodes a body.
///
/// # Errors
/// When it is not a legacy post. An invalid row is only counted.
pub fn read(body: &[u8]) -> Result<Event, EventError> {
    // sysdig does not validate names as UTF-8, and neither does the original chisel.
    let text = String::from_utf8_lossy(body);
    let body: Body<'_> = serde_json::from_str(&text)?;
    let start = body.ts.whole().map_err(|_| EventError::Time)? / NS;
    if start >= u64::MAX / NS {
        // Its end would overflow in nanoseconds.
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

/// Builders for one second of several containers.
struct Seconds {
    start: u64,
    builders: BTreeMap<ContainerId, Builder>,
}

impl From<serde_json::Error> for EventError {
    fn from(error: serde_json::Error) -> Self {
        // The message may quote a long body.
        Self::Json(error.to_string().chars().take(200).collect())
    }
}

impl Seconds {
    fn builder(&mut self, container: ContainerId) -> Result<&mut Builder, RowError> {
        let start = self.start;
        if self.builders.len() >= MAX_CONTAINERS && !self.builders.contains_key(&container) {
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
        let vm_kib = row.vm_kib.whole();
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
        // Without a number, nothing was measured.
        if let Ok(kib) = vm_kib {
            let memory = Memory {
                vm: kib.saturating_mul(1_024),
                ..Memory::default()
            };
            builder.memory(process, 0, memory);
        }
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
        let caps = Caps::for_resolution(Resolution::Second);
        self.builders
            .into_values()
            .map(|builder| builder.build().fold(&caps))
            .collect()
    }
}

/// The command line as words separated by NUL. sysdig joins them by spaces, so two spaces are an
/// empty word, which stays: the arguments can be joined again as they were.
fn words(exe: &str, args: &str) -> String {
    match args {
        "" => exe.to_owned(),
        args => format!("{exe}\0{}", args.replace(' ', "\0")),
    }
}
