//! Text of others, such as a server's answer, for messages and the log.

/// Maximum number of characters.
const MAX_CHARACTERS: usize = 200;

/// The beginning of a text on one line. Characters that are not printable are escaped.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::new();
    let mut characters = text.chars();
    for character in characters.by_ref().take(MAX_CHARACTERS) {
        match character {
            '"' | '\'' | '\\' => printable.push(character),
            _ => printable.extend(character.escape_debug()),
        }
    }
    if characters.next().is_some() {
        printable.push('…');
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::{MAX_CHARACTERS, printable};

    #[test]
    fn a_foreign_text_is_one_short_line() {
        assert_eq!(printable("it isn't \"über\""), "it isn't \"über\"");
        let hostile = "a\nERROR b\r\u{1b}[2J\u{202e}";
        assert_eq!(printable(hostile), r"a\nERROR b\r\u{1b}[2J\u{202e}");
        let long = "x".repeat(MAX_CHARACTERS);
        assert_eq!(printable(&long), long);
        assert_eq!(printable(&"x".repeat(1 << 20)), format!("{long}…"));
    }
}
