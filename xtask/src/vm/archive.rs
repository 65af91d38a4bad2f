//! Writes a cpio archive in the format `newc`, which the kernel unpacks into its first file system.
//!
//! An entry is a header of hexadecimal fields, the name and the content, each padded to four bytes.
//! See Documentation/driver-api/early-userspace/buffer-format.rst.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Modes of entries; that of a file lacks the permissions.
const FOLDER_MODE: u32 = 0o040_755;
const FILE_MODE: u32 = 0o100_000;

/// The archive, in memory.
pub(super) struct Archive {
    bytes: Vec<u8>,
    folders: BTreeSet<String>,
    next_inode: u32,
}

impl Archive {
    pub(super) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            folders: BTreeSet::new(),
            next_inode: 1,
        }
    }

    /// Adds a folder and its parents. The path must start with a slash.
    pub(super) fn folder(&mut self, path: &str) {
        if path.is_empty() || path == "/" || self.folders.contains(path) {
            return;
        }
        self.folder(parent(path));
        self.folders.insert(path.to_owned());
        self.entry(path, FOLDER_MODE, &[]);
    }

    /// Adds a file and its parent folders. The path must start with a slash.
    pub(super) fn file(&mut self, path: &str, mode: u32, bytes: impl AsRef<[u8]>) {
        self.folder(parent(path));
        self.entry(path, FILE_MODE | mode, bytes.as_ref());
    }

    /// Adds a program from a file of the host.
    pub(super) fn program(&mut self, path: &str, source: &Path) -> Result<()> {
        let bytes =
            fs::read(source).with_context(|| format!("cannot read {}", source.display()))?;
        self.file(path, 0o755, bytes);
        Ok(())
    }

    /// Ends the archive and writes it to a file.
    pub(super) fn save(mut self, path: &Path) -> Result<()> {
        self.entry("/TRAILER!!!", 0, &[]);
        fs::write(path, self.bytes).with_context(|| format!("cannot write {}", path.display()))
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) {
        let name = path.trim_start_matches('/');
        // inode, mode, uid, gid, links, mtime, size, device (2), device of a node (2), length of
        // the name with its zero byte, checksum (always 0 in this format).
        let fields = [
            self.next_inode,
            mode,
            0,
            0,
            1,
            0,
            u32::try_from(content.len()).unwrap_or(u32::MAX),
            0,
            0,
            0,
            0,
            u32::try_from(name.len() + 1).unwrap_or(u32::MAX),
            0,
        ];
        self.next_inode += 1;
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use super::Archive;

    #[test]
    fn an_entry_is_a_header_a_name_and_padded_bytes() {
        let mut archive = Archive::new();
        archive.file("/a/b", 0o755, b"hello");
        // A header of 110 bytes, "a" and its zero byte; then a header, "a/b" and its zero byte, 5
        // bytes.
        assert_eq!(
            archive.bytes.len(),
            112 + (110 + 4_usize).next_multiple_of(4) + 8
        );
        assert_eq!(&archive.bytes[..22], b"07070100000001000041ed");
        let second = &archive.bytes[112..];
        assert_eq!(&second[6 + 6 * 8..6 + 7 * 8], b"00000005");
        assert_eq!(&second[110..114], b"a/b\0");
        assert_eq!(&second[116..124], b"hello\0\0\0");
    }

    #[test]
    fn a_folder_is_added_once() {
        let mut archive = Archive::new();
        archive.file("/a/b", 0o644, b"");
        let before = archive.bytes.len();
        archive.folder("/a");
        assert_eq!(archive.bytes.len(), before);
    }
}
