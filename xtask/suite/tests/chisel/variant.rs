//! Which containers are told, and by what name.

use std::collections::BTreeSet;

use bubble_common::testing::others;

use crate::collector::{Collector, free_port, rows, url};
use crate::sysdig::Sysdig;

/// The containers in the rows that a chisel posts of 502error.scap.
fn containers(chisel: &str, variables: &[(&str, &str)]) -> Option<BTreeSet<String>> {
    let folder = others()?;
    let collector = Collector::start();
    let capture = folder.join("captures/502error.scap");
    let ended = Sysdig::start(&capture, chisel, &collector.url(), variables).wait();
    assert!(ended.success, "{}", ended.said);
    let posts = collector.stop();
    let rows = rows(posts.iter().map(|post| post.body.as_str()));
    let container = |kind: &str| if kind == "cpu" { 5 } else { 2 };
    let all = rows
        .keys()
        .map(|(_, kind, fields)| fields[container(kind)].clone());
    Some(all.collect())
}

fn check(chisel: &str, variables: &[(&str, &str)], expected: &[&str]) {
    if let Some(found) = containers(chisel, variables) {
        assert_eq!(
            found.iter().map(String::as_str).collect::<Vec<_>>(),
            expected
        );
    }
}

#[test]
fn containers_that_are_dropped_can_be_chosen() {
    let (balancer, web) = ("59fd49aa4072", "c78a447010cd");
    check("sysdigdocker", &[], &[balancer, web]);
    let drop = [("BUBBLE_CHISEL_DROP", "host, example2_web_1")];
    check("sysdigdocker", &drop, &[balancer]);
    check(
        "sysdigdocker",
        &[("BUBBLE_CHISEL_DROP", "")],
        &[balancer, web, "host"],
    );
}

/// A test's own chisel gives the two containers the cgroups that Slurm makes; all else is not a job.
#[test]
fn a_slurm_job_is_a_container() {
    check("fake_slurm", &[], &["job_42", "job_43"]);
}

#[test]
fn a_mistake_is_told_without_the_key() {
    let Some(folder) = others() else {
        return;
    };
    let capture = folder.join("captures/502error.scap");
    let url = url(free_port());
    for (url, variables, expected) in [
        ("ftp//KEY", [].as_slice(), "http://HOST:PORT/event/api/KEY"),
        (
            url.as_str(),
            &[("BUBBLE_CHISEL_QUEUE", "much")],
            "BUBBLE_CHISEL_QUEUE is much",
        ),
    ] {
        let ended = Sysdig::start(&capture, "sysdigdocker", url, variables).wait();
        let said = ended.said + &ended.stdout;
        assert!(!ended.success);
        assert!(said.contains(expected), "{said}");
        assert!(!said.contains("//KEY"), "{said}");
    }
}
