//! Which containers the chisels post, and by which name.

use std::collections::BTreeSet;

use bubble_testing::captures;

use crate::collector::{Collector, free_port, rows, url};
use crate::sysdig::Sysdig;

/// The containers in the rows that a chisel posts for 502error.scap.
fn containers(chisel: &str, variables: &[(&str, &str)]) -> Option<BTreeSet<String>> {
    let folder = captures::folder_if_present()?;
    let collector = Collector::start();
    let capture = folder.join("captures/502error.scap");
    let ended = Sysdig::start(&capture, chisel, &collector.url(), variables).wait();
    assert!(ended.success, "{}", ended.stderr);
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
fn the_user_chooses_the_dropped_containers() {
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

/// A chisel of the tests pretends that the two containers are in cgroups of Slurm jobs.
#[test]
fn a_slurm_job_is_a_container() {
    check("fake_slurm", &[], &["job_42", "job_43"]);
}

#[test]
fn errors_do_not_show_the_key() {
    let Some(folder) = captures::folder_if_present() else {
        return;
    };
    let capture = folder.join("captures/502error.scap");
    let url = url(free_port());
    for (url, variables, expected) in [
        ("ftp//KEY", [].as_slice(), "http://HOST:PORT/event/api/KEY"),
        (
            url.as_str(),
            &[("BUBBLE_CHISEL_QUEUE", "much")],
            "BUBBLE_CHISEL_QUEUE=much",
        ),
    ] {
        let ended = Sysdig::start(&capture, "sysdigdocker", url, variables).wait();
        let output = ended.stderr + &ended.stdout;
        assert!(!ended.success);
        assert!(output.contains(expected), "{output}");
        assert!(!output.contains("//KEY"), "{output}");
    }
}
