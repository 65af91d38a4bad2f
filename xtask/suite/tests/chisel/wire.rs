//! Compares the posted rows with those of an independent reader of the capture, with those of the
//! original chisel, and with the output of sysdig itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bubble_testing::captures;
use serde_json::Value;

use crate::collector::{Collector, Rows, rows, sums};
use crate::sysdig::{self, Sysdig};

/// The rows that a chisel posts for a capture.
pub(crate) fn posted(capture: &Path, chisel: &str, variables: &[(&str, &str)]) -> Rows {
    let collector = Collector::start();
    let ended = Sysdig::start(capture, chisel, &collector.url(), variables).wait();
    assert!(ended.success, "{}", ended.stderr);
    assert_eq!(ended.stderr + &ended.stdout, "");
    let posts = collector.stop();
    assert!(posts.iter().all(|post| post.path == "/event/api/KEY"));
    rows(posts.iter().map(|post| post.body.as_str()))
}

fn owned(fields: &[&str]) -> Vec<String> {
    fields.iter().map(|&field| field.to_owned()).collect()
}

#[test]
fn bytes_are_as_in_the_capture() {
    let Some(folder) = captures::folder_if_present() else {
        return;
    };
    for name in ["502error", "run_as_user_0"] {
        let table = folder.join(format!("captures/expected/{name}.io.tsv"));
        let table = fs::read_to_string(table).expect("a readable table");
        let mut expected: BTreeMap<Vec<String>, u64> = BTreeMap::new();
        for line in table.lines().skip(1) {
            let columns: Vec<&str> = line.split('\t').collect();
            let [container, pid, vpid, _, _, name, direction, bytes, _] = columns[..] else {
                panic!("{line:?} does not have 9 columns");
            };
            *expected
                .entry(owned(&[pid, vpid, container, name, direction]))
                .or_default() += bytes.parse::<u64>().expect("a number");
        }
        let capture = folder.join(format!("captures/{name}.scap"));
        let posted = posted(&capture, "sysdigdocker", &[]);
        assert_eq!(sums(&posted, "fd"), expected, "{name}");
    }
}

#[test]
fn cpu_is_as_in_the_original() {
    let Some(folder) = captures::folder_if_present() else {
        return;
    };
    let original =
        fs::read_to_string(folder.join("legacy/chisel-cpu.json")).expect("a readable body");
    let posted = posted(&folder.join("captures/502error.scap"), "sysdigdocker", &[]);
    // The original posts the whole file as one second.
    let original = sums(&rows([original.as_str()]), "cpu");
    assert!(original.values().any(|ns| *ns > 0));
    assert_eq!(sums(&posted, "cpu"), original);
}

#[test]
fn columns_are_named_as_in_the_original() {
    let Some(folder) = captures::folder_if_present() else {
        return;
    };
    let collector = Collector::start();
    let capture = folder.join("captures/502error.scap");
    Sysdig::start(&capture, "sysdigdocker", &collector.url(), &[]).wait();
    let posts = collector.stop();
    for kind in ["cpu", "fd"] {
        let text = fs::read_to_string(folder.join(format!("legacy/chisel-{kind}.json")));
        let original: Value = serde_json::from_str(&text.expect("a readable body")).expect("JSON");
        let ours = posts
            .iter()
            .map(|post| serde_json::from_str::<Value>(&post.body).expect("JSON"))
            .find(|body| body["evt_type"] == kind)
            .expect("a body of this kind");
        assert_eq!(ours["jinfo"], original["jinfo"]);
    }
}

/// Compares with the output of sysdig, summed up by second. No row is lost or moved at the edge of a
/// second.
#[test]
fn bytes_are_in_their_second() {
    let Some(folder) = captures::folder_if_present() else {
        return;
    };
    let capture = folder.join("captures/502error.scap");
    let printed = sysdig::print(
        &capture,
        "%evt.rawtime.s\t%proc.pid\t%proc.vpid\t%container.id\t%fd.name\t%evt.is_io_read\t%evt.rawres",
        "evt.is_io=true and evt.dir=< and container.id!=host and evt.rawres>=0",
    );
    let mut expected = Rows::new();
    for line in printed.lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [second, pid, vpid, container, name, is_read, bytes] = columns[..] else {
            panic!("{line:?} does not have 7 columns");
        };
        let direction = if is_read == "true" { "in" } else { "out" };
        let fields = owned(&[pid, vpid, container, name, direction]);
        let second = second.parse().expect("a number");
        *expected
            .entry((second, "fd".to_owned(), fields))
            .or_default() += bytes.parse::<u64>().expect("a number");
    }
    let seconds = expected.keys().map(|(second, ..)| second);
    assert_eq!(seconds.clone().max().unwrap() - seconds.min().unwrap(), 12);
    let mut posted = posted(&capture, "sysdigdocker", &[]);
    posted.retain(|(_, kind, _), _| kind == "fd");
    assert_eq!(posted, expected);
}

#[test]
fn each_process_has_a_name_in_each_second() {
    let Some(folder) = captures::folder_if_present() else {
        return;
    };
    let posted = posted(&folder.join("captures/502error.scap"), "sysdigdocker", &[]);
    let named = |second: u64, pid: &str| {
        posted
            .keys()
            .any(|(at, kind, fields)| kind == "cpu" && *at == second && fields[2] == pid)
    };
    for (second, kind, fields) in posted.keys() {
        assert!(
            kind == "cpu" || named(*second, &fields[0]),
            "{second} {fields:?}"
        );
    }
}

/// A chisel of the tests gives descriptors long names with bytes that are not UTF-8.
#[test]
fn any_name_can_be_posted() {
    let Some(folder) = captures::folder_if_present() else {
        return;
    };
    let capture = folder.join("captures/502error.scap");
    let collector = Collector::start();
    let ended = Sysdig::start(&capture, "fake_names", &collector.url(), &[]).wait();
    assert!(ended.success, "{}", ended.stderr);
    let posts = collector.stop();
    assert!(posts.iter().all(|post| post.body.len() < 2 << 20));
    let rows = rows(posts.iter().map(|post| post.body.as_str()));
    // Each new name contains the original one, so all rows stay different.
    let plain = posted(&capture, "sysdigdocker", &[]);
    assert_eq!(rows.len(), plain.len());
    assert!(
        posts.len() > 2 * 13,
        "no second needed several bodies of one kind"
    );
    let fd = rows
        .keys()
        .find(|(_, kind, _)| kind == "fd")
        .expect("a row");
    let expected = "/\u{fffd}\"\\\n\u{7f}\u{1}é€😀\u{fffd}\u{fffd}\u{fffd}\u{fffd}";
    assert_eq!(fd.2[3].split_once('~').expect("a mark").0, expected);
}
