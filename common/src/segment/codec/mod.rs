//! A segment as bytes, and back. `docs/segment-format.md` has the format byte by byte.
//!
//! The head (key and coverage) stands in front and is never packed, so that a
//! server can tell where bytes belong for next to nothing. The body is columns:
//! dictionaries, then tables, each after its length.
//!
//! Bytes are hostile until they are decoded: what they count is checked against
//! the bytes that are there or charged to a [`budget`], indices must be within
//! their dictionaries, and everything must be in canonical order.

pub(crate) mod budget;
mod dictionary;
mod error;
pub(crate) mod frame;
mod numbers;
pub(crate) mod primitive;
mod table;
pub(crate) mod text;

pub use error::DecodeError;

use budget::Budget;
use frame::Format;
use primitive::{Reader, put_bytes, put_varint};
use table::{Bounds, put_table, table};

use super::{ContainerId, Coverage, Key, Resolution, Segment, SourceId};

/// How much work encoding may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Not packed: for what will be packed together with others.
    Raw,
    /// For what lives for a minute: a live second, a post.
    Fast,
    /// For what is kept.
    Small,
}

impl Effort {
    /// The level of zstd, if it is used.
    const fn level(self) -> Option<i32> {
        match self {
            Self::Raw => None,
            Self::Fast => Some(1),
            Self::Small => Some(9),
        }
    }
}

/// Most bytes of memory that decoding a segment or a batch of `input` bytes
/// takes, zstd's own working memory apart.
pub fn memory_limit(input: usize) -> usize {
    Budget::limit_for(input)
}

/// The frame of a segment.
pub(crate) const FORMAT: Format = Format {
    name: "segment",
    magic: [0xbc, b'S', b'E', b'G'],
    version: 1,
};

/// What stands in front of a segment's bytes: enough to know where it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Under what it is stored.
    pub key: Key,
    /// Which sub-slots it holds.
    pub coverage: Vec<Coverage>,
}

impl Segment {
    /// The segment as bytes. It must be canonical, as the builder makes it.
    pub fn encode(&self, effort: Effort) -> Vec<u8> {
        let mut body = Vec::new();
        self.put_body(&mut body);
        let mut out = FORMAT.start();
        self.put_head(&mut out);
        frame::put_body(&mut out, &body, effort);
        out
    }

    /// The segment in `bytes`, all of which must belong to it.
    ///
    /// # Errors
    /// When they are not what [`Self::encode`] writes, in this version or an
    /// older one, or would decode to more than a bounded multiple of their size.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode_within(bytes, &mut Budget::for_input(bytes.len()))
    }

    /// The head of the segment in `bytes`, without unpacking or checking the rest.
    ///
    /// # Errors
    /// When the bytes do not begin as a segment's do.
    pub fn decode_head(bytes: &[u8]) -> Result<Head, DecodeError> {
        let mut reader = Reader::new(bytes, "a segment's head");
        FORMAT.open(&mut reader)?;
        head(&mut reader, &mut Budget::for_input(bytes.len()))
    }

    pub(crate) fn decode_within(bytes: &[u8], budget: &mut Budget) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes, "a segment's head");
        FORMAT.open(&mut reader)?;
        let head = head(&mut reader, budget)?;
        frame::with_body(reader, budget, |body, budget| read_body(head, body, budget))
    }

    fn put_head(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.key.container.as_str().as_bytes());
        out.push(self.key.resolution as u8);
        put_varint(out, self.key.start / self.key.resolution.seconds());
        out.extend_from_slice(&self.key.source.0);
        put_varint(out, self.coverage.len() as u64);
        for run in self.coverage.chunk_by(|a, b| a == b) {
            put_varint(out, run.len() as u64);
            put_varint(out, run[0].0);
        }
    }

    fn put_body(&self, out: &mut Vec<u8>) {
        dictionary::put_facts(out, &self.facts);
        dictionary::put_processes(out, self);
        dictionary::put_files(out, &self.files);
        dictionary::put_connections(out, &self.connections);
        dictionary::put_events(out, self);
        put_table(out, &self.totals);
        put_table(out, &self.losses);
        put_table(out, &self.cpu);
        put_table(out, &self.memory);
        put_table(out, &self.file_io);
        put_table(out, &self.network_io);
    }
}

/// Latest end of a segment, in seconds since the Unix epoch: so that
/// nanoseconds of any slot fit into 64 bits (the year 2554).
const LATEST: u64 = u64::MAX / 1_000_000_000;

fn head(reader: &mut Reader<'_>, budget: &mut Budget) -> Result<Head, DecodeError> {
    let container = std::str::from_utf8(reader.bytes()?)
        .ok()
        .and_then(|text| ContainerId::new(text).ok())
        .ok_or(DecodeError::Corrupt("the container id is not one"))?;
    let resolution = Resolution::from_u8(reader.byte()?)
        .ok_or(DecodeError::Corrupt("the resolution is unknown"))?;
    let start = reader.varint()?.saturating_mul(resolution.seconds());
    let source = SourceId(reader.array()?);
    let slots = reader.varint()?;
    if slots > Segment::MAX_SLOTS {
        return Err(DecodeError::Corrupt("there are too many slots"));
    }
    if start.saturating_add(slots * resolution.seconds()) > LATEST {
        return Err(DecodeError::Corrupt("the span is too far in the future"));
    }
    let mut coverage = budget.vec(slots as usize)?;
    while coverage.len() < slots as usize {
        let (length, bits) = (reader.varint()?, reader.varint()?);
        if length == 0 || length > slots - coverage.len() as u64 {
            return Err(DecodeError::Corrupt(
                "the coverage has more slots than there are",
            ));
        }
        if bits.checked_shr(resolution.sub_slots()).unwrap_or(0) != 0 {
            return Err(DecodeError::Corrupt(
                "the coverage has more sub-slots than there are",
            ));
        }
        coverage.resize(coverage.len() + length as usize, Coverage(bits));
    }
    Ok(Head {
        key: Key {
            container,
            resolution,
            start,
            source,
        },
        coverage,
    })
}

fn read_body(head: Head, body: &[u8], budget: &mut Budget) -> Result<Segment, DecodeError> {
    let mut reader = Reader::new(body, "a segment's body");
    let reader = &mut reader;
    let mut segment = Segment::empty(head.key, 0);
    segment.coverage = head.coverage;
    segment.facts = dictionary::facts(reader, budget)?;
    segment.processes = dictionary::processes(reader, segment.key.start, budget)?;
    segment.files = dictionary::files(reader, budget)?;
    segment.connections = dictionary::connections(reader, budget)?;
    dictionary::events(reader, &mut segment, budget)?;
    let bounds = |first, second| Bounds {
        slots: segment.coverage.len() as u32,
        first,
        second,
    };
    let processes = Some(segment.processes.len());
    segment.totals = table(reader, bounds(None, Some(1)), budget)?;
    segment.losses = table(reader, bounds(None, Some(1)), budget)?;
    segment.cpu = table(reader, bounds(processes, None), budget)?;
    segment.memory = table(reader, bounds(processes, Some(1)), budget)?;
    let files = Some(segment.files.len());
    segment.file_io = table(reader, bounds(processes, files), budget)?;
    let connections = Some(segment.connections.len());
    segment.network_io = table(reader, bounds(processes, connections), budget)?;
    reader.finish()?;
    Ok(segment)
}
