//! The bytes of a recording: a thread of its own reads and decompresses them ahead.
//!
//! The reader of a format sees one growing slice of the bytes that are not consumed yet. Pieces
//! are handed over as they come, however small, so that a live stream is not held back. The
//! rest of a piece is moved to before the next one, so that nearly nothing is copied.

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
pub const MAX_PIECE: usize = 256 * 1024;
/// Bytes before each piece, for the rest of the piece before it.
const HEADROOM: usize = 64 * 1024;
/// Most pieces that are read ahead.
const MAX_AHEAD: usize = 4;
/// The magic number of gzip (RFC 1952).
const GZIP: &[u8] = &[0x1f, 0x8b];
/// The magic number of Zstandard (RFC 8878).
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// The content of a recording.
#[derive(Debug)]
pub struct Input {
    pieces: Receiver<io::Result<Piece>>,
    spare: Sender<Vec<u8>>,
    /// Bytes of the file that were read; ahead of those consumed by the pieces that wait.
    read: Arc<AtomicU64>,
    total: Option<u64>,
    /// The bytes at hand are `buffer[begin..]`.
    buffer: Vec<u8>,
    begin: usize,
    /// Offset of `begin` in the content.
    offset: u64,
    ended: bool,
    /// The bytes at hand were peeked at only.
    peeked: bool,
}

/// Bytes of the content, after [`HEADROOM`] unused ones.
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

    /// The content of `reader`, from which `total` bytes are expected.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new(reader: impl Read + Send + 'static, total: Option<u64>) -> io::Result<Self> {
        let (send, pieces) = sync_channel(MAX_AHEAD);
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

    /// The bytes at hand that are not consumed.
    pub fn data(&self) -> &[u8] {
        self.buffer.get(self.begin..).unwrap_or_default()
    }

    /// The offset in the content of the first byte of [`Self::data`].
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes of the file that were read, and its size.
    pub fn progress(&self) -> (u64, Option<u64>) {
        (self.read.load(Ordering::Relaxed), self.total)
    }

    /// Removes the first `count` bytes of [`Self::data`].
    pub fn consume(&mut self, count: usize) {
        let count = count.min(self.data().len());
        self.begin += count;
        self.offset += count as u64;
    }

    /// Waits for the next piece and adds it to [`Self::data`]; returns false at the end.
    ///
    /// # Errors
    /// When the input cannot be read, or its compressed data is damaged or cut.
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

    /// As [`Self::more`], without taking the piece: the next call of [`Self::more`] returns it
    /// again, and does not wait.
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
            // A unit longer than a piece is collected here.
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
        if piece.capacity() <= HEADROOM + MAX_PIECE {
            // Fails once the input has ended: then nobody needs it.
            let _ = self.spare.send(piece);
        }
    }

    fn explain(&self, error: io::Error) -> Error {
        let at = self.offset + self.data().len() as u64;
        match error.kind() {
            ErrorKind::UnexpectedEof => Error::Truncated {
                at,
                within: "compressed data".to_owned(),
            },
            ErrorKind::InvalidInput | ErrorKind::InvalidData => Error::Damaged {
                at,
                why: format!("compressed data: {error}"),
            },
            // As zstd reports damage; the kernel's errors have a number.
            ErrorKind::Other if error.raw_os_error().is_none() => Error::Damaged {
                at,
                why: format!("compressed data: {error}"),
            },
            _ => Error::Read(error),
        }
    }
}

/// Counts the bytes that are read.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Reads until the end, an error, or the receiver is gone.
fn read_ahead(
    reader: impl Read,
    pieces: &SyncSender<io::Result<Piece>>,
    empty: &Receiver<Vec<u8>>,
) {
    let mut reader = BufReader::with_capacity(MAX_PIECE, reader);
    let begins = |begin: &[u8], magic: &[u8]| {
        // A pipe may give a single byte at first. That is enough: no format begins with it.
        !begin.is_empty() && begin.iter().zip(magic).all(|(byte, magic)| byte == magic)
    };
    let (gzip, zstd) = loop {
        match reader.fill_buf() {
            Ok(begin) => break (begins(begin, GZIP), begins(begin, ZSTD)),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                let _ = pieces.send(Err(error));
                return;
            }
        }
    };
    if gzip {
        pump(MultiGzDecoder::new(reader), pieces, empty);
    } else if zstd {
        match zstd::stream::read::Decoder::with_buffer(reader) {
            Ok(decoder) => pump(decoder, pieces, empty),
            Err(error) => {
                let _ = pieces.send(Err(error));
            }
        }
    } else {
        pump(reader, pieces, empty);
    }
}

fn pump(mut reader: impl Read, pieces: &SyncSender<io::Result<Piece>>, empty: &Receiver<Vec<u8>>) {
    loop {
        let mut piece = empty.try_recv().unwrap_or_default();
        piece.resize(HEADROOM + MAX_PIECE, 0);
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
