//! Output of sysdig, compared with the capture that it printed.
//!
//! The output of `sysdig -pc -j` and `sysdig -pc -t a` for 502error.scap is in `legacy`, in the
//! folder of foreign recordings (`BUBBLE_CAPTURES`, `../shared` by default).
//! `sysdig/differences.tsv` has the rows that the two formats cannot carry, each with the reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bubble_agent::analyse::tables::Tables;
use bubble_agent::source::recording::input::Input;
use bubble_agent::source::recording::{Recording, Step};
use bubble_agent::source::scap::{Capture, Options};
use bubble_agent::source::sysdig::{Syntax, Sysdig};
use bubble_agent::window::Window;
use bubble_common::segment::SourceId;
use bubble_testing::captures;

/// The tables of a recording.
fn tables(mut recording: impl Recording) -> Tables<Window> {
    let mut tables = Tables::new(Window::new(SourceId([1; 16]), 0));
    while let Step::More = recording.step(&mut tables).unwrap() {
        // Segments are not needed here, and must not pile up.
        tables.inner.take_closed();
    }
    tables
}

fn printed(file: &Path, syntax: Syntax) -> Tables<Window> {
    tables(Sysdig::new(Input::open(file).unwrap(), syntax, None))
}

/// The capture, its expected I/O, and its tables by sysdig's JSON and text.
fn recordings() -> Option<(PathBuf, PathBuf, [Tables<Window>; 2])> {
    let others = captures::folder_if_present()?;
    let (captures, legacy) = (others.join("captures"), others.join("legacy"));
    Some((
        captures.join("502error.scap"),
        captures.join("expected/502error.io.tsv"),
        [
            printed(&legacy.join("502error.jsonl.gz"), Syntax::Json),
            printed(&legacy.join("502error.txt.gz"), Syntax::Text),
        ],
    ))
}

fn rows(table: &str) -> BTreeSet<String> {
    table.lines().skip(1).map(str::to_owned).collect()
}

/// Compares the rows of a table, without those in `differences.tsv`. Such a row names its table,
/// and its side: the capture or the output.
fn check(name: &str, capture: &str, printed: &str) {
    let (mut capture, mut printed) = (rows(capture), rows(printed));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sysdig/differences.tsv");
    let differences = fs::read_to_string(file).unwrap();
    for line in differences.lines().skip(1) {
        let [table, side, why, row] = line
            .splitn(4, '\t')
            .collect::<Vec<_>>()
            .try_into()
            .unwrap_or_else(|_| panic!("{line}: table, side, why, row"));
        assert!(!why.is_empty(), "{row}: no reason");
        if table == name {
            let known = match side {
                "capture" => capture.remove(row),
                _ => printed.remove(row),
            };
            assert!(known, "{name}: {side} has no such row any more: {row}");
        }
    }
    let missing: Vec<_> = capture.difference(&printed).collect();
    let surplus: Vec<_> = printed.difference(&capture).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "{name}: missing {missing:#?}, surplus {surplus:#?}"
    );
}

#[test]
fn json_and_text_have_the_same_tables() {
    let Some((_, _, [json, text])) = recordings() else {
        return;
    };
    assert_eq!(json.io(), text.io());
    assert_eq!(json.cpu(), text.cpu());
    assert_eq!(json.last_cpu(), text.last_cpu());
    assert_eq!(json.processes(), text.processes());
}

#[test]
fn they_have_the_tables_of_the_capture() {
    let Some((capture, expected, [json, _])) = recordings() else {
        return;
    };
    let options = Options::default();
    let capture = tables(Capture::new(Input::open(&capture).unwrap(), options));
    check("io", &capture.io(), &json.io());
    check("cpu", &capture.cpu(), &json.cpu());
    check("last_cpu", &capture.last_cpu(), &json.last_cpu());
    check("processes", &capture.processes(), &json.processes());
    let expected = fs::read_to_string(expected).unwrap();
    check("expected_io", &expected, &json.io());
}
