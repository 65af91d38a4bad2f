//! The files of /proc/PID that are read each second.

/// What /proc/PID/stat says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stat {
    /// The kernel's `comm`.
    pub name: String,
    /// Process id of the parent.
    pub parent: u32,
    /// CPU time in user mode and in the kernel, of all its threads, in ticks.
    pub cpu: u64,
    /// When it was started, in ticks since boot.
    pub start: u64,
    /// Virtual size in bytes.
    pub vm: u64,
    /// Resident set in pages.
    pub rss_pages: u64,
    /// The core that its first thread was last on.
    pub core: u32,
}

impl Stat {
    /// Parses the text of a /proc/PID/stat. The name may hold anything, also
    /// parentheses and line ends; all that follows its last parenthesis is numbers.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let open = text.iter().position(|byte| *byte == b'(')?;
        let close = text.iter().rposition(|byte| *byte == b')')?;
        let name = String::from_utf8_lossy(text.get(open + 1..close)?).into_owned();
        let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Fields are counted from 1 in proc(5), and the first here is the third.
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            name,
            parent: u32::try_from(number(4)?).ok()?,
            cpu: number(14)?.checked_add(number(15)?)?,
            start: number(22)?,
            vm: number(23)?,
            rss_pages: number(24)?,
            core: number(39)
                .and_then(|core| u32::try_from(core).ok())
                .unwrap_or(0),
        })
    }
}

/// What /proc/PID/io says: of all descriptors together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Io {
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Calls that read.
    pub ops_in: u64,
    /// Calls that wrote.
    pub ops_out: u64,
}

impl Io {
    /// Parses the text of a /proc/PID/io.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let number = |key: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(key))?;
            value.trim().parse().ok()
        };
        Some(Self {
            bytes_in: number("rchar:")?,
            bytes_out: number("wchar:")?,
            ops_in: number("syscr:")?,
            ops_out: number("syscw:")?,
        })
    }
}

/// User id, and process id in the innermost pid namespace, by the text of a /proc/PID/status.
pub fn identity(text: &[u8]) -> (u32, u32) {
    let text = String::from_utf8_lossy(text);
    let words = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.unwrap_or_default().split_ascii_whitespace()
    };
    let number = |word: Option<&str>| word.and_then(|word| word.parse().ok()).unwrap_or(0);
    (number(words("Uid:").next()), number(words("NSpid:").last()))
}

#[cfg(test)]
mod tests {
    use super::{Io, Stat, identity};

    /// As a 6.18 kernel writes it.
    const STAT: &str = "71 (a) b (c) S 1 71 71 0 -1 4194560 180 0 0 0 12 34 0 0 20 0 1 0 5678 2908160 321 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 3 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

    #[test]
    fn a_process() {
        let expected = Stat {
            name: "a) b (c".to_owned(),
            parent: 1,
            cpu: 46,
            start: 5_678,
            vm: 2_908_160,
            rss_pages: 321,
            core: 3,
        };
        assert_eq!(Stat::parse(STAT.as_bytes()), Some(expected));
    }

    #[test]
    fn hostile_texts() {
        for cut in 0..STAT.len() {
            let _ = Stat::parse(&STAT.as_bytes()[..cut]);
        }
        for text in [
            "",
            "(",
            ")(",
            "1 () S",
            "1 (x) S 99999999999 1 1",
            "\u{ff}(",
        ] {
            assert_eq!(Stat::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Io::parse(b"rchar: 1\nwchar: x\n"), None);
        assert_eq!(Io::parse(&[0xff]), None);
        assert_eq!(identity(b"Uid:\nNSpid:\t\n"), (0, 0));
    }

    #[test]
    fn reads_and_writes() {
        let text = "rchar: 10\nwchar: 20\nsyscr: 1\nsyscw: 2\nread_bytes: 0\nwrite_bytes: 0\n";
        let expected = Io {
            bytes_in: 10,
            bytes_out: 20,
            ops_in: 1,
            ops_out: 2,
        };
        assert_eq!(Io::parse(text.as_bytes()), Some(expected));
    }

    #[test]
    fn who_it_is() {
        let text = b"Name:\tx\nUid:\t1000\t1000\t1000\t1000\nNSpid:\t71\t5\n";
        assert_eq!(identity(text), (1_000, 5));
    }
}
