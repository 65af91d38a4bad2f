//! One measured value, and its two forms: a line of JSON, or a row of a table.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A measured value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    /// The benchmark.
    pub(super) bench: String,
    /// The operation that was measured.
    pub(super) case: String,
    /// The condition it was measured under.
    pub(super) variant: String,
    pub(super) value: f64,
    pub(super) unit: String,
    /// More fields of a benchmark, printed after the others.
    #[serde(flatten)]
    pub(super) extra: Map<String, Value>,
}

impl Row {
    /// Parses a line of output. `None`: the line is not a JSON object.
    pub(super) fn parse(line: &str) -> Result<Option<Self>> {
        if !line.starts_with('{') {
            return Ok(None);
        }
        serde_json::from_str(line)
            .map(Some)
            .with_context(|| format!("not a row: {line}"))
    }

    pub(super) fn json(&self) -> Result<String> {
        serde_json::to_string(self).context("cannot write a row")
    }

    fn cells(&self) -> [String; 6] {
        let extra: Vec<String> = self
            .extra
            .iter()
            .map(|(name, value)| format!("{name}={}", unquoted(value)))
            .collect();
        [
            self.bench.clone(),
            self.case.clone(),
            self.variant.clone(),
            number(self.value),
            self.unit.clone(),
            extra.join(" "),
        ]
    }
}

/// Formats the rows as a table with aligned columns.
pub(super) fn table(rows: &[Row]) -> String {
    let head = ["bench", "case", "variant", "value", "unit", ""].map(str::to_owned);
    let lines: Vec<[String; 6]> = std::iter::once(head)
        .chain(rows.iter().map(Row::cells))
        .collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..6).map(|column| width(column).unwrap_or(0)).collect();
    let show = |line: &[String; 6]| {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .enumerate()
            // Numbers are aligned to the right, words to the left.
            .map(|(column, (cell, width))| match column {
                3 => format!("{cell:>width$}"),
                _ => format!("{cell:<width$}"),
            })
            .collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    lines.iter().map(show).collect()
}

/// Formats a value; small values get more decimals.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

fn unquoted(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{Row, table};

    #[test]
    fn a_row_keeps_what_a_benchmark_adds() {
        let line = r#"{"bench":"b","case":"c","variant":"v","value":1.5,"unit":"ns","where":"x"}"#;
        let row = Row::parse(line).unwrap().unwrap();
        assert_eq!(row.json().unwrap(), line);
        assert_eq!(
            table(&[row]),
            "bench  case  variant  value  unit\nb      c     v        1.500  ns    where=x\n"
        );
    }

    #[test]
    fn a_line_without_json_is_not_a_row() {
        assert_eq!(Row::parse("Compiling x").unwrap(), None);
        assert!(Row::parse(r#"{"bench":"b"}"#).is_err());
    }
}
