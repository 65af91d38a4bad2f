//! The source id of a recording: made from the file's content, so that a file counts once however
//! often it is analysed.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::Path;

use bubble_common::segment::SourceId;
use sha2::{Digest as _, Sha256};

/// Bytes at the beginning and at the end that are hashed. Captures with the same ones and the
/// same length are one; a large one is not read twice.
const HASHED_BYTES: u64 = 64 * 1024;

/// The source id of a file; a random one for a pipe or device, which can be read only once.
///
/// # Errors
/// When the file cannot be read.
pub fn of_file(path: &Path) -> io::Result<SourceId> {
    // Reading a device or a pipe here would consume it.
    if path == Path::new("-") || !path.metadata()?.is_file() {
        return Ok(SourceId(rand::random()));
    }
    of(&mut File::open(path)?)
}

/// The source id of an open file.
///
/// # Errors
/// When it cannot be read.
pub fn of(file: &mut File) -> io::Result<SourceId> {
    let length = file.metadata()?.len();
    let mut hash = Sha256::new();
    hash.update(length.to_le_bytes());
    let mut part = Vec::new();
    for begin in [0, length.saturating_sub(HASHED_BYTES)] {
        file.seek(SeekFrom::Start(begin))?;
        part.clear();
        file.by_ref().take(HASHED_BYTES).read_to_end(&mut part)?;
        hash.update(&part);
    }
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finalize()[..16]);
    Ok(SourceId(id))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{HASHED_BYTES, of_file};

    #[test]
    fn equal_files_are_one_source() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            of_file(&path).unwrap()
        };
        let mut content = vec![7; 3 * HASHED_BYTES as usize];
        let first = of("a", &content);
        assert_eq!(of("b", &content), first);
        *content.last_mut().unwrap() = 8;
        assert_ne!(of("c", &content), first);
        assert_ne!(of("d", &content[1..]), of("e", &content));
        assert_ne!(of("f", b""), first);
    }

    #[test]
    fn a_pipe_or_device_is_a_source_by_itself() {
        let input = Path::new("-");
        assert_ne!(of_file(input).unwrap(), of_file(input).unwrap());
        let device = Path::new("/dev/null");
        assert_ne!(of_file(device).unwrap(), of_file(device).unwrap());
        assert!(of_file(Path::new("/nowhere/x")).is_err());
    }
}
