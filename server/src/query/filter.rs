//! Filters of tables: words that must all match a row.
//!
//! | word | matches |
//! |---|---|
//! | `curl` | a row with that text in any of its columns of text |
//! | `oom` | a row with this mark, if the table has a column of this name for one |
//! | `name:curl` | a row with that text in this column |
//! | `path:/var/*` | a row with this whole text, `*` standing for any text |
//! | `name:=sh` | a row with exactly this text |
//! | `path:=="/tmp/A"` | a row with exactly this text, case included |
//! | `label:team=ml` | a row with exactly this label, case ignored |
//! | `label:team`, `label:*eam=m*` | a row with a label that has this text, or is as this pattern |
//! | `failures:>0`, `pid:42` | a row with such a number (`<`, `<=`, `>`, `>=`, `=`; `k`, `M`, `G`, `KiB`, `MiB`, `GiB`) |
//! | `!path:/usr/*` | a row that the rest of the word does not match |
//! | `end:<12h` | a row with a time less than 12 hours ago (`s`, `m`, `h`, `d`) |
//!
//! Case is ignored otherwise. `"` around a part of a word keeps its blanks and colons; within them
//! `\"` stands for a quote and `\\` for a backslash.

use std::borrow::Cow;

/// Words of a filter at most.
const MAX_TERMS: usize = 32;

/// Type of a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Text.
    Text,
    /// Labels, `KEY=VALUE`, one a line. A row matches if one of them does.
    Labels,
    /// A mark that a row has or lacks: its column's name, or no text.
    Mark,
    /// A whole number.
    Number,
    /// Seconds since the Unix epoch.
    Time,
}

/// The value of a row in one column.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// A whole number.
    Number(u64),
    /// Seconds since the Unix epoch.
    Time(f64),
    /// Nothing is known.
    Unknown,
}

/// Why a filter is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Too many words.
    #[error("the filter has more than {MAX_TERMS} words")]
    TooLong,
    /// A comparison names no column.
    #[error("the filter names no column of this table: {0:?}")]
    UnknownColumn(String),
    /// The value of a column of numbers is no number.
    #[error("the filter needs a number, such as 42 or >10k (times: <12h): {0:?}")]
    NoNumber(String),
}

/// Words that must all match.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    terms: Vec<Term>,
}

