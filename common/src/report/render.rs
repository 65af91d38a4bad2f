//! A report as text, Markdown or JSON.

use super::document;
use super::form::Report;
use super::print::blocks;

/// How a report is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// Text for a terminal.
    #[default]
    Text,
    /// Markdown, as GitHub shows it.
    Markdown,
}

/// The report in this format, ending with a line feed.
pub fn render(report: &Report, format: Format) -> String {
    let blocks = blocks(report);
    match format {
        Format::Text => document::text(&blocks),
        Format::Markdown => document::markdown(&blocks),
    }
}
