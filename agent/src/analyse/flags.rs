//! The command line of `bubble-agent analyse`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::source::scap::MAGIC;

/// The flags of `analyse`; the server and its key are among the general ones.
#[derive(Debug, Args)]
pub struct Flags {
    /// The recording, gzipped or not; - for standard input
    #[arg(
        value_name = "FILE",
        required_unless_present = "watch",
        conflicts_with = "watch"
    )]
    pub file: Option<PathBuf>,
    /// Take captures from a folder as sysdig -w FOLDER/FILE -C 100 rotates them, until interrupted
    #[arg(long, value_name = "FOLDER")]
    pub watch: Option<PathBuf>,
    /// Format of the recording [default: guessed from its beginning]
    #[arg(long, env = "BUBBLE_FORMAT", value_enum)]
    pub format: Option<Format>,
    /// Name of the recording on the server [default: the file's name]
    #[arg(long, env = "BUBBLE_NAME", value_name = "NAME")]
    pub name: Option<String>,
    /// Post nothing, print a report
    #[arg(long)]
    pub dry_run: bool,
    /// Print the report as JSON, for programs
    #[arg(long)]
    pub json: bool,
    /// Print a report of each container with advice, as `bubble-agent run` does
    #[arg(long, conflicts_with = "json")]
    pub report: bool,
    /// Write io.tsv, cpu.tsv and processes.tsv with every row into this folder
    #[arg(long, value_name = "FOLDER", conflicts_with = "watch")]
    pub tables: Option<PathBuf>,
}

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
