//! A report as one HTML file: its document with charts, and its data. Nothing is loaded and nothing runs.

mod chart;
mod escape;

use std::fmt::Write as _;

use self::chart::charts;
use self::escape::escaped;
use super::document::{Block, Text};
use super::form::Report;
use super::print::{details, summary};

/// The file.
///
/// # Panics
/// Never: a report consists of what JSON has.
pub(super) fn html(report: &Report) -> String {
    let about = &report.container;
    let title = if about.name.is_empty() {
        &about.id
    } else {
        &about.name
    };
    let title = escaped(&Text::name(title).text());
    let data = serde_json::to_string(report).expect("JSON");
    // Within a script only this begins its end or a comment.
    let data = data.replace('<', "\\u003c");
    let style = include_str!("style.css");
    let mut body = String::new();
    blocks(&mut body, &summary(report));
    body.push_str(&charts(report));
    blocks(&mut body, &details(report));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n{body}</main>\n\
         <script type=\"application/json\" id=\"report\">{data}</script>\n</body>\n</html>\n"
    )
}

/// A piece of text. A name cannot change the direction of what follows it.
fn inline(text: &Text) -> String {
    let shown = escaped(&text.text());
    match text {
        Text::Plain(_) => shown,
        Text::Name(_) if shown.is_empty() => shown,
        Text::Name(_) => format!("<bdi>{shown}</bdi>"),
    }
}

fn blocks(out: &mut String, blocks: &[Block]) {
    for block in blocks {
        // Writing to a string does not fail.
        let _ = match block {
            Block::Title(title) => writeln!(out, "<h1>{}</h1>", inline(title)),
            Block::Heading(heading) => writeln!(out, "<h2>{}</h2>", escaped(heading)),
            Block::Facts(facts) => writeln!(out, "{}", facts_table(facts)),
            Block::List(items) => {
                let items = items.iter();
                let items = items.map(|item| format!("<li>{}</li>\n", inline(item)));
                writeln!(out, "<ul>\n{}</ul>", items.collect::<String>())
            }
            Block::Table { head, rows } => writeln!(out, "{}", table(head, rows)),
        };
    }
}

fn facts_table(facts: &[(&'static str, Text)]) -> String {
    let rows = facts.iter().map(|(name, value)| {
        let (name, value) = (escaped(name), inline(value));
        format!("<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>\n")
    });
    format!(
        "<table class=\"facts\"><tbody>\n{}</tbody></table>",
        rows.collect::<String>()
    )
}

fn table(head: &[&'static str], rows: &[Vec<Text>]) -> String {
    let head = head
        .iter()
        .map(|cell| format!("<th scope=\"col\">{}</th>", escaped(cell)));
    let rows = rows.iter().map(|cells| {
        let cells = cells
            .iter()
            .map(|cell| format!("<td>{}</td>", inline(cell)));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    });
    format!(
        "<div class=\"wide\"><table><thead><tr>{}</tr></thead><tbody>\n{}</tbody></table></div>",
        head.collect::<String>(),
        rows.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::html;
    use crate::report::form::{FileRow, ProcessRow, Report, ReportSeries, ReportStateSeries};

    /// A report with `name` wherever a stranger may choose one.
    fn report(name: &str) -> Report {
        let mut report = Report::default();
        for text in [
            &mut report.container.id,
            &mut report.container.name,
            &mut report.container.image,
            &mut report.container.host,
        ] {
            name.clone_into(text);
        }
        report.processes.rows_count = 1;
        report.processes.rows = vec![ProcessRow {
            command: name.to_owned(),
            ..ProcessRow::default()
        }];
        report.files.by_file.count = 1;
        report.files.by_file.rows = vec![FileRow {
            path: name.to_owned(),
            ..FileRow::default()
        }];
        report.missing = vec![name.to_owned()];
        report
    }

    #[test]
    fn a_name_is_never_markup() {
        let html = html(&report(
            "</script><script>alert(1)</script><img src=x onerror='a()'>\"\u{202e}",
        ));
        assert_eq!(html.matches("<script").count(), 1, "{html}");
        assert_eq!(html.matches("</script").count(), 1, "{html}");
        assert!(!html.contains("<img"), "{html}");
        assert_eq!(html.matches("</title").count(), 1);
        assert!(html.contains("<bdi>&lt;/script&gt;"), "{html}");
    }

    #[test]
    fn nothing_is_loaded() {
        let mut report = report("https://example.com/");
        report.series = ReportSeries {
            from: 7.0,
            step_seconds: 1,
            cores: vec![Some(1.0), None, Some(0.5)],
            memory_bytes: vec![Some(1 << 20), None, Some(1 << 21)],
            states: vec![ReportStateSeries {
                state: "disk".to_owned(),
                threads: vec![Some(1.0), None, Some(2.0)],
            }],
        };
        let html = html(&report);
        assert_eq!(html.matches("<figure").count(), 3, "{html}");
        for attribute in ["src=", "href=", "url(", "@import", "<link", "xlink"] {
            assert!(!html.contains(attribute), "{attribute}");
        }
    }

    #[test]
    fn the_file_has_its_data() {
        let report = report("a<b");
        let html = html(&report);
        let (_, data) = html.split_once("id=\"report\">").expect("data");
        let (data, _) = data.split_once("</script>").expect("an end");
        let data: serde_json::Value = serde_json::from_str(data).expect("JSON");
        assert_eq!(data, serde_json::to_value(&report).expect("JSON"));
    }
}
