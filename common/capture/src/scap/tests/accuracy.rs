//! Numbers that damaged, filtered or joined captures must not make wrong.

use std::collections::BTreeSet;

use bubble_common::segment::Segment;
use bubble_common::segment::loss::Reason;

use super::super::event_type::EventType;
use super::build::{BEGIN, Build, CGROUPS, Ran, SECOND, fork, n, none, t, tuple, u};

/// All segments of a run.
fn segments(ran: Ran) -> Vec<Segment> {
    let mut window = ran.tables.inner;
    window.take_closed()
}

/// How often something was lost for a reason.
fn lost(segments: &[Segment], reason: Reason) -> u64 {
    let losses = segments.iter().flat_map(|segment| &segment.losses);
    let of_reason = losses.filter(|cell| cell.row.0 == reason.0);
    of_reason.map(|cell| cell.value.count).sum()
}

/// ns of CPU time of each second that has any.
fn by_second(segments: &[Segment]) -> Vec<u64> {
    let seconds = segments.iter().map(|segment| {
        let ns = segment.cpu.iter().map(|cell| cell.value.ns);
        ns.sum()
    });
    seconds.filter(|ns| *ns > 0).collect()
}

#[test]
fn a_run_of_a_filtered_capture_is_cut_at_seconds() {
    let mut build = Build::new();
    build.worker(7).child(8, 7, 2);
    build.at = BEGIN + SECOND / 2;
    build.switch(8, 7);
    let began = build.at;
    for second in 1..=3 {
        build.at = BEGIN + second * SECOND;
        build.read(8, 0, -9);
    }
    build.switch(7, 8);
    let segments = segments(build.run());
    assert_eq!(lost(&segments, Reason::LATE), 0);
    let first = SECOND - (began - BEGIN);
    assert_eq!(by_second(&segments), [first, SECOND, SECOND, 2_000_000]);
}

#[test]
fn the_time_of_a_thread_is_charged_once_by_switches_and_samples() {
    let mut build = Build::new();
    build.worker(7).child(8, 7, 2);
    // Every core is busy: no idle core shows that no switch is missing.
    for second in 1..=5 {
        build.at = BEGIN + second * SECOND;
        build.event(7, EventType::PROCINFO_E, &[n(50 * second as i64), n(0)]);
        build.at = BEGIN + second * SECOND + SECOND / 4;
        build.switch(8, 7);
        build.at += SECOND / 2 - 1_000_000;
        build.switch(7, 8);
    }
    assert_eq!(build.run().cpu()[0], "7 1 work 0 2500000000");
}

#[test]
fn an_implausible_result_is_a_loss() {
    let mut build = Build::new();
    build.worker(7).open(7, 3, "/a", 1);
    build.read(7, 3, 0x7fff_f000).read(7, 3, 0x7fff_f001);
    build.read(7, 3, i64::MAX);
    let ran = build.run();
    assert_eq!(ran.io(), ["7 1 work file /a in 2147479552 1"]);
    assert_eq!(lost(&segments(ran), Reason::IMPLAUSIBLE), 2);
}

#[test]
fn a_time_that_goes_back_makes_no_run() {
    for back in [3_600 * SECOND, 2 * SECOND] {
        let mut build = Build::new();
        build.worker(7).switch(0, 7).switch(7, 0);
        let at = build.at;
        build.at -= back;
        build.switch(0, 7);
        build.at = at + 1_000_000;
        build.switch(7, 0);
        let ran = build.run();
        assert_eq!(ran.cpu(), ["7 1 work 0 1000000"]);
        assert_eq!(
            (ran.position.first, ran.position.last),
            (Some(BEGIN + 1_000_000), Some(build.at))
        );
        assert_eq!(lost(&segments(ran), Reason::IMPLAUSIBLE), 1);
    }
}

#[test]
fn a_long_pause_is_a_gap_and_no_run() {
    let mut build = Build::new();
    build.worker(7).switch(0, 7);
    build.at += 200 * SECOND;
    build.switch(7, 0).switch(0, 7).switch(7, 0);
    let ran = build.run();
    assert_eq!(ran.cpu(), ["7 1 work 0 1000000"]);
    let segments = segments(ran);
    assert_eq!(lost(&segments, Reason::IMPLAUSIBLE), 1);
    let starts: Vec<u64> = segments
        .iter()
        .map(|of| of.key.start - BEGIN / SECOND)
        .collect();
    assert_eq!(starts, [0, 200]);
}

#[test]
fn a_run_without_any_event_is_cut_at_seconds() {
    for core in [0, 9] {
        let mut build = Build::new();
        build.worker(7).child(9, 7, 2);
        // Unfiltered, and filtered.
        build.switch(core, 7);
        let began = build.at;
        build.at = BEGIN + 100 * SECOND;
        build.switch(7, 0);
        let segments = segments(build.run());
        assert_eq!(lost(&segments, Reason::LATE), 0);
        let seconds = by_second(&segments);
        assert_eq!(seconds.len(), 101);
        assert_eq!(seconds[0], SECOND - (began - BEGIN));
        assert!(seconds[1..100].iter().all(|ns| *ns == SECOND));
    }
}

