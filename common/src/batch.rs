//! The envelope in which an agent posts: who it is, what it cost, and segments.

use crate::segment::codec::budget::Budget;
use crate::segment::codec::frame::{self, Format};
use crate::segment::codec::primitive::{Reader, narrow, put_bytes, put_varint};
use crate::segment::codec::text::{put_texts, texts};
use crate::segment::codec::{DecodeError, Effort};
use crate::segment::{Segment, SourceId};

/// One post of an agent: the segments of a second or two, or what its spool held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The run of the agent.
    pub source: SourceId,
    /// About the agent and its host.
    pub agent: AgentReport,
    /// The segments; each carries its own key.
    pub segments: Vec<Segment>,
}

/// What an agent says of itself with each batch.
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
    /// What this host does not let it count: one sentence each.
    pub missing: Vec<String>,
    /// When the batch was made: nanoseconds since the Unix epoch.
    pub sent_at: u64,
    /// Cores of the host.
    pub cores: u32,
    /// Memory of the host in bytes.
    pub memory: u64,
    /// CPU time that the agent used since it started, ns.
    pub cpu_ns: u64,
    /// Its resident memory, bytes.
    pub rss: u64,
    /// Time that its programs in the kernel ran since they were loaded, ns; 0 where the kernel does not say.
    pub kernel_ns: u64,
    /// Segments waiting in its spool.
    pub spooled: u64,
    /// Slots that it dropped since it started, as its spool was full.
    pub dropped: u64,
}

/// The frame of a batch.
const FORMAT: Format = Format {
    name: "batch",
    magic: [0xbc, b'B', b'A', b'T'],
    version: 1,
};

impl Batch {
    /// The batch as bytes, packed as one: what its segments have in common costs once.
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

    /// The batch in `bytes`, all of which must belong to it.
    ///
    /// # Errors
    /// When they are not what [`Self::encode`] writes, in this version or an
    /// older one, or would decode to more than a bounded multiple of their size.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let begin = |_, count| Vec::with_capacity(count);
        let push = |segments: &mut Vec<_>, segment, _: &[u8]| segments.push(segment);
        let (source, agent, segments) = Self::fold(bytes, begin, push)?;
        Ok(Self {
            source,
            agent,
            segments,
        })
    }

    /// As [`Self::decode`], one segment at a time: what `begin` makes of the
    /// source and of how many there are takes each, with its own bytes, so that
    /// who stores them need not encode them again, nor have all in memory.
    ///
    /// # Errors
    /// As for [`Self::decode`].
    pub fn fold<T>(
        bytes: &[u8],
        begin: impl FnOnce(SourceId, usize) -> T,
        mut each: impl FnMut(&mut T, Segment, &[u8]),
    ) -> Result<(SourceId, AgentReport, T), DecodeError> {
        let mut reader = Reader::new(bytes, "a batch");
        FORMAT.open(&mut reader)?;
        let mut budget = Budget::for_input(bytes.len());
        frame::with_body(reader, &mut budget, |body, budget| {
            let mut reader = Reader::new(body, "a batch's body");
            let source = SourceId(reader.array()?);
            let agent = AgentReport::read(&mut reader, budget)?;
            let count = reader.length()?;
            budget.charge::<Segment>(count)?;
            let mut all = begin(source, count);
            for _ in 0..count {
                let bytes = reader.bytes()?;
                let segment = Segment::decode_within(bytes, budget)?;
                each(&mut all, segment, bytes);
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
        let mut known = texts(reader, 4, budget)?.into_iter();
        let mut text = || known.next().unwrap_or_default();
        let (host, version, kernel, hooks) = (text(), text(), text(), text());
        let missing = reader.length()?;
        Ok(Self {
            host,
            version,
            kernel,
            hooks,
            missing: texts(reader, missing, budget)?,
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
