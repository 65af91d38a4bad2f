//! Folded rows against a model that knows every process: how many there are, and their memory.

use std::collections::{BTreeSet, HashSet};

use bubble_common::segment::builder::Builder;
use bubble_common::segment::cell::{Cell, Row};
use bubble_common::segment::fold::Caps;
use bubble_common::segment::process::{Cpu, Memory, OTHER, Process, ProcessId};
use bubble_common::segment::total::Metric;
use bubble_common::segment::{ContainerId, Coverage, Key, Resolution, Segment, SourceId};
use proptest::collection::vec;
use proptest::prelude::{
    Just, Strategy, any, prop_assert, prop_assert_eq, prop_assume, prop_oneof, proptest,
};

const START: u64 = 1_790_000_040;
const SLOTS: u64 = 24;
const SECOND: u64 = 1_000_000_000;
const MIB: u64 = 1 << 20;

/// A process of the model.
#[derive(Debug, Clone)]
struct Model {
    name: usize,
    /// When it began and ended, ns after the start.
    begin: i64,
    end: u64,
    /// CPU time by second; 0 in idle ones.
    cpu: Vec<u64>,
    rss: u64,
}

const NAMES: [&str; 4] = ["cc1", "as", "sh", "make"];

fn model(earliest: i64) -> impl Strategy<Value = Model> {
    (
        0..NAMES.len(),
        earliest..SLOTS as i64 * SECOND as i64,
        1..8 * SECOND,
        vec(prop_oneof![2 => Just(0), 1 => 1..1_000_u64], SLOTS as usize),
        1..100_u64,
    )
        .prop_map(|(name, begin, length, cpu, rss)| Model {
            name,
            begin,
            end: begin.max(0) as u64 + length,
            cpu,
            rss,
        })
}

fn key(start: u64) -> Key {
    Key {
        container: ContainerId::new("0123456789ab").expect("an id"),
        resolution: Resolution::Second,
        start,
        source: SourceId([1; 16]),
    }
}

fn row(pid: usize, model: &Model) -> Process {
    let id = ProcessId {
        pid: pid as u32 + 1,
        start: (START * SECOND).saturating_add_signed(model.begin),
        exec: 0,
    };
    Process::new(id, NAMES[model.name])
}

/// The segment of one second, as an agent makes it: it lists what began in it, and what did
/// something.
fn second(models: &[Model], second: u64, caps: &Caps) -> Segment {
    let mut builder = Builder::new(key(START + second), 1);
    builder.cover(0, Coverage::SECOND);
    let from = (second * SECOND) as i64;
    let span = from..from + SECOND as i64;
    for (pid, model) in models.iter().enumerate() {
        let begins = span.contains(&model.begin);
        let lives = model.begin < span.end && model.end as i64 > span.start;
        let cpu = model.cpu[second as usize];
        if !lives || (cpu == 0 && !begins) {
            continue;
        }
        let mut process = row(pid, model);
        if (model.end as i64) < span.end {
            process.end = START * SECOND + model.end;
        }
        let process = builder.process(process);
        if cpu > 0 {
            builder.cpu(process, 0, 0, Cpu { ns: cpu });
        }
        let rss = model.rss * MIB;
        let memory = Memory {
            vm: 2 * rss,
            rss,
            swap: 0,
            private: rss,
        };
        builder.memory(process, 0, memory);
    }
    builder.build().fold(caps)
}

fn caps(processes: usize) -> Caps {
    Caps {
        processes,
        ..Caps::COARSE
    }
}

/// The number of processes that the rows account for, and whether it is exact.
fn accounted(segment: &Segment) -> (u64, bool) {
    let folded: HashSet<&str> = (segment.processes.iter())
        .filter(|row| row.is_folded())
        .map(|row| &*row.name)
        .collect();
    let census = segment.census();
    let is_exact = |row: &&Process| {
        census
            .count(&row.name, &folded, segment.counted_since())
            .is_some_and(|count| count.is_exact)
    };
    let mut rows = segment.processes.iter().filter(|row| row.is_folded());
    let exact = rows.all(|row| is_exact(&row));
    (
        segment
            .processes
            .iter()
            .map(|row| u64::from(row.count))
            .sum(),
        exact,
    )
}

fn merge(pieces: &[&Segment]) -> Segment {
    Segment::merge(pieces.iter().copied()).expect("of one source")
}