/// One word.
#[derive(Debug, Clone, PartialEq)]
struct Term {
    /// Index of the column; `None` for all columns of text.
    column: Option<usize>,
    test: Test,
    /// Rows that the test does not accept match.
    negated: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Contains(String),
    Is(String),
    IsExactly(String),
    Glob(String),
    /// A line of the text passes this test.
    Line(Box<Self>),
    Compare(Comparison, f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

impl Filter {
    /// Parses a filter of rows with these columns, at `now` (seconds since the Unix epoch).
    ///
    /// # Errors
    /// When a word compares what is not a column of numbers.
    pub fn parse(
        text: &str,
        columns: &[(&str, ColumnType)],
        now: f64,
    ) -> Result<Self, FilterError> {
        let words = words(text);
        if words.len() > MAX_TERMS {
            return Err(FilterError::TooLong);
        }
        let terms = words.iter().map(|word| Term::new(word, columns, now));
        Ok(Self {
            terms: terms.collect::<Result<_, _>>()?,
        })
    }

    /// Whether a row with these values matches.
    pub fn matches(&self, values: &[Value<'_>]) -> bool {
        self.terms.iter().all(|term| {
            let accepted = match term.column {
                Some(column) => values
                    .get(column)
                    .is_some_and(|value| term.test.matches(value)),
                None => values
                    .iter()
                    .any(|value| matches!(value, Value::Text(_)) && term.test.matches(value)),
            };
            accepted != term.negated
        })
    }

    /// Whether every row matches.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }
}

/// A word without its quotes, and where its first colon outside of quotes is.
#[derive(Default)]
struct Word {
    text: String,
    colon: Option<usize>,
}

fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let (mut word, mut quoted) = (Word::default(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' => quoted = !quoted,
            '\\' if quoted => {
                let escaped = characters.next_if(|next| ['"', '\\'].contains(next));
                word.text.push(escaped.unwrap_or('\\'));
            }
            blank if blank.is_whitespace() && !quoted => words.push(std::mem::take(&mut word)),
            other => {
                if other == ':' && !quoted {
                    word.colon.get_or_insert(word.text.len());
                }
                word.text.push(other);
            }
        }
    }
    words.push(word);
    words.retain(|word| !word.text.is_empty());
    words
}

impl Term {
    fn new(word: &Word, columns: &[(&str, ColumnType)], now: f64) -> Result<Self, FilterError> {
        // A lone `!` is text.
        let negated = word.text.len() > 1 && word.text.starts_with('!');
        let start = usize::from(negated);
        let all = || Self {
            column: None,
            test: Test::Contains(word.text[start..].to_lowercase()),
            negated,
        };
        let Some(colon) = word.colon.filter(|colon| *colon >= start) else {
            // A name may have the text of a mark, which is not meant.
            let text = word.text[start..].to_lowercase();
            let mark = columns
                .iter()
                .position(|(name, kind)| *kind == ColumnType::Mark && *name == text);
            return Ok(match mark {
                Some(_) => Self {
                    column: mark,
                    test: Test::Is(text),
                    negated,
                },
                None => all(),
            });
        };
        let (name, value) = (&word.text[start..colon], &word.text[colon + 1..]);
        let Some(column) = columns.iter().position(|(column, _)| *column == name) else {
            // An address with a port is text, a comparison is a mistake.
            return match value.starts_with(['<', '>', '=']) {
                true => Err(FilterError::UnknownColumn(name.to_owned())),
                false => Ok(all()),
            };
        };
        let test = match columns[column].1 {
            ColumnType::Text | ColumnType::Mark => text_test(value),
            ColumnType::Labels => Test::Line(Box::new(match text_test(value) {
                Test::Contains(label) if label.contains('=') => Test::Is(label),
                test => test,
            })),
            kind => comparison(value, kind, now)
                .ok_or_else(|| FilterError::NoNumber(word.text.clone()))?,
        };
        Ok(Self {
            column: Some(column),
            test,
            negated,
        })
    }
}

fn text_test(value: &str) -> Test {
    if let Some(exact) = value.strip_prefix("==") {
        return Test::IsExactly(exact.to_owned());
    }
    let lower = value.to_lowercase();
    match lower.strip_prefix('=') {
        Some(exact) => Test::Is(exact.to_owned()),
        None if lower.contains('*') => Test::Glob(lower),
        None => Test::Contains(lower),
    }
}

/// `>10k`, `42`, `<12h`.
fn comparison(text: &str, kind: ColumnType, now: f64) -> Option<Test> {
    let signs = [
        ("<=", Comparison::AtMost),
        (">=", Comparison::AtLeast),
        ("<", Comparison::Less),
        (">", Comparison::More),
        ("=", Comparison::Equal),
        ("", Comparison::Equal),
    ];
    let (sign, comparison) = signs.into_iter().find(|(sign, _)| text.starts_with(sign))?;
    let text = &text[sign.len()..];
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let number: f64 = text[..digits].parse().ok()?;
    let ages = [("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)];
    let unit = &text[digits..];
    if kind == ColumnType::Time && !unit.is_empty() {
        let (_, seconds) = ages.into_iter().find(|(name, _)| *name == unit)?;
        // Less than 12 hours ago is later than the time 12 hours ago.
        return Some(Test::Compare(comparison.reversed(), now - number * seconds));
    }
    let units = [
        ("", 1.0),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("KiB", 1_024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
    ];
    let (_, factor) = units.into_iter().find(|(name, _)| *name == unit)?;
    Some(Test::Compare(comparison, number * factor))
}

impl Comparison {
    fn reversed(self) -> Self {
        match self {
            Self::Less => Self::More,
            Self::AtMost => Self::AtLeast,
            Self::Equal => Self::Equal,
            Self::AtLeast => Self::AtMost,
            Self::More => Self::Less,
        }
    }

    fn holds(self, a: f64, b: f64) -> bool {
        match self {
            Self::Less => a < b,
            Self::AtMost => a <= b,
            Self::Equal => a.total_cmp(&b).is_eq(),
            Self::AtLeast => a >= b,
            Self::More => a > b,
        }
    }
}

impl Test {
    fn matches(&self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Self::Contains(part), Value::Text(text)) => text.to_lowercase().contains(part),
            (Self::Is(whole), Value::Text(text)) => text.to_lowercase() == *whole,
            (Self::IsExactly(whole), Value::Text(text)) => text == whole,
            (Self::Glob(pattern), Value::Text(text)) => glob(pattern, &text.to_lowercase()),
            (Self::Line(test), Value::Text(text)) => test.matches_line(text),
            (Self::Compare(comparison, other), Value::Number(number)) => {
                comparison.holds(*number as f64, *other)
            }
            (Self::Compare(comparison, other), Value::Time(time)) => {
                comparison.holds(*time, *other)
            }
            _ => false,
        }
    }
}

impl Test {
    /// Whether a line of `text` matches. The value of a label may itself have several lines.
    fn matches_line(&self, text: &str) -> bool {
        let has = |text: &str, lines: &str| format!("\n{text}\n").contains(&format!("\n{lines}\n"));
        match self {
            Self::Is(whole) => has(&text.to_lowercase(), whole),
            Self::IsExactly(whole) => has(text, whole),
            test => text
                .split('\n')
                .any(|line| test.matches(&Value::Text(Cow::Borrowed(line)))),
        }
    }
}

/// Whether `text` is as `pattern` says, in which `*` stands for any text.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    // The leftmost match of each part leaves most for the others.
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::{ColumnType, Filter, FilterError, Value, glob};

    const COLUMNS: [(&str, ColumnType); 7] = [
        ("name", ColumnType::Text),
        ("peer", ColumnType::Text),
        ("failures", ColumnType::Number),
        ("end", ColumnType::Time),
        ("quoted", ColumnType::Text),
        ("label", ColumnType::Labels),
        ("oom", ColumnType::Mark),
    ];
    const NOW: f64 = 1_000_000.0;

    fn matches(filter: &str) -> bool {
        matches_row(filter, "", "")
    }

    fn matches_row(filter: &str, labels: &str, mark: &str) -> bool {
        let filter = Filter::parse(filter, &COLUMNS, NOW).expect("a filter");
        filter.matches(&[
            Value::Text(Cow::Borrowed("Web server")),
            Value::Text(Cow::Borrowed("10.0.0.1:5432")),
            Value::Number(1_500),
            Value::Time(NOW - 3_600.0),
            Value::Text(Cow::Borrowed(r#"a "b" \ \c"#)),
            Value::Text(Cow::Borrowed(labels)),
            Value::Text(Cow::Borrowed(mark)),
        ])
    }

    #[test]
    fn a_label_matches_as_a_whole() {
        let labels = "note=two\nlines\nstage=Test\nteam=ml";
        for (filter, is) in [
            ("label:team=ml", true),
            ("label:TEAM=ML", true),
            ("label:=team=ml", true),
            ("label:==team=ml", true),
            ("label:==stage=test", false),
            ("label:==\"note=two\nlines\"", true),
            ("label:team", true),
            ("label:ml", true),
            ("label:*eam=m*", true),
            ("label:team=*", true),
            ("label:stage=*ml", false),
            ("!label:team=mlops", true),
        ] {
            assert_eq!(matches_row(filter, labels, ""), is, "{filter}");
        }
        for labels in ["team=mlops", "subteam=ml", ""] {
            assert!(!matches_row("label:team=ml", labels, ""), "{labels}");
        }
    }

    #[test]
    fn a_lone_mark_matches_no_names() {
        for (filter, labels, mark, is) in [
            ("oom", "app=zoom-gateway", "", false),
            ("oom", "", "oom", true),
            ("OOM", "app=zoom-gateway", "", false),
            ("!oom", "", "oom", false),
            ("oom:oom", "", "oom", true),
            ("zoom", "app=zoom-gateway", "", true),
            ("label:oom", "app=zoom-gateway", "", true),
        ] {
            assert_eq!(matches_row(filter, labels, mark), is, "{filter} {labels}");
        }
    }

    #[test]
    fn all_words_must_match() {
        for filter in [
            "",
            "web",
            "SERVER web",
            "name:web",
            "name:\"web server\"",
            "name:=\"web server\"",
            "name:==\"Web server\"",
            r#"quoted:=="a \"b\" \\ \c""#,
            "name:w*r",
            "10.0.0.1:5432",
            "peer:10.0.0.1:*",
            "failures:>1k",
            "failures:1500",
            "failures:<=1.5k web",
            "end:<2h",
            "!absent !name:x* !failures:>2k",
            "end:>30m",
            "\"10.0.0.1:5432\"",
        ] {
            assert!(matches(filter), "{filter}");
        }
        for filter in [
            "web absent",
            "name:5432",
            "name:=web",
            "name:==\"web server\"",
            "name:w*x",
            "failures:>1.5k",
            "failures:<1KiB",
            "!web",
            "!name:w*r",
            "end:<1m",
            "postgres:16",
        ] {
            assert!(!matches(filter), "{filter}");
        }
    }

    #[test]
    fn a_mistake_is_an_error_and_never_an_empty_table() {
        let parse = |text: &str| Filter::parse(text, &COLUMNS, NOW);
        assert_eq!(
            parse("failurs:>0"),
            Err(FilterError::UnknownColumn("failurs".to_owned()))
        );
        for text in ["failures:many", "failures:>", "failures:>3h", "end:<3x"] {
            assert_eq!(
                parse(text),
                Err(FilterError::NoNumber(text.to_owned())),
                "{text}"
            );
        }
        assert_eq!(parse(&"a ".repeat(40)), Err(FilterError::TooLong));
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, is) in [
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(glob(pattern, text), is, "{pattern} {text}");
        }
    }
}
