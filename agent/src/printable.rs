//! Text of others: a server's answer, for messages and the log; names that the kernel reports, which may
//! hold any byte.

use std::fmt::Write as _;

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

/// The text of a name or path. Bytes that are no UTF-8 become `\xff`, so that two names stay apart.
pub(crate) fn escape_bytes(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a String does not fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{MAX_CHARACTERS, escape_bytes, printable};

    #[test]
    fn bytes_that_are_no_text_stay_apart() {
        assert_eq!(escape_bytes(b"a\n\xc3\xbc"), "a\n\u{fc}");
        assert_eq!(escape_bytes(b"x\xff\xfey"), r"x\xff\xfey");
        assert_ne!(escape_bytes(b"x\xff"), escape_bytes(b"x\xfd"));
        // The kernel cuts names after a byte.
        assert_eq!(escape_bytes(b"x\xe2\x82"), r"x\xe2\x82");
    }

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
