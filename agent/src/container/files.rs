//! The files of one container's cgroup, kept open: the kernel works out anew what is read from
//! the beginning, and opening a file by its path costs more than reading it.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use super::hierarchy::Hierarchies;
use crate::kept::Kept;

/// Longest text that is taken; the kernel's are far shorter.
const LONGEST: usize = 64 * 1024;

/// A file by its controller (empty: of the unified tree) and its name.
type Name = (&'static str, &'static str);

/// Open files, and those that are known not to be there.
#[derive(Debug, Default)]
pub(super) struct Files {
    known: HashMap<Name, Option<Kept>>,
}

impl Files {
    /// The text of a file of the unified tree, for the cgroup at `path`.
    pub(super) fn v2(
        &mut self,
        hierarchies: &Hierarchies,
        path: &str,
        file: &'static str,
    ) -> Option<String> {
        self.read(("", file), || {
            let tree = hierarchies.unified()?;
            File::open(tree.folder(path).join(file)).ok()
        })
    }

    /// The text of a file of a v1 controller's tree, for the cgroup at `path`.
    pub(super) fn v1(
        &mut self,
        hierarchies: &Hierarchies,
        path: &str,
        controller: &'static str,
        file: &'static str,
    ) -> Option<String> {
        self.read((controller, file), || {
            let tree = hierarchies.v1(controller)?;
            File::open(tree.folder(path).join(file)).ok()
        })
    }

    /// Looks again, next time, for what was not there.
    pub(super) fn forget_missing(&mut self) {
        self.known.retain(|_, file| file.is_some());
    }

    fn read(&mut self, name: Name, open: impl FnOnce() -> Option<File>) -> Option<String> {
        if let Some(known) = self.known.get(&name)
            && let Some(text) = text_of(known.as_ref()?.file())
        {
            return Some(text);
        }
        // Not opened yet, or the cgroup was removed: there may be another of the same path.
        let Some(file) = open() else {
            self.known.insert(name, None);
            return None;
        };
        let text = text_of(&file);
        match Kept::new(file) {
            Some(file) => self.known.insert(name, Some(file)),
            None => self.known.remove(&name),
        };
        text
    }
}

/// The whole text from the beginning; nothing when the cgroup is gone.
fn text_of(file: &File) -> Option<String> {
    let mut text = Vec::new();
    let mut part = [0; 4096];
    while text.len() < LONGEST {
        match file.read_at(&mut part, text.len() as u64) {
            Ok(length) => {
                text.extend_from_slice(part.get(..length)?);
                // Each of these files is one record, of which a reading gives all that it has room for.
                if length < part.len() {
                    return String::from_utf8(text).ok();
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Files;
    use crate::container::hierarchy::Hierarchies;

    #[test]
    fn a_file_is_read_anew_each_time() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cgroup.controllers"), "").unwrap();
        fs::create_dir(folder.path().join("c")).unwrap();
        let path = folder.path().join("c/cpu.stat");
        let hierarchies = Hierarchies::under(folder.path()).unwrap();
        let mut files = Files::default();
        assert_eq!(files.v2(&hierarchies, "/c", "cpu.stat"), None);
        fs::write(&path, "one").unwrap();
        assert_eq!(files.v2(&hierarchies, "/c", "cpu.stat"), None);
        files.forget_missing();
        let read = |files: &mut Files| files.v2(&hierarchies, "/c", "cpu.stat").unwrap();
        assert_eq!(read(&mut files), "one");
        let long = "x".repeat(10_000);
        fs::write(&path, &long).unwrap();
        assert_eq!(read(&mut files), long);
    }
}
