//! A saved file: the page and its data in one HTML document that needs no server.
//!
//! Its policy lets no script run but the page's own, whose hash it has, and no request leave. The data
//! is compressed and in base64, so nothing in it can end its element.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bubble_common::segment::facts;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::assets::{Dist, NOT_BUILT};
use crate::store::container::Container;

/// The page in one script and one style sheet: `vite.file.config.ts` makes them.
const SCRIPT: &str = "file/page.js";
const STYLE: &str = "file/page.css";

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The page is missing.
    #[error("{NOT_BUILT}")]
    NotBuilt,
}

/// Makes the document called `title` with `data`, JSON that the page reads.
///
/// # Errors
/// When the server was built without its page.
pub fn document(title: &str, data: &[u8]) -> Result<String, DocumentError> {
    let (script, style) = (asset(SCRIPT)?, asset(STYLE)?);
    Ok(assemble(title, data, &script, &style))
}

/// The title of a container's document.
pub fn title(container: &Container) -> String {
    let name = container.facts.get(facts::NAME);
    let name = name.filter(|name| !name.is_empty());
    name.map_or(container.id.as_str(), String::as_str)
        .to_owned()
}

fn asset(path: &str) -> Result<String, DocumentError> {
    let file = Dist::get(path).ok_or(DocumentError::NotBuilt)?;
    Ok(String::from_utf8_lossy(&file.data).into_owned())
}

fn assemble(title: &str, data: &[u8], script: &str, style: &str) -> String {
    let script = script
        .replace("</script", "<\\/script")
        .replace("<!--", "<\\!--");
    let (script_hash, style_hash) = (hash(&script), hash(style));
    let (title, data) = (escaped(title), packed(data));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         script-src '{script_hash}'; style-src '{style_hash}'; style-src-attr 'unsafe-inline'; \
         img-src data: blob:; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n<div id=\"app\"></div>\n\
         <noscript>This page needs JavaScript to draw its charts.</noscript>\n\
         <script type=\"application/octet-stream\" id=\"bubble-data\">{data}</script>\n\
         <script>{script}</script>\n</body>\n</html>\n"
    )
}

/// The source expression of an inline script or style (Content Security Policy, section 2.3.1).
fn hash(text: &str) -> String {
    format!(
        "sha256-{}",
        STANDARD.encode(Sha256::digest(text.as_bytes()))
    )
}

/// Compressed, in base64.
fn packed(data: &[u8]) -> String {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(data);
    STANDARD.encode(encoder.finish().unwrap_or_default())
}

fn escaped(text: &str) -> String {
    let character = |c: char| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        c => c.to_string(),
    };
    text.chars().map(character).collect()
}

#[cfg(test)]
mod tests {
    use super::assemble;

    #[test]
    fn names_and_data_end_no_element() {
        let data = b"{\"name\": \"</script><script>alert(1)</script>\"}";
        let html = assemble("</title><script>", data, "let a = \"</script>\";", "p{}");
        assert_eq!(html.matches("<script").count(), 2, "{html}");
        assert_eq!(html.matches("</script").count(), 2, "{html}");
        assert_eq!(html.matches("</title").count(), 1, "{html}");
        assert!(!html.contains("alert"), "{html}");
        assert!(html.contains("script-src 'sha256-"), "{html}");
    }
}
