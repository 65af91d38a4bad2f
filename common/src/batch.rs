//! The batch: the envelope in which an agent posts its segments, with a report about the agent.

use crate::segment::codec::budget::Budget;
use crate::segment::codec::frame::{self, Format};
use crate::segment::codec::primitive::{Reader, narrow, put_bytes, put_varint};
use crate::segment::codec::text::{put_texts, read_texts};
use crate::segment::codec::{DecodeError, Effort};
use crate::segment::{Segment, SourceId};

/// One post of an agent: the segments of a second, or a part of its spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The run of the agent.
    pub source: SourceId,
    /// About the agent and its host.
    pub agent: AgentReport,
    /// The segments, each with its own key.
    pub segments: Vec<Segment>,
}

/// What an agent reports about itself with each batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentReport {
    /// Host name.
    pub host: String,
    /// The agent's version.
    pub version: String,
    /// Kernel release.
    pub kernel: String,
    /// Family of hooks in use: `vfs`, `syscall`, `procfs` or `capture`.
    pub hooks: String,
    /// What it cannot count on this host, one sentence each.
    pub missing: Vec<String>,
    /// When the batch was made, in nanoseconds since the Unix epoch.
    pub sent_at: u64,
    /// Cores of the host.
    pub cores: u32,
    /// Memory of the host in bytes.
    pub memory: u64,
    /// CPU time of the agent since it started, ns.
    pub cpu_ns: u64,
    /// Resident memory of the agent, bytes.
    pub rss: u64,
    /// Run time of its programs in the kernel since they were loaded, ns; 0 if the kernel does not say.
    pub kernel_ns: u64,
    /// Segments in its spool that should have been sent by now.
    pub spooled: u64,
    /// Slots dropped since the agent started because its spool was full.
    pub dropped: u64,
}

/// The frame of a batch.
const FORMAT: Format = Format {
    name: "batch",
    magic: [0xbc, b'B', b'A', b'T'],
    version: 1,
};

impl Batch {
    /// The bytes that an encoded batch begins with.
    pub const MAGIC: [u8; 4] = FORMAT.magic;

    /// Encodes the batch. It is compressed as a whole, so what segments have in common is stored once.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = self.source.0.to_vec();
        self.agent.put(&mut body);
        put_varint(&mut body, self.segments.len() as u64);
        for segment in &self.segments {
            put_bytes(&mut body, &segment.encode(Effort::Raw));
        }
        let mut out = FORMAT.start();
        frame::put_body(&mut out, &body, Effort::Fast);
        out
    }

    /// Decodes the batch in `bytes`.
    ///
    /// # Errors
    /// If the bytes are not exactly one batch, encoded by this version or an older one, or
    /// would decode to more than a bounded multiple of their size.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let begin = |_, count| Vec::with_capacity(count);
        let mut budget = Budget::for_input(bytes.len());
        let (source, agent, segments) =
            Self::read(bytes, &mut budget, begin, |segments, bytes, budget| {
                segments.push(Segment::decode_within(bytes, budget)?);
                Ok(())
            })?;
        Ok(Self {
            source,
            agent,
            segments,
        })
    }

    /// Like [`Self::decode`], but one segment at a time, within `limit` bytes of memory: each is dropped
    /// before the next is decoded. `begin` gets the source and the number of segments. `each` gets
    /// a segment and its bytes, which can be stored without encoding it again.
    ///
    /// # Errors
    /// As for [`Self::decode`].
    pub fn scan<T>(
        bytes: &[u8],
        limit: usize,
        begin: impl FnOnce(SourceId, usize) -> T,
        mut each: impl FnMut(&mut T, &Segment, &[u8]),
    ) -> Result<(SourceId, AgentReport, T), DecodeError> {
        let mut budget = Budget::for_input(bytes.len()).at_most(limit);
        Self::read(bytes, &mut budget, begin, |all, bytes, budget| {
            let before = budget.left();
            let segment = Segment::decode_within(bytes, budget)?;
            each(all, &segment, bytes);
            budget.give_back(before);
            Ok(())
        })
    }

    /// Reads the envelope, and passes the bytes of each segment to `each`.
    fn read<T>(
        bytes: &[u8],
        budget: &mut Budget,
        begin: impl FnOnce(SourceId, usize) -> T,
        mut each: impl FnMut(&mut T, &[u8], &mut Budget) -> Result<(), DecodeError>,
    ) -> Result<(SourceId, AgentReport, T), DecodeError> {
        let mut reader = Reader::new(bytes, "a batch");
        FORMAT.open(&mut reader)?;
        frame::with_body(reader, budget, |body, budget| {
            let mut reader = Reader::new(body, "a batch's body");
            let source = SourceId(reader.array()?);
            let agent = AgentReport::read(&mut reader, budget)?;
            let count = reader.length()?;
            budget.charge::<Segment>(count)?;
            let mut all = begin(source, count);
            for _ in 0..count {
                each(&mut all, reader.bytes()?, budget)?;
            }
            reader.finish()?;
            Ok((source, agent, all))
        })
    }
}

impl AgentReport {
    fn put(&self, out: &mut Vec<u8>) {
        let texts = [&self.host, &self.version, &self.kernel, &self.hooks];
        put_texts(out, texts.into_iter().map(String::as_str));
        put_varint(out, self.missing.len() as u64);
        put_texts(out, self.missing.iter().map(String::as_str));
        let numbers = [
            self.sent_at,
            u64::from(self.cores),
            self.memory,
            self.cpu_ns,
            self.rss,
            self.kernel_ns,
            self.spooled,
            self.dropped,
        ];
        for number in numbers {
            put_varint(out, number);
        }
    }

    fn read(reader: &mut Reader<'_>, budget: &mut Budget) -> Result<Self, DecodeError> {
        let mut texts = read_texts(reader, 4, budget)?.into_iter();
        let mut text = || texts.next().unwrap_or_default();
        let (host, version, kernel, hooks) = (text(), text(), text(), text());
        let missing = reader.length()?;
        Ok(Self {
            host,
            version,
            kernel,
            hooks,
            missing: read_texts(reader, missing, budget)?,
            sent_at: reader.varint()?,
            cores: narrow(
                reader.varint()?,
                "the number of cores has more than 32 bits",
            )?,
            memory: reader.varint()?,
            cpu_ns: reader.varint()?,
            rss: reader.varint()?,
            kernel_ns: reader.varint()?,
            spooled: reader.varint()?,
            dropped: reader.varint()?,
        })
    }
}
