//! A server that is away, comes back, does not answer, or refuses.

use std::path::{Path, PathBuf};

use bubble_common::testing::others;

use crate::collector::{Answer, Collector, Post, Rows, free_port, rows, url};
use crate::sysdig::{Ended, Sysdig};

fn capture() -> Option<PathBuf> {
    Some(others()?.join("captures/502error.scap"))
}

fn told<'a>(posts: impl IntoIterator<Item = &'a Post>) -> Rows {
    rows(posts.into_iter().map(|post| post.body.as_str()))
}

/// What is posted when nothing is wrong.
fn undisturbed(capture: &Path) -> Rows {
    let collector = Collector::start();
    let ended = Sysdig::start(capture, "sysdigdocker", &collector.url(), &[]).wait();
    assert!(ended.success, "{}", ended.said);
    told(&collector.stop())
}

/// The rows that it says are lost.
fn lost(ended: &Ended) -> usize {
    let counts = ended.said.lines().filter_map(|line| {
        let (_, said) = line.split_once(": ")?;
        let (count, _) = said.split_once(" rows lost: ")?;
        count.parse::<usize>().ok()
    });
    counts.sum()
}

/// What a live capture says whose rows do not get to the server.
pub(crate) fn nothing_arrives(capture: &Path, url: &str, variables: &[(&str, &str)]) -> String {
    let ended = Sysdig::start(capture, "fake_live", url, variables).wait();
    assert!(ended.success, "{}", ended.said);
    assert_eq!(lost(&ended), undisturbed(capture).len(), "{}", ended.said);
    ended.said
}

/// Over a file, with a server that comes up when sysdig has found it away.
#[test]
fn rows_arrive_once_when_the_server_is_back() {
    let Some(capture) = capture() else { return };
    let port = free_port();
    let mut sysdig = Sysdig::start(&capture, "sysdigdocker", &url(port), &[]);
    sysdig.wait_until_it_says("is away");
    let collector = Collector::start_on(port, |_| Answer::Status(200));
    let ended = sysdig.wait();
    assert!(ended.success, "{}", ended.said);
    assert!(ended.said.contains("is back"), "{}", ended.said);
    assert_eq!(told(&collector.stop()), undisturbed(&capture));
}

/// What is posted again after an answer that says or hides what happened is the same to the byte, so
/// that a server can tell.
#[test]
fn what_was_not_answered_is_posted_again_unchanged() {
    let Some(capture) = capture() else { return };
    let answer = |post| match post {
        1 | 3 => Answer::None,
        2 => Answer::Status(503),
        _ => Answer::Status(200),
    };
    let collector = Collector::start_on(0, answer);
    let ended = Sysdig::start(&capture, "sysdigdocker", &collector.url(), &[]).wait();
    assert!(ended.success, "{}", ended.said);
    let posts = collector.stop();
    for again in [2, 3, 4] {
        assert_eq!(posts[again].body, posts[1].body);
    }
    let answered = posts
        .iter()
        .filter(|post| post.answer == Answer::Status(200));
    assert_eq!(told(answered), undisturbed(&capture));
}

/// A live capture does not wait: the oldest rows go, the newest are kept, and each is counted.
#[test]
fn the_queue_is_bounded_and_says_what_it_lost() {
    let Some(capture) = capture() else { return };
    let port = free_port();
    let bound = [("BUBBLE_CHISEL_QUEUE", "0.01")];
    let mut sysdig = Sysdig::start(&capture, "fake_live", &url(port), &bound);
    sysdig.wait_until_it_says("the queue is full");
    let collector = Collector::start_on(port, |_| Answer::Status(200));
    let ended = sysdig.wait();
    assert!(ended.success, "{}", ended.said);
    let posts = collector.stop();
    let (arrived, all) = (told(&posts), undisturbed(&capture));
    assert_eq!(arrived.len() + lost(&ended), all.len(), "{}", ended.said);
    assert!(lost(&ended) > 0 && !arrived.is_empty(), "{}", ended.said);
    // One body was being sent when the queue filled up; the rest are the last there were.
    let waited = told(&posts[1..]);
    let bytes: usize = posts[1..].iter().map(|post| post.body.len()).sum();
    assert!(bytes <= 10_486, "{bytes}");
    assert!(all.iter().skip(all.len() - waited.len()).eq(&waited));
}

/// The server never comes back: a live capture ends all the same, and every row is accounted for.
#[test]
fn a_live_capture_ends_without_a_server() {
    let Some(capture) = capture() else { return };
    let said = nothing_arrives(&capture, &url(free_port()), &[]);
    assert!(said.contains("connection refused"), "{said}");
    assert!(!said.contains("KEY"), "{said}");
}

/// Rows that are refused are not posted again; over a file, the exit code tells.
#[test]
fn a_wrong_key_is_said() {
    let Some(capture) = capture() else { return };
    let collector = Collector::start_on(0, |_| Answer::Status(401));
    let ended = Sysdig::start(&capture, "sysdigdocker", &collector.url(), &[]).wait();
    assert!(!ended.success);
    assert!(
        ended.said.contains("status 401: is the URL right"),
        "{}",
        ended.said
    );
    let all = undisturbed(&capture);
    assert_eq!(lost(&ended), all.len());
    assert_eq!(told(&collector.stop()), all);
}
