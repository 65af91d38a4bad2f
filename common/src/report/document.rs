//! A document of headings, facts, lists and tables, which is written as text or as Markdown.

use std::fmt::Write as _;

use super::words::clean;

/// Columns of a line that lists are wrapped to.
const WIDTH: usize = 100;
/// Width of the names of facts.
const FACT_WIDTH: usize = 11;

/// A piece of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Text {
    /// Ours.
    Plain(String),
    /// A name that a stranger may have chosen.
    Name(String),
}

/// A part of a document.
#[derive(Debug)]
pub(super) enum Block {
    /// The title of the document.
    Title(Text),
    /// A heading.
    Heading(&'static str),
    /// Names and values.
    Facts(Vec<(&'static str, Text)>),
    /// Sentences.
    List(Vec<Text>),
    /// Rows of columns. All but the last are aligned to the right. The last row may stand for the rest.
    Table {
        head: Vec<&'static str>,
        rows: Vec<Vec<Text>>,
    },
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::Plain(text)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::Plain(text.to_owned())
    }
}

impl Text {
    /// A name that a stranger may have chosen.
    pub(super) fn name(text: &str) -> Self {
        Self::Name(text.to_owned())
    }

    /// The text as it is shown, without markup.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Name(text) => clean(text),
        }
    }

    fn markdown(&self) -> String {
        match self {
            Self::Plain(text) => escaped(text),
            Self::Name(text) if text.is_empty() => String::new(),
            // Within code nothing is markup but its end, and a bar ends a cell.
            Self::Name(text) => {
                let text = clean(text).replace('`', "'").replace('|', "\\|");
                format!("`{text}`")
            }
        }
    }
}

/// `text` with a backslash before each character that Markdown may take for markup.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        if matches!(
            letter,
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~' | '#'
        ) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// The document as text for a terminal.
pub(super) fn text(blocks: &[Block]) -> String {
    let mut out = String::new();
    for (index, block) in blocks.iter().enumerate() {
        let is_below_heading =
            index > 0 && matches!(blocks[index - 1], Block::Heading(_) | Block::Title(_));
        if index > 0 && !is_below_heading {
            out.push('\n');
        }
        match block {
            Block::Title(title) => line(&mut out, &title.text()),
            Block::Heading(heading) => line(&mut out, heading),
            Block::Facts(facts) => {
                for (name, value) in facts {
                    line(&mut out, &format!("  {name:<FACT_WIDTH$} {}", value.text()));
                }
            }
            Block::List(items) => {
                for item in items {
                    wrapped(&mut out, &item.text());
                }
            }
            Block::Table { head, rows } => text_table(&mut out, head, rows),
        }
    }
    out
}

fn line(out: &mut String, text: &str) {
    out.push_str(text.trim_end());
    out.push('\n');
}

/// An item of a list, in lines of at most [`WIDTH`].
fn wrapped(out: &mut String, text: &str) {
    let mut current = "  -".to_owned();
    for word in text.split(' ') {
        let is_full = current.chars().count() + 1 + word.chars().count() > WIDTH;
        if is_full && current.len() > 4 {
            line(out, &current);
            "   ".clone_into(&mut current);
        }
        current.push(' ');
        current.push_str(word);
    }
    line(out, &current);
}

fn text_table(out: &mut String, head: &[&str], rows: &[Vec<Text>]) {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(Text::text).collect())
        .collect();
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    text_row(out, head, &widths);
    for row in &rows {
        let cells: Vec<&str> = row.iter().map(String::as_str).collect();
        text_row(out, &cells, &widths);
    }
}

fn text_row(out: &mut String, cells: &[&str], widths: &[usize]) {
    let last = cells.len().saturating_sub(1);
    let mut text = "  ".to_owned();
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        // Writing to a string does not fail.
        let _ = match index {
            index if index == last => write!(text, "{cell}"),
            _ => write!(text, "{cell:>width$}  "),
        };
    }
    line(out, &text);
}

/// The document as Markdown (GitHub's, which has tables).
pub(super) fn markdown(blocks: &[Block]) -> String {
    let mut out = String::new();
    for (index, block) in blocks.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        match block {
            Block::Title(title) => line(&mut out, &format!("## {}", title.markdown())),
            Block::Heading(heading) => line(&mut out, &format!("### {heading}")),
            Block::Facts(facts) => {
                row(&mut out, ["", ""].into_iter().map(str::to_owned));
                line(&mut out, "|---|---|");
                for (name, value) in facts {
                    row(&mut out, [(*name).to_owned(), value.markdown()].into_iter());
                }
            }
            Block::List(items) => {
                for item in items {
                    line(&mut out, &format!("- {}", item.markdown()));
                }
            }
            Block::Table { head, rows } => {
                row(&mut out, head.iter().map(|cell| (*cell).to_owned()));
                let last = head.len().saturating_sub(1);
                let rule = |index: usize| if index == last { "---" } else { "--:" };
                row(
                    &mut out,
                    (0..head.len()).map(|index| rule(index).to_owned()),
                );
                for cells in rows {
                    row(&mut out, cells.iter().map(Text::markdown));
                }
            }
        }
    }
    out
}

fn row(out: &mut String, cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = cells.collect();
    line(out, &format!("| {} |", cells.join(" | ")));
}

#[cfg(test)]
mod tests {
    use super::{Block, Text, markdown, text};

    fn document() -> Vec<Block> {
        vec![
            Block::Title(Text::name("a|b`\x1b[2J")),
            Block::Facts(vec![("wall", "1 s_*<b>".into())]),
            Block::Heading("Files"),
            Block::Table {
                head: vec!["read", "path"],
                rows: vec![vec!["10 B".into(), Text::name("/x|y`z")]],
            },
        ]
    }

    #[test]
    fn a_name_is_never_markup() {
        let text = markdown(&document());
        let expected = "## `a\\|b'·[2J`\n\n|  |  |\n|---|---|\n| wall | 1 s\\_\\*\\<b\\> |\n\n\
                        ### Files\n\n| read | path |\n| --: | --- |\n| 10 B | `/x\\|y'z` |\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn columns_of_text_are_aligned() {
        let expected = "a|b`·[2J\n  wall        1 s_*<b>\n\nFiles\n  read  path\n  10 B  /x|y`z\n";
        assert_eq!(text(&document()), expected);
    }

    #[test]
    fn a_long_sentence_is_wrapped() {
        let long = "word ".repeat(40);
        let text = text(&[Block::List(vec![long.trim().into()])]);
        assert_eq!(text.matches("word").count(), 40);
        assert!(
            text.lines().count() == 3 && text.lines().all(|line| line.len() <= 100),
            "{text}"
        );
    }
}
