//! CPU time and the life of processes.

use super::super::event_type::EventType;
use super::build::{BEGIN, Build, SECOND, fork, n, u};

#[test]
fn the_thread_that_leaves_a_core_is_charged() {
    let mut build = Build::new();
    build.worker(7);
    build.switch(0, 7).switch(7, 0).switch(0, 7).switch(7, 0);
    build.cpu = 1;
    // The switch to it is missing.
    build.switch(7, 0);
    assert_eq!(build.run().cpu(), ["7 1 work 0 2000000"]);
}

#[test]
fn a_thread_that_never_yields_is_seen_each_second() {
    let mut build = Build::new();
    build.worker(7).switch(0, 7);
    let began = build.at;
    for second in 1..=3 {
        build.at = BEGIN + second * SECOND;
        build.event(9, EventType::SYSCALL_FUTEX_E, &[]);
    }
    let ran = build.run();
    let used = build.at - began;
    assert_eq!(ran.cpu(), [format!("7 1 work 0 {used}")]);
    let mut window = ran.tables.inner;
    let seconds: Vec<u64> = window
        .take_closed()
        .iter()
        .flat_map(|segment| segment.cpu.iter().map(|cell| cell.value.ns))
        .collect();
    assert_eq!(
        seconds,
        [SECOND - (began - BEGIN), SECOND, SECOND, 1_000_000]
    );
}

#[test]
fn the_last_cpu_time_of_a_thread_is_apart() {
    let mut build = Build::new();
    build.worker(7).switch(0, 7).switch(7, 0).switch(0, 7);
    build.event(
        7,
        EventType::PROCEXIT_1_E,
        &[n(0), n(0), vec![0], vec![0], n(0)],
    );
    build.switch(7, 0);
    let ran = build.run();
    assert_eq!(ran.cpu(), ["7 1 work 0 1000000"]);
    assert!(ran.tables.last_cpu().ends_with("\twork\t0\t2000000\n"));
}

#[test]
fn samples_serve_where_switches_were_not_recorded() {
    let mut build = Build::new();
    build.worker(7);
    for ticks in [100, 150, 180] {
        build.at += SECOND;
        build.event(7, EventType::PROCINFO_E, &[n(ticks), n(5)]);
    }
    assert_eq!(build.run().cpu(), ["7 1 work 0 800000000"]);
    // An idle core: no switch is missing.
    build.switch(0, 0);
    build.at += SECOND;
    build.event(7, EventType::PROCINFO_E, &[n(999), n(999)]);
    assert_eq!(build.run().cpu(), ["7 1 work 0 800000000"]);
}

#[test]
fn a_process_ends_with_its_last_thread() {
    let mut build = Build::new();
    build.worker(7);
    let mut thread = fork(8, 7, 1);
    thread[15] = u(1 << 13);
    build.event(7, EventType::SYSCALL_CLONE_20_X, &thread);
    let exit = |status| [n(status), n(0), vec![0], vec![0], n(0)];
    build.event(7, EventType::PROCEXIT_1_E, &exit(3 << 8));
    build.event(8, EventType::PROCEXIT_1_E, &exit(0));
    let end = build.at;
    build.worker(7).event(7, EventType::PROCEXIT_1_E, &exit(9));
    let killed = build.at;
    let born = killed - 1_000_000;
    assert_eq!(
        build.run().processes(),
        [
            format!(
                "7 1 work 1 1000 1001 /bin/work /bin/work --hard {} {end} 3",
                BEGIN + 1_000_000
            ),
            format!("7 1 work 1 1000 1001 /bin/work /bin/work --hard {born} {killed} signal 9"),
        ]
    );
}
