//! The source of a recording, under which it is stored: made from the file, so that the same
//! file counts once however often it is analysed.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::Path;

use bubble_common::segment::SourceId;
use sha2::{Digest as _, Sha256};

/// So many bytes of the beginning and of the end are looked at: captures that agree in these
/// and in length are one, and a large one is not read twice.
const LOOKED_AT: u64 = 64 * 1024;

/// The source of what is in `path`; a random one for what can be read only once.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn of_file(path: &Path) -> io::Result<SourceId> {
    // A device or a pipe must not be read here.
    if path == Path::new("-") || !path.metadata()?.is_file() {
        return Ok(SourceId(rand::random()));
    }
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut hash = Sha256::new();
    hash.update(length.to_le_bytes());
    let mut part = Vec::new();
    for begin in [0, length.saturating_sub(LOOKED_AT)] {
        file.seek(SeekFrom::Start(begin))?;
        part.clear();
        file.by_ref().take(LOOKED_AT).read_to_end(&mut part)?;
        hash.update(&part);
    }
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finalize()[..16]);
    Ok(SourceId(id))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{LOOKED_AT, of_file};

    #[test]
    fn equal_files_are_one_source() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            of_file(&path).unwrap()
        };
        let mut content = vec![7; 3 * LOOKED_AT as usize];
        let first = of("a", &content);
        assert_eq!(of("b", &content), first);
        *content.last_mut().unwrap() = 8;
        assert_ne!(of("c", &content), first);
        assert_ne!(of("d", &content[1..]), of("e", &content));
        assert_ne!(of("f", b""), first);
    }

    #[test]
    fn what_is_read_once_is_a_source_by_itself() {
        let input = Path::new("-");
        assert_ne!(of_file(input).unwrap(), of_file(input).unwrap());
        let device = Path::new("/dev/null");
        assert_ne!(of_file(device).unwrap(), of_file(device).unwrap());
        assert!(of_file(Path::new("/nowhere/x")).is_err());
    }
}
