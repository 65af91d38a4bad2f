//! What the reader of a capture writes: frames, the last of which is a summary or a refusal.
//!
//! A frame is a byte for its kind, its length (32 bits, little endian), and its bytes. A file without a
//! last frame is that of a reader that was killed.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::store::recording::RecordedLoss;

/// Kind of a frame with an encoded batch.
const BATCH: u8 = 1;
/// Kind of the last frame of a capture that was read.
const SUMMARY: u8 = 2;
/// Kind of the last frame of a file that cannot be read.
const REFUSAL: u8 = 3;
/// Longest frame, in bytes.
const MAX_FRAME: u32 = 64 << 20;
/// Most containers that a summary lists.
pub(super) const MAX_LISTED: usize = 1_000;

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// `scap`, `json` or `text`.
    pub format: String,
    /// Events (or lines) that were taken in.
    pub events: u64,
    /// Events (or lines) that were skipped.
    pub skipped: u64,
    /// Time of the first event, ns since the Unix epoch.
    pub first_ns: Option<u64>,
    /// Time of the latest event.
    pub last_ns: Option<u64>,
    /// Why reading ended early; everything before was read.
    pub damage: Option<String>,
    /// Facts that the format lacks, one sentence each.
    pub missing: Vec<String>,
    /// A recording for each section that goes back in time.
    pub sections: Vec<Section>,
    /// Containers by id, at most [`MAX_LISTED`].
    pub containers: Vec<Found>,
    /// Number of all.
    pub containers_count: u64,
}

/// A part of a capture that is a recording of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// Id of the recording: 32 hexadecimal digits.
    pub id: String,
    /// What could not be counted.
    pub losses: Vec<RecordedLoss>,
}

/// A container in a capture. Times are seconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Its id.
    pub id: String,
    /// Name that the runtime gave it; empty if unknown.
    pub name: String,
    /// Start of its first second.
    pub first: u64,
    /// End of its last second.
    pub last: u64,
}

/// Writes a frame with a batch.
pub(super) fn put_batch(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    put(out, BATCH, bytes)
}

/// Writes the last frame of a capture that was read.
pub(super) fn put_summary(out: &mut impl Write, summary: &Summary) -> io::Result<()> {
    put(out, SUMMARY, &serde_json::to_vec(summary)?)
}

/// Writes the last frame of a file that cannot be read, and why.
pub(super) fn put_refusal(out: &mut impl Write, why: &str) -> io::Result<()> {
    put(out, REFUSAL, why.as_bytes())
}

fn put(out: &mut impl Write, kind: u8, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    if length > MAX_FRAME {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    out.write_all(&[kind])?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(bytes)
}

/// How a reader ended that wrote its last frame.
#[derive(Debug)]
pub enum Last {
    /// It read the capture.
    Summary(Summary),
    /// It cannot read it, for this reason.
    Refusal(String),
}

/// The frames that a reader wrote.
#[derive(Debug)]
pub struct Frames {
    file: File,
}

impl Frames {
    /// The frames in `file`.
    pub(super) fn new(file: File) -> Self {
        Self { file }
    }

    /// Goes to the beginning.
    pub(super) async fn rewind(&mut self) -> io::Result<()> {
        self.file.rewind().await.map(drop)
    }

    /// The last frame; `None` if it is missing.
    pub(super) async fn last(&mut self) -> io::Result<Option<Last>> {
        self.rewind().await?;
        let end = self.file.metadata().await?.len();
        while let Some((kind, length)) = self.header().await? {
            if kind == BATCH {
                let at = self.file.seek(io::SeekFrom::Current(length.into())).await?;
                if at > end {
                    return Ok(None);
                }
                continue;
            }
            let Some(bytes) = self.bytes(length).await? else {
                return Ok(None);
            };
            return Ok(Some(match kind {
                SUMMARY => Last::Summary(serde_json::from_slice(&bytes)?),
                REFUSAL => Last::Refusal(String::from_utf8_lossy(&bytes).into_owned()),
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }));
        }
        Ok(None)
    }

    /// The next batch, encoded; `None` after the last one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn next_batch(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self.header().await? {
            Some((BATCH, length)) => self.bytes(length).await,
            _ => Ok(None),
        }
    }

    async fn header(&mut self) -> io::Result<Option<(u8, u32)>> {
        let mut header = [0; 5];
        match self.file.read_exact(&mut header).await {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let [kind, length @ ..] = header;
        let length = u32::from_le_bytes(length);
        if length > MAX_FRAME {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Some((kind, length)))
    }

    /// The bytes of a frame; `None` if the file is shorter.
    async fn bytes(&mut self, length: u32) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = vec![0; length as usize];
        match self.file.read_exact(&mut bytes).await {
            Ok(_) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::fs::File;

    use super::{Frames, Last, Summary, put_batch, put_refusal, put_summary};

    fn frames(bytes: &[u8]) -> Frames {
        use std::io::Write as _;
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        Frames::new(File::from_std(file))
    }

    #[tokio::test]
    async fn a_file_without_its_last_frame_has_none() {
        let mut whole = Vec::new();
        put_batch(&mut whole, b"one").expect("memory");
        put_batch(&mut whole, b"").expect("memory");
        let batches = whole.len();
        let summary = Summary {
            events: 7,
            ..Summary::default()
        };
        put_summary(&mut whole, &summary).expect("memory");
        for length in 0..whole.len() {
            let last = frames(&whole[..length]).last().await.expect("readable");
            assert!(last.is_none(), "{length}");
        }
        let mut frames = frames(&whole);
        let last = frames.last().await.expect("readable");
        assert!(matches!(last, Some(Last::Summary(found)) if found == summary));
        frames.rewind().await.expect("a file");
        let mut next = async || frames.next_batch().await.expect("readable");
        assert_eq!(next().await.as_deref(), Some(&b"one"[..]));
        assert_eq!(next().await.as_deref(), Some(&b""[..]));
        assert_eq!(next().await, None);
        assert!(batches < whole.len());
    }

    #[tokio::test]
    async fn a_refusal_has_its_reason_and_lengths_are_bounded() {
        let mut refused = Vec::new();
        put_refusal(&mut refused, "it is empty").expect("memory");
        let last = frames(&refused).last().await.expect("readable");
        assert!(matches!(last, Some(Last::Refusal(why)) if why == "it is empty"));
        let huge = [&[2][..], &u32::MAX.to_le_bytes()].concat();
        assert!(frames(&huge).last().await.is_err());
    }
}