proptest! {
    /// Seconds, minutes and repeated pieces account for each process once.
    #[test]
    fn folded_rows_count_each_process_once(
        models in vec(model(0), 1..60),
        fine in 6..30_usize,
        coarse in 6..30_usize,
        missing in any::<u32>(),
        repeated in any::<u32>(),
    ) {
        let bit = |bits: u32, second: u64| bits >> second & 1 == 1;
        let covered: Vec<u64> = (0..SLOTS).filter(|second| !bit(missing & repeated, *second)).collect();
        let truth = models.iter().filter(|model| covered.contains(&(model.begin as u64 / SECOND)));
        let truth = truth.count() as u64;
        let seconds: Vec<Segment> =
            covered.iter().map(|at| second(&models, *at, &caps(fine))).collect();
        let Some(last) = seconds.last() else { return Ok(()) };
        let mut pieces: Vec<&Segment> = seconds.iter().collect();
        let (left, right) = pieces.split_at(pieces.len() / 2);
        let (left, right) = (left.to_vec(), right.to_vec());
        let half = if left.is_empty() { last.clone() } else { merge(&left) };
        pieces.push(&half);
        pieces.extend(right);
        pieces.extend(seconds.iter().filter(|piece| bit(repeated, piece.key.start - START)));
        let whole = merge(&pieces);
        // A process that began in a missing second is in no census, but may have a row.
        if covered.len() == SLOTS as usize {
            prop_assert_eq!(accounted(&whole), (truth, true));
            let minute = whole.coarsen().expect("seconds");
            prop_assert_eq!(accounted(&minute), (truth, true));
            prop_assert_eq!(accounted(&minute.fold(&caps(coarse))), (truth, true));
            prop_assert_eq!(accounted(&whole.clone().fold(&caps(coarse))), (truth, true));
        }
        // Merging it with itself changes nothing.
        prop_assert_eq!(&merge(&[&whole, &whole]), &whole);
        let twice: Vec<&Segment> = pieces.iter().copied().chain([&whole]).collect();
        prop_assert_eq!(merge(&twice).processes, whole.processes);
    }

    /// Where processes began earlier, the count of a folded row is a lower bound.
    #[test]
    fn earlier_processes_make_it_a_lower_bound(
        models in vec(model(-10 * SECOND as i64), 20..60),
        fine in 6..20_usize,
        from in 0..SLOTS,
    ) {
        let seconds: Vec<Segment> = (0..SLOTS).map(|at| second(&models, at, &caps(fine))).collect();
        let whole = merge(&seconds.iter().collect::<Vec<_>>());
        let slice = whole.slice(START + from..START + SLOTS).expect("short");
        for (segment, from) in [(&whole, 0), (&slice, from), (&whole.clone().fold(&caps(7)), 0)] {
            let lived = |model: &&Model| model.end > from * SECOND;
            let names: BTreeSet<usize> = models.iter().map(|model| model.name).collect();
            let folded: Vec<&Process> = segment.processes.iter().filter(|row| row.is_folded()).collect();
            for row in &folded {
                let is_named = |model: &&Model| row.name == NAMES[model.name] || row.name == OTHER;
                let truth = models.iter().filter(lived).filter(is_named).count();
                prop_assert!(row.count as usize <= truth, "{row:?} of {truth}, {names:?}");
            }
        }
    }

    /// Folded memory is what the processes held at one time.
    #[test]
    fn folded_memory_existed_at_one_time(models in vec(model(0), 20..60), fine in 6..12_usize) {
        for at in 0..SLOTS {
            let segment = second(&models, at, &caps(fine));
            let all = second(&models, at, &caps(1_000));
            let sum: u64 = segment.memory.iter().map(|cell| cell.value.rss).sum();
            let separate: u64 = all.memory.iter().map(|cell| cell.value.rss).sum();
            let largest = all.memory.iter().map(|cell| cell.value.rss).max();
            prop_assert!(sum <= separate);
            prop_assert!(sum >= largest.unwrap_or(0));
        }
    }
}

/// When a process is known to the agent, in whole seconds after it began, and whether its end is
/// reported a second late.
type Report = (u64, bool);

/// The segment of one second, of an agent that knows each process only after a delay, and that
/// lists a process again in the second in which it learns of the end.
fn late_second(models: &[(Model, Report)], second: u64, caps: &Caps) -> Segment {
    let mut builder = Builder::new(key(START + second), 1);
    builder.cover(0, Coverage::SECOND);
    for (pid, (model, (delay, is_end_late))) in models.iter().enumerate() {
        let began = model.begin.div_euclid(SECOND as i64);
        let first = (began + *delay as i64).max(0) as u64;
        let ended = (model.end / SECOND + u64::from(*is_end_late)).max(first);
        if second < first || second > ended {
            continue;
        }
        let cpu = model.cpu[second as usize];
        if cpu == 0 && second != first && second != ended {
            continue;
        }
        let mut process = row(pid, model);
        if second == ended {
            process.end = START * SECOND + model.end;
        }
        let process = builder.process(process);
        if cpu > 0 {
            builder.cpu(process, 0, 0, Cpu { ns: cpu });
        }
    }
    builder.build().fold(caps)
}