#[test]
fn a_time_far_ahead_is_skipped_if_the_next_one_falls_back() {
    let mut build = Build::new();
    build
        .worker(7)
        .open(7, 3, "/a", 1)
        .switch(0, 7)
        .read(7, 3, 4);
    let at = build.at;
    build.at += 900 * SECOND;
    build.switch(7, 0);
    build.at = at + 1_000_000;
    build.switch(0, 7).switch(7, 0).read(7, 3, 4);
    // The next one confirms this one.
    build.at += 900 * SECOND;
    build.read(7, 3, 4).read(7, 3, 4);
    let ran = build.run();
    assert_eq!(ran.cpu(), ["7 1 work 0 1000000"]);
    assert_eq!(ran.io(), ["7 1 work file /a in 16 4"]);
    assert_eq!(ran.position.skipped, 1);
    assert_eq!(lost(&segments(ran), Reason::LATE), 0);
}

#[test]
fn memory_that_the_machine_does_not_have_is_a_loss() {
    let mut build = Build::new();
    let machine = [u(2), n(1 << 30), n(4_096), vec![0; 160]].concat();
    build.block(0x201, &machine);
    build.worker(7);
    for rss in [1 << 19, 1 << 21] {
        let params = [n(0), n(0), n(0), u(1 << 22), u(rss), u(0)];
        build.event(7, EventType::SCHEDSWITCH_6_E, &params);
    }
    let segments = segments(build.run());
    let memory = segments.iter().flat_map(|segment| &segment.memory);
    assert_eq!(memory.map(|cell| cell.value.rss).max(), Some(1 << 29));
    assert_eq!(lost(&segments, Reason::IMPLAUSIBLE), 1);
}

#[test]
fn sections_may_go_back_in_time() {
    let mut build = Build::new();
    for hours in [2, 1, 1, 3] {
        build.section();
        build.at = BEGIN + hours * 3_600 * SECOND;
        build.worker(7).open(7, 3, "/a", 1);
        for _ in 0..3 {
            build.at += SECOND;
            build.read(7, 3, 100);
        }
    }
    let ran = build.run();
    assert_eq!(ran.io(), ["7 1 work file /a in 1200 12"]);
    assert_eq!(ran.position.first, Some(BEGIN + 3_600 * SECOND + 1_000_000));
    assert_eq!(ran.position.last, Some(build.at));
    let segments = segments(ran);
    assert_eq!(lost(&segments, Reason::LATE), 0);
    let keys: BTreeSet<_> = segments.iter().map(|of| &of.key).collect();
    assert_eq!(keys.len(), segments.len(), "no key is used twice");
    let sources: BTreeSet<_> = segments.iter().map(|of| of.key.source.0).collect();
    assert_eq!(sources.len(), 3, "the last section follows the one before");
    for segment in &segments {
        let bytes: u64 = segment.file_io.iter().map(|cell| cell.value.bytes_in).sum();
        assert!([0, 100].contains(&bytes), "{bytes} in one second");
    }
}

/// `connect` of a socket of IPv6: the tuple lacks the peer, and the argument has it.
#[test]
fn the_peer_of_connect_is_its_argument() {
    let v6 = |ip: [u8; 16], port: u16| [&ip[..], &port.to_le_bytes()].concat();
    let mapped = |ip: [u8; 4]| [&[0; 10][..], &[0xff; 2], &ip].concat().try_into().unwrap();
    let ends = |from, to| [vec![10], from, to].concat();
    let nowhere = || ends(v6([0; 16], 0), v6([0; 16], 0));
    let address = |ip: [u8; 4], port: u16| [&[2][..], &ip, &port.to_le_bytes()].concat();
    for argument in [
        address([9, 9, 9, 9], 80),
        [vec![10], v6(mapped([9, 9, 9, 9]), 80)].concat(),
    ] {
        let mut build = Build::new();
        build.worker(7);
        build.event(
            7,
            EventType::SOCKET_SOCKET_X,
            &[n(3), u(10), u(2), u(0), u(0)],
        );
        let half = ends(v6(mapped([10, 0, 0, 1]), 5_000), v6([0; 16], 80));
        let connect = |tuple, argument| [n(0), tuple, n(3), argument];
        build.event(7, EventType::SOCKET_CONNECT_X, &connect(half, argument));
        build.event(
            7,
            EventType::SOCKET_SEND_X,
            &[n(5), none(), n(3), u(5), none()],
        );
        // Disconnected, in the two ways that captures show it: no connection.
        build.event(7, EventType::SOCKET_CONNECT_X, &connect(nowhere(), none()));
        build.event(7, EventType::SOCKET_CONNECT_X, &connect(none(), vec![0, 0]));
        // The next datagram names its peer.
        let other = tuple(([10, 0, 0, 1], 5_000), ([8, 8, 8, 8], 53));
        build.event(
            7,
            EventType::SOCKET_SENDTO_X,
            &[n(7), none(), n(3), u(7), other],
        );
        let ran = build.run();
        assert_eq!(
            ran.io(),
            [
                "7 1 work ipv4 10.0.0.1:5000->8.8.8.8:53 out 7 1",
                "7 1 work ipv4 10.0.0.1:5000->9.9.9.9:80 out 5 1"
            ]
        );
        let segments = segments(ran);
        let cells = segments.iter().flat_map(|segment| &segment.network_io);
        assert_eq!(cells.map(|cell| cell.value.connects).sum::<u64>(), 1);
    }
}

