//! A report as text, Markdown, HTML or JSON, or as the fields of another tool.

use serde::Deserialize;

use super::form::Report;
use super::print::blocks;
use super::{document, fields, html};

/// How a report is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = ReportFormat))]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text for a terminal.
    #[default]
    Text,
    /// Markdown, as GitHub shows it.
    Markdown,
    /// One HTML file with charts and the JSON, without anything to load.
    Html,
    /// JSON.
    Json,
    /// The lines of GNU `time -v` that are known.
    Time,
    /// A file of Snakemake's `benchmark`: a line of names and one of values.
    Snakemake,
    /// The file `.command.trace` of a task of Nextflow.
    Nextflow,
}

/// The text names no [`Format`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {}", Format::NAMES.join(", "))]
pub struct UnknownFormat;

impl Format {
    /// The names of all formats.
    pub const NAMES: [&str; 7] = [
        "text",
        "markdown",
        "html",
        "json",
        "time",
        "snakemake",
        "nextflow",
    ];
    /// All formats, in the order of their names.
    pub const ALL: [Self; 7] = [
        Self::Text,
        Self::Markdown,
        Self::Html,
        Self::Json,
        Self::Time,
        Self::Snakemake,
        Self::Nextflow,
    ];

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Html => "text/html; charset=utf-8",
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Snakemake => "text/tab-separated-values; charset=utf-8",
            Self::Text | Self::Time | Self::Nextflow => "text/plain; charset=utf-8",
        }
    }
}

impl std::str::FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let index = Self::NAMES.iter().position(|name| *name == text);
        index.map(|index| Self::ALL[index]).ok_or(UnknownFormat)
    }
}

/// The report in this format, ending with a line feed.
///
/// # Panics
/// Never: a report consists of what JSON has.
pub fn render(report: &Report, format: Format) -> String {
    match format {
        Format::Text => document::text(&blocks(report)),
        Format::Markdown => document::markdown(&blocks(report)),
        Format::Html => html::html(report),
        Format::Json => serde_json::to_string_pretty(report).expect("JSON") + "\n",
        Format::Time => fields::time(report),
        Format::Snakemake => fields::snakemake(report),
        Format::Nextflow => fields::nextflow(report),
    }
}

#[cfg(test)]
mod tests {
    use super::{Format, UnknownFormat};

    #[test]
    fn each_format_has_the_name_by_which_it_is_asked_for() {
        for (name, format) in Format::NAMES.into_iter().zip(Format::ALL) {
            assert_eq!(name.parse(), Ok(format));
            let named: Format = serde_json::from_str(&format!("{name:?}")).unwrap();
            assert_eq!(named, format);
        }
        assert_eq!("pdf".parse::<Format>(), Err(UnknownFormat));
    }
}
