//! The formats of recordings.

use clap::ValueEnum;

use crate::scap::MAGIC;

/// The format of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A capture: sysdig -w, Falco
    Scap,
    /// Lines or an array of JSON: sysdig -pc -j
    Json,
    /// Lines of text: sysdig -pc -t a
    Text,
}

impl Format {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scap => "scap",
            Self::Json => "json",
            Self::Text => "text",
        }
    }

    /// The format of a recording that begins with `data`, if it is known.
    pub fn guess(data: &[u8]) -> Option<Self> {
        if data.starts_with(&MAGIC) {
            return Some(Self::Scap);
        }
        match data.trim_ascii_start().first()? {
            b'{' | b'[' => Some(Self::Json),
            b'0'..=b'9' => Some(Self::Text),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Format;

    #[test]
    fn a_format_is_guessed_from_its_beginning() {
        assert_eq!(Format::guess(b" [\n{\"container.id\""), Some(Format::Json));
        assert_eq!(Format::guess(b"{\"container.id\""), Some(Format::Json));
        assert_eq!(Format::guess(b"23 1506127469.9 1 host"), Some(Format::Text));
        assert_eq!(Format::guess(b"\n\r\r\n\x1c\0"), Some(Format::Scap));
        assert_eq!(Format::guess(b"hello"), None);
        assert_eq!(Format::guess(b" \n"), None);
    }
}