#[test]
fn threads_without_their_first_are_one_process() {
    let mut build = Build::new();
    let thread = |tid: i64, name: &str| {
        let mut params = fork(0, tid, 1);
        (params[4], params[13], params[15]) = (n(7), t(name), u(1 << 13));
        (params[18], params[19]) = (n(tid), n(1));
        params
    };
    let exit = |status| [n(status), n(0), vec![0], vec![0], n(0)];
    for (tid, name) in [(11, "one"), (12, "two")] {
        build.event(tid, EventType::SYSCALL_CLONE_20_X, &thread(tid, name));
        build.read(tid, 0, 5);
    }
    // The first thread makes itself known by a call of its own.
    build.read(7, 0, 5);
    for tid in [7, 11, 12] {
        build.event(tid, EventType::PROCEXIT_1_E, &exit(3 << 8));
    }
    let ran = build.run();
    let processes = ran.processes();
    assert_eq!(processes.len(), 2, "one a name: {processes:?}");
    assert!(
        processes
            .iter()
            .all(|row| row.starts_with("7 1 ") && row.ends_with(" 3"))
    );
    let segments = segments(ran);
    let rows = segments.iter().flat_map(|of| &of.processes);
    let ids: BTreeSet<_> = rows
        .map(|process| (process.id.pid, process.id.start))
        .collect();
    assert_eq!(ids.len(), 1);
}

#[test]
fn a_process_goes_on_when_its_first_thread_has_ended() {
    let mut build = Build::new();
    build.worker(7).open(7, 3, "/a", 1);
    let thread = |tid| {
        let mut params = fork(0, tid, 7);
        (params[4], params[15]) = (n(7), u(1 << 13));
        params
    };
    build.event(8, EventType::SYSCALL_CLONE_20_X, &thread(8));
    build.event(
        7,
        EventType::PROCEXIT_1_E,
        &[n(0), n(0), vec![0], vec![0], n(0)],
    );
    build.at += 5 * SECOND;
    build.event(9, EventType::SYSCALL_CLONE_20_X, &thread(9));
    build.read(9, 3, 4);
    let ran = build.run();
    assert_eq!(ran.io(), ["7 1 work file /a in 4 1"]);
    assert_eq!(ran.processes().len(), 1);
}

/// A filter may leave only exec, a thread and the end of a container's first process.
#[test]
fn the_first_process_of_a_container_is_known_by_a_thread() {
    let mut build = Build::new();
    let mut exec = fork(0, 7, 1);
    exec.truncate(15);
    exec.extend([none(), u(0), n(0), u(0), u(0)]);
    build.event(7, EventType::SYSCALL_EXECVE_19_X, &exec);
    let mut thread = fork(0, 8, 1);
    (thread[4], thread[15]) = (n(7), u(1 << 13));
    (thread[18], thread[19]) = (n(2), n(1));
    build.event(8, EventType::SYSCALL_CLONE_20_X, &thread);
    for tid in [8, 7] {
        let exit = [n(5 << 8), n(0), vec![0], vec![0], n(0)];
        build.event(tid, EventType::PROCEXIT_1_E, &exit);
    }
    let segments = segments(build.run());
    let facts = segments.iter().flat_map(|segment| &segment.facts);
    let code = facts.filter(|(name, _)| *name == "exit_code");
    assert_eq!(code.map(|(_, code)| code.as_str()).next_back(), Some("5"));
}

#[test]
fn what_a_process_did_before_its_container_is_known_counts_or_is_told() {
    let mut build = Build::new();
    build.open(7, 3, "/a", 1);
    for _ in 0..1_100 {
        build.read(7, 3, 4);
    }
    let mut parents = fork(2, 7, 1);
    parents[14] = CGROUPS.to_vec();
    (parents[18], parents[19]) = (n(1), n(1));
    build.event(7, EventType::SYSCALL_CLONE_20_X, &parents);
    let ran = build.run();
    assert_eq!(ran.io(), ["7 1 work file /a in 4092 1023"]);
    let segments = segments(ran);
    let cells = segments.iter().flat_map(|segment| &segment.file_io);
    assert_eq!(cells.map(|cell| cell.value.opens).sum::<u64>(), 1);
    assert_eq!(lost(&segments, Reason::UNATTRIBUTED), 77);
}
