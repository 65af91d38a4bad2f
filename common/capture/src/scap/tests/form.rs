//! Forms of events, old, new and invalid.

use super::super::containers::Options;
use super::super::event_type::EventType;
use super::build::{BEGIN, Build, CGROUPS, fork, n, none, t, u};
use crate::recording::Error;

#[test]
fn an_old_event_is_completed_by_the_one_before() {
    let mut build = Build::new();
    build.old = true;
    build.worker(7);
    build.event(7, EventType::SYSCALL_OPEN_E, &[t("/old"), u(1), u(0)]);
    build.event(
        7,
        EventType::SYSCALL_OPEN_X,
        &[n(3), t("/changed"), u(1), u(0)],
    );
    build.event(7, EventType::SYSCALL_READ_E, &[n(3), u(64)]);
    build.event(7, EventType::SYSCALL_READ_X, &[n(12), none()]);
    // Without its beginning the descriptor is not known.
    build.event(7, EventType::SYSCALL_READ_X, &[n(5), none()]);
    let ran = build.run();
    assert_eq!(
        ran.io(),
        [
            "7 1 work file /old in 12 1",
            "7 1 work unknown (unknown) in 5 1"
        ]
    );
    assert_eq!((ran.position.events, ran.position.skipped), (6, 0));
}

#[test]
fn the_first_forms_of_clone_and_exec_are_read() {
    let mut build = Build::new();
    build.old = true;
    // 11 and 8 parameters: no name, no cgroups.
    let mut clone = fork(0, 7, 1)[..8].to_vec();
    clone.extend([u(0), u(0), u(0)]);
    build.event(7, EventType::SYSCALL_CLONE_11_X, &clone);
    build.event(7, EventType::SYSCALL_EXECVE_8_X, &fork(0, 7, 1)[..8]);
    build.event(7, EventType::PROCEXIT_E, &[]);
    let ran = build.run_with(Options {
        host: true,
        ..Options::default()
    });
    let processes = ran.processes();
    assert_eq!(processes.len(), 2, "{processes:?}");
    assert!(processes[1].contains(" work "), "named by its program");
}

#[test]
fn lengths_are_wide_by_type() {
    let mut build = Build::new();
    build.worker(7);
    let json = t("{\"container\":{\"id\":\"0123456789ab\",\"name\":\"web\",\"type\":0}}");
    build.event(
        -1,
        EventType::ASYNCEVENT_E,
        &[u(0), t("container"), json.clone()],
    );
    build.event(-1, EventType::CONTAINER_JSON_2_E, &[json]);
    let ran = build.run();
    assert_eq!(ran.position.skipped, 0);
    let mut window = ran.tables.inner;
    let named = window.take_closed();
    assert!(
        named
            .iter()
            .any(|it| it.facts.get("name").is_some_and(|name| name == "web"))
    );
}

#[test]
fn an_invalid_event_is_skipped() {
    let mut build = Build::new();
    build.worker(7);
    build.numbered_event(7, 9_999, &[n(1)]);
    build.block(0x216, &[0; 5]);
    // More parameters than there are bytes.
    let mut body = vec![0; 2];
    body.extend((BEGIN + 1).to_le_bytes());
    body.extend(7i64.to_le_bytes());
    body.extend(26u32.to_le_bytes());
    body.extend(7u16.to_le_bytes());
    body.extend(u32::MAX.to_le_bytes());
    build.block(0x216, &body);
    build.block(0x7777, &[1, 2, 3]);
    build.open(7, 3, "/a", 1).read(7, 3, 4);
    // A time from another age would end all seconds before it.
    build.at += 40 * 86_400_000_000_000;
    build.read(7, 3, 4);
    let ran = build.run();
    assert_eq!(ran.io(), ["7 1 work file /a in 4 1"]);
    assert_eq!((ran.position.events, ran.position.skipped), (3, 4));
    assert!(ran.end.is_ok());
}

/// A newer writer may have events in blocks that this version does not know.
#[test]
fn a_block_of_a_newer_version_is_named() {
    let mut build = Build::new();
    build.worker(7).open(7, 3, "/a", 1);
    build.block(0x223, &[1, 2, 3]);
    build.block(0x224, &[1, 2, 3]);
    build.read(7, 3, 4);
    let ran = build.run();
    assert_eq!(ran.io(), ["7 1 work file /a in 4 1"]);
    assert_eq!((ran.position.events, ran.position.skipped), (3, 2));
    let end = ran.end.unwrap_err().to_string();
    assert!(
        end.contains("type 0x223") && end.contains("1 more"),
        "{end}"
    );
}

#[test]
fn an_error_has_the_offset_of_the_damage() {
    let mut build = Build::new();
    build.worker(7);
    let at = build.bytes.len();
    build.read(7, 3, 1);
    let last = build.bytes.len() - 1;
    build.bytes[last] = 1;
    let end = build.run().end;
    assert!(matches!(end, Err(Error::Damaged { at: offset, .. }) if offset == at as u64));
    build.bytes.truncate(last);
    let end = build.run().end;
    assert!(matches!(end, Err(Error::Truncated { at: offset, .. }) if offset == at as u64));
    let mut build = Build::new();
    build.block(0x215, &u(3));
    let end = build.run().end;
    assert!(matches!(end, Err(Error::Damaged { at: 28, .. })), "{end:?}");
}

/// Endless forks that copy descriptors: memory stays bounded, and the rest is read.
#[test]
fn a_capture_cannot_ask_for_any_amount_of_memory() {
    let mut build = Build::new();
    build.worker(7);
    for fd in 0..3_000 {
        build.open(7, fd, "/a", 1);
    }
    for child in 0..2_000 {
        let tid = 1_000 + child;
        build.event(tid, EventType::SYSCALL_CLONE_20_X, &fork(0, tid, 7));
    }
    build.read(7, 0, 4).read(1_000, 0, 5).read(2_999, 0, 6);
    let ran = build.run();
    assert!(ran.end.is_ok());
    assert_eq!(
        ran.io(),
        [
            "7 1 work file /a in 4 1",
            "1000 1000 work file /a in 5 1",
            "2999 2999 work unknown (unknown) in 6 1"
        ]
    );
    assert_eq!(ran.position.skipped, 0);
}

#[test]
fn a_fork_shows_the_container_of_earlier_activity() {
    let mut build = Build::new();
    build.open(7, 3, "/a", 1).read(7, 3, 4);
    let mut parents = fork(2, 7, 1);
    parents[14] = CGROUPS.to_vec();
    (parents[18], parents[19]) = (n(1), n(1));
    build
        .event(7, EventType::SYSCALL_CLONE_20_X, &parents)
        .read(7, 3, 5);
    assert_eq!(build.run().io(), ["7 1 work file /a in 9 2"]);
}