proptest! {
    /// Rows never account for more processes than there were, however late the agent learns of
    /// them, and whichever seconds are missing.
    #[test]
    fn late_processes_never_count_twice(
        models in vec((model(-3 * SECOND as i64), (0..3_u64, any::<bool>())), 1..60),
        fine in 6..40_usize,
        coarse in 6..30_usize,
        missing in prop_oneof![Just(0_u32), any::<u32>()],
        halves in any::<bool>(),
    ) {
        let seconds: Vec<Segment> = (0..SLOTS)
            .filter(|second| missing >> second & 1 == 0)
            .map(|second| late_second(&models, second, &caps(fine)))
            .collect();
        prop_assume!(!seconds.is_empty());
        let mut pieces: Vec<&Segment> = seconds.iter().collect();
        let half = merge(&pieces[..pieces.len().div_ceil(2)]).fold(&caps(fine));
        if halves {
            pieces.drain(..pieces.len().div_ceil(2));
            pieces.push(&half);
        }
        let whole = merge(&pieces);
        let minute = whole.coarsen().expect("seconds");
        for segment in [&whole, &minute, &whole.clone().fold(&caps(coarse)), &minute.clone().fold(&caps(coarse))] {
            let (count, _) = accounted(segment);
            prop_assert!(count <= models.len() as u64, "{count} of {}", models.len());
        }
    }
}

/// The agent learns of a container a second late: 217 of its processes began in a second without a
/// segment.
#[test]
fn processes_that_began_in_a_missing_second_count_once() {
    let of = |second: u64| {
        let mut builder = Builder::new(key(START + second), 1);
        builder.cover(0, Coverage::SECOND);
        let late = if second == 1 { 217 } else { 0 };
        for pid in 0..900 {
            let began = START + second - u64::from(pid < late);
            let id = ProcessId {
                pid: second as u32 * 1_000 + pid,
                start: began * SECOND + u64::from(pid),
                exec: 0,
            };
            let process = builder.process(Process::new(id, "forks"));
            builder.cpu(process, 0, 0, Cpu { ns: u64::from(pid) });
        }
        builder.build().fold(&Caps::SECOND)
    };
    let seconds: Vec<Segment> = (1..8).map(of).collect();
    let whole = merge(&seconds.iter().collect::<Vec<_>>());
    let minute = whole.slice(START - 10..START + 50).expect("short");
    assert_eq!(
        accounted(&minute.clone().fold(&Caps::SECOND)),
        (6_300, true)
    );
    let coarse = minute.coarsen().expect("seconds");
    assert_eq!(accounted(&coarse.fold(&Caps::COARSE)).0, 6_300);
}

/// 1,200 processes in each of two minutes: 800 rows each, and 400 folded.
#[test]
fn processes_of_two_minutes_add_up() {
    let of = |minute: u64| {
        let mut builder = Builder::new(key(START + 60 * minute), 1);
        builder.cover(0, Coverage::SECOND);
        for pid in 0..1_200_u64 {
            let id = ProcessId {
                pid: pid as u32 + 1,
                start: (START + 60 * minute) * SECOND + pid,
                exec: 0,
            };
            let process = builder.process(Process::new(id, "cc1"));
            builder.cpu(process, 0, 0, Cpu { ns: 1 });
        }
        builder.build().fold(&Caps::SECOND)
    };
    let (one, two) = (of(0), of(1));
    assert_eq!(accounted(&one), (1_200, true));
    let both = merge(&[&one, &two]);
    assert_eq!(accounted(&both), (2_400, true));
    assert_eq!(accounted(&merge(&[&both, &one])), (2_400, true));
    let hour = merge(&[&one.coarsen().unwrap(), &two.coarsen().unwrap()]);
    assert_eq!(accounted(&hour.fold(&Caps::COARSE)), (2_400, true));
}

/// The same daemons, folded in each of 60 seconds, are as many as they are.
#[test]
fn processes_that_go_on_count_once() {
    let of = |second: u64| {
        let mut builder = Builder::new(key(START + second), 1);
        builder.cover(0, Coverage::SECOND);
        for pid in 1..=1_200 {
            let id = ProcessId {
                pid,
                start: START * SECOND - 1,
                exec: 0,
            };
            let process = builder.process(Process::new(id, "daemon"));
            builder.cpu(process, 0, 0, Cpu { ns: u64::from(pid) });
        }
        builder.build().fold(&Caps::SECOND)
    };
    let seconds: Vec<Segment> = (0..60).map(of).collect();
    let minute = merge(&seconds.iter().collect::<Vec<_>>());
    assert_eq!(accounted(&minute), (1_200, false));
}

