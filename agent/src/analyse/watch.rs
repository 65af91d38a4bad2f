//! Captures as they are rotated: `sysdig -w FOLDER/FILE -C 100 -W 10`.
//!
//! The file that changed last is still being written; the others are complete. A name may be
//! used again for another capture, so a file is identified by its name and time of change.
//! Scanning once a second needs no inotify, and works on network file systems.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use std::{fs, io, thread};

/// Time between two scans of the folder.
const SCAN_INTERVAL: Duration = Duration::from_secs(1);

/// Calls `take` for each file of `folder` once it is complete, until `stop` is set; then for
/// the last one, too.
///
/// # Errors
/// When the folder cannot be read, or when `take` fails.
pub(super) fn watch<E: From<io::Error>>(
    folder: &Path,
    stop: &AtomicBool,
    mut take: impl FnMut(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let mut taken = HashMap::new();
    loop {
        let stopping = stop.load(Ordering::Relaxed);
        for (changed, file) in complete(folder, stopping)? {
            if taken.get(&file) != Some(&changed) {
                take(&file)?;
                taken.insert(file, changed);
            }
        }
        // A file that is gone needs no entry.
        taken.retain(|file, _| file.exists());
        if stopping {
            return Ok(());
        }
        thread::sleep(SCAN_INTERVAL);
    }
}

/// The files of a folder that are complete, in the order in which they were written.
fn complete(folder: &Path, all: bool) -> io::Result<Vec<(SystemTime, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // It may be gone by now.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if metadata.is_file() && metadata.len() > 0 {
            files.push((metadata.modified()?, entry.path()));
        }
    }
    files.sort();
    if !all {
        files.pop();
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, SystemTime};

    use super::watch;

    fn write(folder: &Path, name: &str, second: u64) {
        let path = folder.join(name);
        fs::write(&path, name).unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(at)
            .unwrap();
    }

    #[test]
    fn a_file_is_taken_once_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, stop) = (folder.path(), AtomicBool::new(false));
        write(folder, "b", 1);
        write(folder, "a", 2);
        write(folder, "c", 3);
        let mut taken = Vec::new();
        watch(folder, &stop, |file| {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            // While "a" is read "c" becomes complete, and "b" is used again.
            if name == "a" {
                write(folder, "b", 4);
                stop.store(true, Ordering::Relaxed);
            }
            taken.push(name);
            Ok::<_, io::Error>(())
        })
        .unwrap();
        assert_eq!(taken, ["b", "a", "c", "b"]);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let stop = AtomicBool::new(false);
        let result = watch(Path::new("/nowhere"), &stop, |_| Ok::<_, io::Error>(()));
        assert!(result.is_err());
    }
}
