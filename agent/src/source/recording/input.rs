//! The bytes of a recording: read, and decompressed, ahead on a thread of its own.
//!
//! The reader of a format sees one growing slice of what is there and not consumed
//! yet. Pieces are handed over as they come, however small, so that a live stream is
//! not held back; and what is left of a piece is moved before the next one, so that
//! nearly nothing is copied.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use flate2::bufread::MultiGzDecoder;

use super::Error;

/// Most bytes of a piece.
pub const PIECE: usize = 256 * 1024;
/// Room before each piece for what the piece before left over.
const HEADROOM: usize = 64 * 1024;
/// Pieces that are read ahead.
const AHEAD: usize = 4;
/// What gzip begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The content of a recording.
#[derive(Debug)]
pub struct Input {
    pieces: Receiver<io::Result<Piece>>,
    spare: Sender<Vec<u8>>,
    /// Bytes of the file that were read; ahead of what was consumed by the pieces that wait.
    read: Arc<AtomicU64>,
    total: Option<u64>,
    /// What is here: `buffer[begin..]`.
    buffer: Vec<u8>,
    begin: usize,
    /// Offset of `begin` in the content.
    offset: u64,
    ended: bool,
    /// What is here was looked at only.
    peeked: bool,
}

/// Bytes of the content, after [`HEADROOM`] bytes of room.
type Piece = Vec<u8>;

impl Input {
    /// The content of a file; of standard input for `-`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            return Self::new(io::stdin(), None);
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        Self::new(file, metadata.is_file().then_some(metadata.len()))
    }

    /// The content of what `reader` gives, in which `total` bytes are expected.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new(reader: impl Read + Send + 'static, total: Option<u64>) -> io::Result<Self> {
        let (send, pieces) = sync_channel(AHEAD);
        let (spare, empty) = channel();
        let read = Arc::new(AtomicU64::new(0));
        let counted = Counted {
            inner: reader,
            read: Arc::clone(&read),
        };
        // It ends by itself when the input does, or when nobody takes its pieces.
        thread::Builder::new()
            .name("read-ahead".to_owned())
            .spawn(move || read_ahead(counted, &send, &empty))?;
        Ok(Self {
            pieces,
            spare,
            read,
            total,
            buffer: Vec::new(),
            begin: 0,
            offset: 0,
            ended: false,
            peeked: false,
        })
    }

    /// What is here and not consumed.
    pub fn data(&self) -> &[u8] {
        self.buffer.get(self.begin..).unwrap_or_default()
    }

    /// Offset in the content of the first byte of [`Self::data`].
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes of the file that were read, and how many there are.
    pub fn progress(&self) -> (u64, Option<u64>) {
        (self.read.load(Ordering::Relaxed), self.total)
    }

    /// Lets go of the first `count` bytes of [`Self::data`].
    pub fn consume(&mut self, count: usize) {
        let count = count.min(self.data().len());
        self.begin += count;
        self.offset += count as u64;
    }

    /// Waits for the next piece and adds it to [`Self::data`]; `false` when there is none.
    ///
    /// # Errors
    /// When the input cannot be read, or what is compressed in it is damaged or cut.
    pub fn more(&mut self) -> Result<bool, Error> {
        if std::mem::take(&mut self.peeked) {
            return Ok(true);
        }
        if self.ended {
            return Ok(false);
        }
        match self.pieces.recv() {
            Ok(Ok(piece)) => {
                self.add(piece);
                Ok(true)
            }
            Ok(Err(error)) => {
                self.ended = true;
                Err(self.explain(error))
            }
            Err(_) => {
                self.ended = true;
                Ok(false)
            }
        }
    }

    /// As [`Self::more`], for who only looks: what was added is news again to the next call of
    /// [`Self::more`], which does not wait for it.
    ///
    /// # Errors
    /// As for [`Self::more`].
    pub fn peek(&mut self) -> Result<bool, Error> {
        self.peeked = false;
        let more = self.more()?;
        self.peeked = !self.data().is_empty();
        Ok(more)
    }

    fn add(&mut self, mut piece: Piece) {
        let left = self.buffer.len() - self.begin;
        if left > HEADROOM {
            // Something longer than a piece: it is collected, and grows by what is there.
            if self.begin > HEADROOM {
                self.buffer.drain(..self.begin);
                self.begin = 0;
            }
            self.buffer.extend_from_slice(&piece[HEADROOM..]);
        } else {
            let begin = HEADROOM - left;
            piece[begin..HEADROOM].copy_from_slice(&self.buffer[self.begin..]);
            std::mem::swap(&mut self.buffer, &mut piece);
            self.begin = begin;
        }
        if piece.capacity() <= HEADROOM + PIECE {
            // Nobody there to take it back means that the input has ended.
            let _ = self.spare.send(piece);
        }
    }

    fn explain(&self, error: io::Error) -> Error {
        let at = self.offset + self.data().len() as u64;
        match error.kind() {
            ErrorKind::UnexpectedEof => Error::Cut {
                at,
                within: "compressed data".to_owned(),
            },
            ErrorKind::InvalidInput | ErrorKind::InvalidData => Error::Damaged {
                at,
                why: format!("compressed data: {error}"),
            },
            _ => Error::Read(error),
        }
    }
}

/// Counts what is read.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(room)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Reads until the end, an error, or until nobody listens.
fn read_ahead(
    reader: impl Read,
    pieces: &SyncSender<io::Result<Piece>>,
    empty: &Receiver<Vec<u8>>,
) {
    let mut reader = BufReader::with_capacity(PIECE, reader);
    let compressed = loop {
        match reader.fill_buf() {
            // A pipe may give a single byte at first: it is enough, as no format begins with 1f.
            Ok(begin) => break begin.first() == Some(&GZIP[0]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                let _ = pieces.send(Err(error));
                return;
            }
        }
    };
    if compressed {
        pump(MultiGzDecoder::new(reader), pieces, empty);
    } else {
        pump(reader, pieces, empty);
    }
}

fn pump(mut reader: impl Read, pieces: &SyncSender<io::Result<Piece>>, empty: &Receiver<Vec<u8>>) {
    loop {
        let mut piece = empty.try_recv().unwrap_or_default();
        piece.resize(HEADROOM + PIECE, 0);
        let next = match reader.read(&mut piece[HEADROOM..]) {
            Ok(0) => return,
            Ok(count) => {
                piece.truncate(HEADROOM + count);
                Ok(piece)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let last = next.is_err();
        if pieces.send(next).is_err() || last {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
