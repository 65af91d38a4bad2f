//! A server that is unavailable, comes back, does not answer, or refuses.

use std::path::{Path, PathBuf};

use bubble_testing::captures;

use crate::collector::{Answer, Collector, Post, Rows, free_port, rows, url};
use crate::sysdig::{Ended, Sysdig};

fn capture() -> Option<PathBuf> {
    Some(captures::folder_if_present()?.join("captures/502error.scap"))
}

fn rows_of<'a>(posts: impl IntoIterator<Item = &'a Post>) -> Rows {
    rows(posts.into_iter().map(|post| post.body.as_str()))
}

/// The rows that arrive at a server without faults.
fn expected_rows(capture: &Path) -> Rows {
    let collector = Collector::start();
    let ended = Sysdig::start(capture, "sysdigdocker", &collector.url(), &[]).wait();
    assert!(ended.success, "{}", ended.stderr);
    rows_of(&collector.stop())
}

/// The number of lost rows that the chisel reports.
fn lost(ended: &Ended) -> usize {
    let counts = ended.stderr.lines().filter_map(|line| {
        let (_, message) = line.split_once(": ")?;
        let (count, _) = message.split_once(" rows lost: ")?;
        count.parse::<usize>().ok()
    });
    counts.sum()
}

/// Checks that no row of a live capture arrives at `url`, and returns the stderr.
pub(crate) fn nothing_arrives(capture: &Path, url: &str, variables: &[(&str, &str)]) -> String {
    let ended = Sysdig::start(capture, "fake_live", url, variables).wait();
    assert!(ended.success, "{}", ended.stderr);
    assert_eq!(
        lost(&ended),
        expected_rows(capture).len(),
        "{}",
        ended.stderr
    );
    ended.stderr
}

/// Reads a file. The server starts after sysdig has found it unavailable.
#[test]
fn rows_arrive_once_after_an_outage() {
    let Some(capture) = capture() else { return };
    let port = free_port();
    let mut sysdig = Sysdig::start(&capture, "sysdigdocker", &url(port), &[]);
    sysdig.wait_for_message("is unavailable");
    let collector = Collector::start_on(port, |_| Answer::Status(200));
    let ended = sysdig.wait();
    assert!(ended.success, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("is available again"),
        "{}",
        ended.stderr
    );
    assert_eq!(rows_of(&collector.stop()), expected_rows(&capture));
}

/// After a retryable status or no answer, the chisel posts the same bytes again, so that a server can
/// recognise them.
#[test]
fn a_retry_has_the_same_bytes() {
    let Some(capture) = capture() else { return };
    let answer = |post| match post {
        1 | 3 => Answer::None,
        2 => Answer::Status(503),
        _ => Answer::Status(200),
    };
    let collector = Collector::start_on(0, answer);
    let ended = Sysdig::start(&capture, "sysdigdocker", &collector.url(), &[]).wait();
    assert!(ended.success, "{}", ended.stderr);
    let posts = collector.stop();
    for retry in [2, 3, 4] {
        assert_eq!(posts[retry].body, posts[1].body);
    }
    let answered = posts
        .iter()
        .filter(|post| post.answer == Answer::Status(200));
    assert_eq!(rows_of(answered), expected_rows(&capture));
}

/// A live capture does not wait: it drops the oldest rows, keeps the newest ones and counts each loss.
#[test]
fn the_queue_is_bounded_and_reports_its_losses() {
    let Some(capture) = capture() else { return };
    let port = free_port();
    let bound = [("BUBBLE_CHISEL_QUEUE", "0.01")];
    let mut sysdig = Sysdig::start(&capture, "fake_live", &url(port), &bound);
    sysdig.wait_for_message("the queue is full");
    let collector = Collector::start_on(port, |_| Answer::Status(200));
    let ended = sysdig.wait();
    assert!(ended.success, "{}", ended.stderr);
    let posts = collector.stop();
    let (arrived, all) = (rows_of(&posts), expected_rows(&capture));
    assert_eq!(arrived.len() + lost(&ended), all.len(), "{}", ended.stderr);
    assert!(lost(&ended) > 0 && !arrived.is_empty(), "{}", ended.stderr);
    // The first body was being sent when the queue filled up. The others are the newest ones.
    let queued = rows_of(&posts[1..]);
    let bytes: usize = posts[1..].iter().map(|post| post.body.len()).sum();
    assert!(bytes <= 10_486, "{bytes}");
    assert!(all.iter().skip(all.len() - queued.len()).eq(&queued));
}

/// If the server never comes back, a live capture still ends, and every row is counted as lost.
#[test]
fn a_live_capture_ends_without_a_server() {
    let Some(capture) = capture() else { return };
    let stderr = nothing_arrives(&capture, &url(free_port()), &[]);
    assert!(stderr.contains("connection refused"), "{stderr}");
    assert!(!stderr.contains("KEY"), "{stderr}");
}

/// A refused chisel says so and keeps its rows until the key is accepted.
#[test]
fn rows_arrive_once_after_the_key_was_mended() {
    let Some(capture) = capture() else { return };
    let answer = |post| match post {
        0..=2 => Answer::Status(401),
        _ => Answer::Status(200),
    };
    let collector = Collector::start_on(0, answer);
    let ended = Sysdig::start(&capture, "sysdigdocker", &collector.url(), &[]).wait();
    assert!(ended.success, "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains("refuses the rows (status 401: is the URL right"),
        "{}",
        ended.stderr
    );
    let posts = collector.stop();
    let accepted = posts
        .iter()
        .filter(|post| post.answer == Answer::Status(200));
    assert_eq!(rows_of(accepted), expected_rows(&capture));
}

/// Rows that no retry can help are lost, and counted.
#[test]
fn refused_rows_are_counted() {
    let Some(capture) = capture() else { return };
    let collector = Collector::start_on(0, |_| Answer::Status(422));
    let ended = Sysdig::start(&capture, "sysdigdocker", &collector.url(), &[]).wait();
    assert!(!ended.success);
    let all = expected_rows(&capture);
    assert_eq!(lost(&ended), all.len());
    assert_eq!(rows_of(&collector.stop()), all);
}
