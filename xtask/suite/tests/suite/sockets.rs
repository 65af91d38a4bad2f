//! Kinds of sockets and of calls that few programs use, each to the byte.

use crate::run::{Folder, assert_nothing_lost, text};

const SCRIPT: &str = include_str!("sockets.py");

/// Runs a function of the script, and compares the sums of the report with what the kernel returned to it.
fn exact(kind: &str) {
    let folder = Folder::new();
    let output = folder
        .command(
            &["--json", "--output", "report.json"],
            &["python3", "-c", SCRIPT, kind],
        )
        .output()
        .expect("an executable agent");
    let printed = text(&output.stdout);
    let numbers: Vec<u64> = printed
        .split_whitespace()
        .filter_map(|number| number.parse().ok())
        .collect();
    let [received, sent] = numbers[..] else {
        panic!("{kind} printed {printed:?}: {}", text(&output.stderr));
    };
    let report = folder.report();
    let total = &report["network"]["total"];
    assert_eq!(
        [
            total["received_bytes"].as_u64(),
            total["sent_bytes"].as_u64()
        ],
        [Some(received), Some(sent)],
        "received and sent by {kind}: {:#}",
        report["network"]["rows"]
    );
    assert!(sent > 0, "{kind} did nothing");
    assert_nothing_lost(&report);
}

#[test]
fn datagrams_that_are_longer_than_the_buffer() {
    exact("truncated");
}

#[test]
fn a_look_at_the_queue_is_no_receive() {
    exact("peeked");
}

#[test]
fn datagrams_that_the_kernel_cuts_and_joins() {
    exact("segmented");
    exact("joined");
}

#[test]
fn a_client_of_ipv4_at_a_server_of_ipv6() {
    exact("mapped");
}

#[test]
fn sends_without_a_copy() {
    exact("zero_copy");
}

#[test]
fn connections_that_begin_with_data() {
    exact("fast_open");
}

#[test]
fn packets_netlink_and_raw_sockets() {
    exact("packet");
    exact("netlink");
    exact("raw");
}

#[test]
fn sequenced_packets() {
    exact("sequence");
}

#[test]
fn a_socket_that_another_process_uses() {
    exact("passed");
}

#[test]
fn a_path_at_which_nothing_listens() {
    let folder = Folder::new();
    let flags = ["--json", "--output", "report.json"];
    let command = ["python3", "-c", SCRIPT, "refused"];
    let output = folder.command(&flags, &command).output();
    assert!(output.expect("an executable agent").status.success());
    let report = folder.report();
    let network = &report["network"];
    assert_eq!(network["total"]["failures"], 1, "{network:#}");
    let path = folder.path().join("nothing.sock");
    assert_eq!(network["rows"][0]["address"].as_str(), path.to_str());
    assert_eq!(network["rows"][0]["role"], "client");
    let events = report["events"]["rows"].as_array().expect("rows");
    let details: Vec<&str> = events
        .iter()
        .filter(|event| event["kind"] == "connection_failed")
        .filter_map(|event| event["detail"].as_str())
        .collect();
    let expected = format!("{}: No such file or directory (os error 2)", path.display());
    assert_eq!(details, [expected]);
}

/// More than a table has rows: the rest is folded, and the total stays exact.
#[test]
fn twenty_thousand_peers_of_a_socket() {
    exact("peers");
}

#[test]
fn many_datagrams_in_a_call() {
    exact("many");
}
