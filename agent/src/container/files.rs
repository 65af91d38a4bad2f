//! The files of one container's cgroup. They stay open: opening costs more than reading, and the
//! kernel computes the text anew for each read from the beginning.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::error::is_absent;
use super::hierarchy::Hierarchies;
use crate::fd_budget::RetainedFile;

/// Maximum length of a text in bytes. The kernel's are far shorter.
const MAX_TEXT: usize = 64 * 1024;

/// A file: its controller (empty for cgroup v2) and its name.
type Name = (&'static str, &'static str);

/// A file that may exist could not be read: [`Files::take_failure`] says why. No other file stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unread;

/// Open files, and those that do not exist.
#[derive(Debug, Default)]
pub(super) struct Files {
    files: HashMap<Name, Option<RetainedFile>>,
    /// A file could not be read, though it may exist.
    failure: Option<io::Error>,
}

impl Files {
    /// The text of a cgroup v2 file of the cgroup at `path`. `None` if it does not exist.
    pub(super) fn v2(
        &mut self,
        hierarchies: &Hierarchies,
        path: &str,
        file: &'static str,
    ) -> Result<Option<String>, Unread> {
        self.read(("", file), || {
            let tree = hierarchies.unified()?;
            Some(File::open(tree.folder(path).join(file)))
        })
    }

    /// The text of a v1 controller's file of the cgroup at `path`. `None` if it does not exist.
    pub(super) fn v1(
        &mut self,
        hierarchies: &Hierarchies,
        path: &str,
        controller: &'static str,
        file: &'static str,
    ) -> Result<Option<String>, Unread> {
        self.read((controller, file), || {
            let tree = hierarchies.v1(controller)?;
            Some(File::open(tree.folder(path).join(file)))
        })
    }

    /// Notes that a file that may exist could not be read.
    pub(super) fn note_failure(&mut self, error: io::Error) {
        self.failure = Some(error);
    }

    /// Makes the next read try missing files again.
    pub(super) fn forget_missing(&mut self) {
        self.files.retain(|_, file| file.is_some());
    }

    /// Why a file that may exist could not be read since the last call, such as too many open files.
    pub(super) fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    fn read(
        &mut self,
        name: Name,
        open: impl FnOnce() -> Option<io::Result<File>>,
    ) -> Result<Option<String>, Unread> {
        match self.files.get(&name) {
            Some(None) => return Ok(None),
            // An error: the cgroup was removed, and perhaps created again.
            Some(Some(file)) => {
                if let Ok(text) = text_of(file.file()) {
                    return Ok(Some(text));
                }
            }
            None => {}
        }
        self.files.remove(&name);
        let Some(opened) = open() else {
            self.files.insert(name, None);
            return Ok(None);
        };
        let read = opened.and_then(|file| Ok((text_of(&file)?, file)));
        match read {
            Ok((text, file)) => {
                if let Some(file) = RetainedFile::new(file) {
                    self.files.insert(name, Some(file));
                }
                Ok(Some(text))
            }
            Err(error) if is_absent(&error) => {
                self.files.insert(name, None);
                Ok(None)
            }
            Err(error) => {
                self.failure = Some(error);
                Err(Unread)
            }
        }
    }
}

/// The whole text from the beginning.
fn text_of(file: &File) -> io::Result<String> {
    let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut text = Vec::new();
    let mut part = [0; 4096];
    while text.len() < MAX_TEXT {
        match file.read_at(&mut part, text.len() as u64) {
            Ok(length) => {
                text.extend_from_slice(part.get(..length).unwrap_or_default());
                // Each file is one record: a read fills the buffer or reaches the end.
                if length < part.len() {
                    return String::from_utf8(text).map_err(|_| invalid("it is not text"));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Err(invalid("it is too long"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Files, Unread};
    use crate::container::hierarchy::Hierarchies;

    #[test]
    fn a_file_is_read_anew_each_time() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cgroup.controllers"), "").unwrap();
        fs::create_dir(folder.path().join("c")).unwrap();
        let path = folder.path().join("c/cpu.stat");
        let hierarchies = Hierarchies::under(folder.path()).unwrap();
        let mut files = Files::default();
        assert_eq!(files.v2(&hierarchies, "/c", "cpu.stat"), Ok(None));
        fs::write(&path, "one").unwrap();
        assert_eq!(files.v2(&hierarchies, "/c", "cpu.stat"), Ok(None));
        files.forget_missing();
        let read = |files: &mut Files| files.v2(&hierarchies, "/c", "cpu.stat").unwrap().unwrap();
        assert_eq!(read(&mut files), "one");
        assert!(files.take_failure().is_none());
        let long = "x".repeat(10_000);
        fs::write(&path, &long).unwrap();
        assert_eq!(read(&mut files), long);
    }

    /// A file that cannot be read is not a file that does not exist.
    #[test]
    fn a_failure_is_told_and_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cgroup.controllers"), "").unwrap();
        let path = folder.path().join("c/cpu.stat");
        // A folder cannot be read as a file, even by root.
        fs::create_dir_all(&path).unwrap();
        let hierarchies = Hierarchies::under(folder.path()).unwrap();
        let mut files = Files::default();
        assert_eq!(files.v2(&hierarchies, "/c", "cpu.stat"), Err(Unread));
        assert!(files.take_failure().is_some());
        assert!(files.take_failure().is_none());
        fs::remove_dir(&path).unwrap();
        fs::write(&path, "one").unwrap();
        let text = files.v2(&hierarchies, "/c", "cpu.stat");
        assert_eq!(text, Ok(Some("one".to_owned())));
    }
}
