//! Encodes and decodes segments. `docs/segment-format.md` describes the format byte by byte.
//!
//! The head (key and coverage) comes first and is never compressed, so a server
//! learns cheaply where the bytes belong. The body is columns: dictionaries, then
//! tables, each after its length.
//!
//! The input is untrusted. The decoder checks every count against the remaining
//! bytes or charges it to a [`budget`], checks that indices are within their
//! dictionaries, and that everything is in canonical order.

pub(crate) mod budget;
mod columns;
mod dictionary;
mod effort;
mod error;
pub(crate) mod frame;
mod numbers;
pub(crate) mod primitive;
mod table;
pub(crate) mod text;
mod values;

use budget::Budget;
use columns::FIXED_COLUMNS;
pub use effort::Effort;
pub use error::DecodeError;
use frame::Format;
use primitive::{Reader, put_bytes, put_varint};
use table::{Form, put_table, read_table};

use super::{ContainerId, Coverage, Key, Resolution, Segment, SourceId};

/// Maximum memory for decoding a segment or a batch of `input` bytes, in bytes,
/// apart from zstd's own working memory.
pub fn memory_limit(input: usize) -> usize {
    Budget::limit_for(input)
}

/// The frame of a segment.
pub(crate) const FORMAT: Format = Format {
    name: "segment",
    magic: [0xbc, b'S', b'E', b'G'],
    version: 2,
};

/// The head of an encoded segment: enough to know where it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its key.
    pub key: Key,
    /// Its coverage.
    pub coverage: Vec<Coverage>,
}

impl Segment {
    /// Encodes the segment, which must be canonical.
    pub fn encode(&self, effort: Effort) -> Vec<u8> {
        let mut body = Vec::new();
        self.put_body(&mut body);
        let mut out = FORMAT.start();
        self.put_head(&mut out);
        frame::put_body(&mut out, &body, effort);
        out
    }

    /// Decodes the segment in `bytes`.
    ///
    /// # Errors
    /// If the bytes are not exactly one segment, encoded by this version or an older one, or
    /// would decode to more than a bounded multiple of their size.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode_within(bytes, &mut Budget::for_input(bytes.len()))
    }

    /// Like [`Self::decode`], within `limit` bytes of memory. Returns how many were allocated, too.
    ///
    /// # Errors
    /// As for [`Self::decode`]; [`DecodeError::TooLarge`] if it needs more than `limit`.
    pub fn decode_limited(bytes: &[u8], limit: usize) -> Result<(Self, usize), DecodeError> {
        let mut budget = Budget::for_input(bytes.len()).at_most(limit);
        let segment = Self::decode_within(bytes, &mut budget)?;
        Ok((segment, budget.used()))
    }

    /// Decodes only the head of the segment in `bytes`. Does not check the rest.
    ///
    /// # Errors
    /// If the bytes do not begin with the head of a segment.
    pub fn decode_head(bytes: &[u8]) -> Result<Head, DecodeError> {
        let mut reader = Reader::new(bytes, "a segment's head");
        FORMAT.open(&mut reader)?;
        read_head(&mut reader, &mut Budget::for_input(bytes.len()))
    }

    /// Returns the encoded segment in `bytes` with another container. Nothing else changes, so the result
    /// is what encoding the changed segment would give.
    ///
    /// # Errors
    /// If the bytes do not begin with the head of a segment.
    pub fn with_container(bytes: &[u8], container: &ContainerId) -> Result<Vec<u8>, DecodeError> {
        let mut reader = Reader::new(bytes, "a segment's head");
        FORMAT.open(&mut reader)?;
        reader.bytes()?;
        let rest = reader.rest();
        let mut out = Vec::with_capacity(bytes.len() + ContainerId::MAX_LEN);
        out.extend(bytes.get(..FORMAT.magic.len() + 1).unwrap_or_default());
        put_bytes(&mut out, container.as_str().as_bytes());
        out.extend_from_slice(rest);
        Ok(out)
    }

    pub(crate) fn decode_within(bytes: &[u8], budget: &mut Budget) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes, "a segment's head");
        let version = FORMAT.open(&mut reader)?;
        let head = read_head(&mut reader, budget)?;
        frame::with_body(reader, budget, |body, budget| {
            read_body(version, head, body, budget)
        })
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
        put_table(out, &self.waits);
    }
}

/// Maximum end of a segment, in seconds since the Unix epoch (the year 2554). Nanoseconds of any
/// slot then fit into 64 bits.
const MAX_END: u64 = u64::MAX / 1_000_000_000;

fn read_head(reader: &mut Reader<'_>, budget: &mut Budget) -> Result<Head, DecodeError> {
    let container = std::str::from_utf8(reader.bytes()?)
        .ok()
        .and_then(|text| ContainerId::new(text).ok())
        .ok_or(DecodeError::Corrupt("the container id is invalid"))?;
    let resolution = Resolution::from_u8(reader.byte()?)
        .ok_or(DecodeError::Corrupt("the resolution is unknown"))?;
    let start = reader.varint()?.saturating_mul(resolution.seconds());
    let source = SourceId(reader.array()?);
    let slots = reader.varint()?;
    if slots > Segment::MAX_SLOTS {
        return Err(DecodeError::Corrupt("there are too many slots"));
    }
    if start.saturating_add(slots * resolution.seconds()) > MAX_END {
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

fn read_body(
    version: u8,
    head: Head,
    body: &[u8],
    budget: &mut Budget,
) -> Result<Segment, DecodeError> {
    let mut reader = Reader::new(body, "a segment's body");
    let reader = &mut reader;
    let mut segment = Segment::empty(head.key, 0);
    segment.coverage = head.coverage;
    segment.facts = dictionary::read_facts(reader, budget)?;
    segment.processes = dictionary::read_processes(reader, version, segment.key.start, budget)?;
    segment.files = dictionary::read_files(reader, budget)?;
    segment.connections = dictionary::read_connections(reader, budget)?;
    dictionary::read_events(reader, &mut segment, budget)?;
    let form = |name, first, second| Form {
        name,
        version,
        slots: segment.coverage.len() as u32,
        first,
        second,
    };
    let processes = Some(segment.processes.len());
    segment.totals = read_table(reader, form("totals", None, Some(1)), budget)?;
    segment.losses = read_table(reader, form("losses", None, Some(1)), budget)?;
    segment.cpu = read_table(reader, form("CPU times", processes, None), budget)?;
    segment.memory = read_table(reader, form("memory sizes", processes, Some(1)), budget)?;
    let files = Some(segment.files.len());
    segment.file_io = read_table(reader, form("file operations", processes, files), budget)?;
    let connections = Some(segment.connections.len());
    segment.network_io = read_table(
        reader,
        form("network operations", processes, connections),
        budget,
    )?;
    if version > FIXED_COLUMNS {
        segment.waits = read_table(reader, form("waits", processes, Some(1)), budget)?;
    }
    reader.finish()?;
    Ok(segment)
}