/// A container that runs `count` processes of 50 MiB, `at_once` of them at a time.
fn compilers(count: u64, at_once: u64, totals: &[(Metric, u64)]) -> Segment {
    let mut builder = Builder::new(key(START), 60);
    let length = 60 * SECOND / count;
    for pid in 0..count {
        let start = START * SECOND + pid * length;
        let id = ProcessId {
            pid: pid as u32 + 1,
            start,
            exec: 0,
        };
        let end = start + length * at_once;
        let process = builder.process(Process {
            end,
            ..Process::new(id, "cc1")
        });
        let rss = 50 * MIB;
        let memory = Memory {
            vm: 2 * rss,
            rss,
            swap: 0,
            private: rss,
        };
        for slot in (start / SECOND - START)..=(end / SECOND - START).min(59) {
            builder.memory(process, slot as u32, memory);
        }
    }
    for slot in 0..60 {
        builder.cover(slot, Coverage::SECOND);
        for (metric, value) in totals {
            builder.total(*metric, slot, *value);
        }
    }
    builder.build()
}

/// The highest memory of the folded row `cc1`.
fn folded_memory(segment: &Segment) -> Memory {
    let folded = |cell: &&Cell<Memory>| cell.row == Row(0, 0);
    assert!(segment.processes[0].is_folded());
    let cells = segment.memory.iter().filter(folded);
    cells
        .map(|cell| cell.value)
        .max_by_key(|value| value.rss)
        .expect("memory")
}

#[test]
fn compilers_one_after_the_other_hold_what_one_holds() {
    let minute = compilers(500, 1, &[])
        .coarsen()
        .unwrap()
        .fold(&Caps::COARSE);
    let one = Memory {
        vm: 100 * MIB,
        rss: 50 * MIB,
        swap: 0,
        private: 50 * MIB,
    };
    assert_eq!(folded_memory(&minute), one);
    let four = compilers(500, 4, &[])
        .coarsen()
        .unwrap()
        .fold(&Caps::COARSE);
    assert_eq!(folded_memory(&four).rss, 200 * MIB);
}

#[test]
fn folded_memory_is_at_most_what_the_cgroup_had() {
    let of = |totals: &[(Metric, u64)]| {
        let minute = compilers(500, 40, totals).coarsen().unwrap();
        folded_memory(&minute.fold(&Caps::COARSE)).rss / MIB
    };
    assert_eq!(of(&[]), 2_000);
    assert_eq!(of(&[(Metric::MEMORY_CURRENT, 300 * MIB)]), 300);
    // What came and went between two readings is in the kernel's peak alone.
    let peak = [
        (Metric::MEMORY_CURRENT, 300 * MIB),
        (Metric::MEMORY_PEAK, 700 * MIB),
    ];
    assert_eq!(of(&peak), 700);
    // Pages of files may belong to another cgroup.
    assert_eq!(of(&[(Metric::MEMORY_CURRENT, MIB)]), 50);
}

/// So many names that not all have a number of their own.
#[test]
fn more_names_than_rows() {
    let mut builder = Builder::new(key(START), 1);
    builder.cover(0, Coverage::SECOND);
    for pid in 1..=500 {
        let id = ProcessId {
            pid,
            start: START * SECOND + u64::from(pid),
            exec: 0,
        };
        builder.process(Process::new(id, format!("p{pid}")));
    }
    let folded = builder.build().fold(&caps(50));
    assert!(folded.totals.len() <= 4 * 50 + 1);
    assert_eq!(accounted(&folded), (500, false));
    assert_eq!(accounted(&merge(&[&folded, &folded])), (500, false));
}

/// Seconds that an agent posted, packed and rolled up.
#[test]
fn processes_of_many_seconds_hold_what_one_holds() {
    let second = |at: u64| {
        let mut builder = Builder::new(key(START + at), 1);
        builder.cover(0, Coverage::SECOND);
        for index in 0..20 {
            let start = (START + at) * SECOND + index * SECOND / 20;
            let id = ProcessId {
                pid: index as u32 + 1,
                start,
                exec: 0,
            };
            let end = start + SECOND / 20;
            let process = builder.process(Process {
                end,
                ..Process::new(id, "cc1")
            });
            builder.cpu(process, 0, 0, Cpu { ns: 1_000 });
            let rss = 50 * MIB;
            let memory = Memory {
                vm: 2 * rss,
                rss,
                swap: 0,
                private: rss,
            };
            builder.memory(process, 0, memory);
        }
        builder.build().fold(&Caps::SECOND)
    };
    let seconds: Vec<Segment> = (0..60).map(second).collect();
    let minute = merge(&seconds.iter().collect::<Vec<_>>());
    let minute = minute.coarsen().unwrap().fold(&Caps::COARSE);
    assert_eq!(folded_memory(&minute).rss, 50 * MIB);
}
