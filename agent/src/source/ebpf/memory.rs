//! Memory of running processes, from /proc.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use bubble_common::segment::process::Memory;

use crate::fd_budget::RetainedFile;
use crate::proc::stat::memory_of_statm;
use crate::proc::{ProcessFolder, TICK, unless_gone};

/// Maximum length of `statm` or `status` of a process in bytes.
const MAX_TEXT: usize = 16 * 1024;

/// Size of a page in bytes.
pub fn page_size() -> u64 {
    rustix::param::page_size() as u64
}

/// The open file with the memory of a process. It fails to read once its thread has ended, even if
/// another one has the number.
#[derive(Debug)]
pub struct MemoryFile {
    file: RetainedFile,
    /// It is `status`. `statm` has no swap.
    is_status: bool,
}

/// Reads the memory of processes into one buffer.
pub struct Reader {
    buffer: Vec<u8>,
    page: u64,
    /// The host has swap. Without swap `statm` is enough, which is cheaper.
    swap: bool,
}

impl Reader {
    /// A reader that knows whether the host has swap.
    pub fn new() -> Self {
        let mut reader = Self {
            buffer: vec![0; MAX_TEXT],
            page: page_size(),
            swap: true,
        };
        reader.detect_swap();
        reader
    }

    /// Checks whether the host has swap, which may be added at any time.
    pub fn detect_swap(&mut self) {
        match unless_gone(fs::read_to_string("/proc/swaps")) {
            // A kernel without swap has no such file.
            Ok(text) => self.swap = text.is_some_and(|text| text.lines().count() > 1),
            // What is known stays. Without a first look, `status` has all in any case.
            Err(error) => tracing::debug!(%error, "cannot read /proc/swaps"),
        }
    }

    /// The memory of the process that was forked at `start` (ns since boot). `None` when it has ended.
    /// `retained` is its open file, if any.
    ///
    /// # Errors
    /// When the process may run, but cannot be read.
    pub fn read(
        &mut self,
        pid: u32,
        start: u64,
        retained: &mut Option<MemoryFile>,
    ) -> io::Result<Option<Memory>> {
        if let Some(source) = retained.take_if(|source| source.is_status == self.swap)
            && let Ok(Some(memory)) = self.memory(source.file.file())
        {
            *retained = Some(source);
            return Ok(Some(memory));
        }
        let process = ProcessFolder::new(Path::new("/proc"), pid);
        let stat = unless_gone(process.stat())?.flatten();
        let Some(stat) = stat.filter(|stat| stat.start == start / TICK) else {
            return Ok(None);
        };
        let Some((folder, _)) = process.living(stat)? else {
            return Ok(None);
        };
        let name = if self.swap { "status" } else { "statm" };
        let Some(file) = unless_gone(File::open(folder.join(name)))? else {
            return Ok(None);
        };
        let Some(memory) = self.memory(&file)? else {
            return Ok(None);
        };
        let is_status = self.swap;
        *retained = RetainedFile::new(file).map(|file| MemoryFile { file, is_status });
        Ok(Some(memory))
    }

    /// The memory in a file. `None` if its thread has ended: it has no memory then.
    fn memory(&mut self, file: &File) -> io::Result<Option<Memory>> {
        // One read returns the whole text; a second one would cost as much again.
        let Some(length) = unless_gone(file.read_at(&mut self.buffer, 0))? else {
            return Ok(None);
        };
        let text = self.buffer.get(..length).unwrap_or_default();
        let memory = if self.swap {
            // The name in it need not be UTF-8.
            Some(of_status(&String::from_utf8_lossy(text)))
        } else {
            memory_of_statm(text, self.page)
        };
        Ok(memory.filter(|memory| memory.vm != 0))
    }
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

/// Memory from `status`. The lines are missing while a process exits.
fn of_status(text: &str) -> Memory {
    let rss = kib(text, "VmRSS:").unwrap_or(0);
    Memory {
        vm: kib(text, "VmSize:").unwrap_or(0),
        rss,
        swap: kib(text, "VmSwap:").unwrap_or(0),
        private: kib(text, "RssAnon:").unwrap_or(rss).min(rss),
    }
}

/// The value of a line like `VmSwap:      12 kB`, in bytes.
fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    number.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::{Memory, of_status};

    #[test]
    fn memory_is_lines_of_status() {
        let text = "Name:\tx\nUid:\t1\t2\t3\t4\nNSpid:\t100\t20\t3\nVmSize:\t  7 kB\nVmRSS:\t 5 kB\n\
            RssAnon:\t 2 kB\nRssFile:\t 2 kB\nRssShmem:\t 1 kB\nVmSwap:\t      12 kB\n";
        let expected = Memory {
            vm: 7 * 1024,
            rss: 5 * 1024,
            swap: 12 * 1024,
            private: 2 * 1024,
        };
        assert_eq!(of_status(text), expected);
        let hostile = "VmSize: 12 MB\nVmRSS:\nRssAnon: -1 kB\nVmSwap: 99999999999999999999 kB";
        assert_eq!(of_status(hostile), Memory::default());
    }
}
