use crate::report::tally::Tally;
use crate::report::{Context, Report};
use crate::segment::builder::Builder;
use crate::segment::process::{Cpu, Process, ProcessId};
use crate::segment::total::Metric;
use crate::segment::wait::{UNIT, Waits};
use crate::segment::{ContainerId, Coverage, Key, Resolution, SourceId, facts};

const SECOND: u64 = 1_000_000_000;
/// A second in the unit of waits.
const WHOLE: u64 = SECOND / UNIT;

/// The report of one second, filled by `fill` with a process.
fn report(context: &Context, fill: impl FnOnce(&mut Builder, u32)) -> Report {
    report_of(1, context, fill)
}

/// The same of some `seconds`.
fn report_of(seconds: u32, context: &Context, fill: impl FnOnce(&mut Builder, u32)) -> Report {
    let key = Key {
        container: ContainerId::new("0123456789ab").unwrap(),
        resolution: Resolution::Second,
        start: 1_790_000_000,
        source: SourceId([1; 16]),
    };
    let mut builder = Builder::new(key, seconds as usize);
    for slot in 0..seconds {
        builder.cover(slot, Coverage::SECOND);
    }
    let id = ProcessId {
        pid: 7,
        start: 1,
        exec: 1,
    };
    let process = builder.process(Process::new(id, "worker"));
    fill(&mut builder, process);
    let mut tally = Tally::default();
    tally.add(&builder.build());
    let (id, sums) = tally.containers.first_key_value().unwrap();
    Report::new(id, sums, context)
}

fn cores_had(facts: &[(&str, &str)], totals: &[(Metric, u64)]) -> (f64, String, Option<String>) {
    let report = report(&Context::default(), |builder, _| {
        for (name, value) in facts {
            builder.fact(*name, *value);
        }
        for (metric, value) in totals {
            builder.total(*metric, 0, *value);
        }
    });
    let had = report.cpu.cores_had.unwrap();
    (had.value, had.source, had.cgroup)
}

#[test]
fn the_least_of_what_allows_cores_counts() {
    let host = (facts::CORES, "8");
    let affinity = (facts::AFFINITY, "2");
    let cpuset = (Metric::CPUSET_CORES, 4);
    let limit = |millicores| (Metric::CPU_LIMIT, millicores);
    let had = |value: f64, source: &str| (value, source.to_owned(), None);
    assert_eq!(cores_had(&[host], &[]), had(8.0, "host"));
    assert_eq!(cores_had(&[host], &[cpuset]), had(4.0, "cpuset"));
    assert_eq!(
        cores_had(&[host], &[(Metric::CPUSET_CORES, 8)]),
        had(8.0, "host")
    );
    assert_eq!(
        cores_had(&[host, affinity], &[cpuset]),
        had(2.0, "affinity")
    );
    assert_eq!(
        cores_had(&[host, affinity], &[limit(1_500)]),
        had(1.5, "limit")
    );
    assert_eq!(
        cores_had(&[host, affinity], &[limit(3_000)]),
        had(2.0, "affinity")
    );
    assert_eq!(cores_had(&[host], &[limit(9_000)]), had(8.0, "host"));
}

#[test]
fn a_limit_above_names_its_cgroup() {
    let path = (facts::CGROUP, "/pod/job/run");
    let limit = (Metric::CPU_LIMIT, 1_000);
    let at = |level| cores_had(&[path], &[limit, (Metric::CPU_LIMIT_LEVEL, level)]).2;
    assert_eq!(cores_had(&[path], &[limit]).2, None);
    let levels = [1, 2, 3, 4, u64::MAX].map(|level| at(level).unwrap());
    assert_eq!(levels, ["/pod/job", "/pod", "/", "", ""]);
}

#[test]
fn what_is_asked_for_replaces_what_slurm_says_by_field() {
    let context = Context {
        asked: "time=2h".parse().unwrap(),
        slurm: "cores=4,memory=8G,time=1h".parse().unwrap(),
        ..Context::default()
    };
    let report = report(&context, |_, _| {});
    let had = [report.cpu.cores_had, report.memory.had, report.time.limit];
    let had = had.map(|had| had.map(|had| (had.value, had.source)).unwrap());
    let of = |value: f64, source: &str| (value, source.to_owned());
    let expected = [
        of(4.0, "slurm"),
        of((8_u64 << 30) as f64, "slurm"),
        of(7_200.0, "asked"),
    ];
    assert_eq!(had, expected);
}

#[test]
fn a_limit_above_holds_back_at_most_what_was_waited_for_a_core() {
    let throttled = |core: Option<u64>, above: u64| {
        let report = report(&Context::default(), |builder, process| {
            builder.fact(facts::CORES, "2");
            builder.fact(facts::CGROUP, "/docker/abc/run");
            builder.cpu(process, 0, 0, Cpu { ns: SECOND / 2 });
            builder.total(Metric::CPU_LIMIT, 0, 1_000);
            builder.total(Metric::CPU_LIMIT_LEVEL, 0, 1);
            builder.total(Metric::CPU_THROTTLED_ABOVE, 0, above);
            if let Some(core) = core {
                let waits = Waits {
                    core,
                    ..Waits::default()
                };
                builder.waits(process, 0, waits);
            }
        });
        let said = report.advice.iter().find(|it| it.rule == "throttled");
        let said = said.map(|it| it.text.clone()).unwrap_or_default();
        (report.cpu.throttled_percent.unwrap_or(0.0), said)
    };
    let said = "the CPU limit of 1 core of /docker/abc, above it, held back 50 % of the CPU time that \
                it could have used";
    // Without waits it is not known whether any of it was its own.
    assert_eq!(throttled(None, SECOND / 2), (0.0, String::new()));
    assert_eq!(
        throttled(Some(WHOLE / 2), 9 * SECOND),
        (50.0, said.to_owned())
    );
    assert_eq!(throttled(Some(WHOLE), 0), (0.0, String::new()));
}

#[test]
fn threads_without_work_do_not_wait_for_a_lock() {
    let budget = |waits: Waits, running: u64| {
        let report = report(&Context::default(), |builder, process| {
            builder.cpu(process, 0, 0, Cpu { ns: running });
            builder.waits(process, 0, waits);
        });
        let budget = report.budget.unwrap();
        (budget.lock_ns, budget.idle_ns)
    };
    let lock = |lock| Waits {
        lock,
        ..Waits::default()
    };
    let pool = 8 * WHOLE;
    assert_eq!(budget(lock(pool), 1_000_000), (0, 8 * SECOND), "a pool");
    let busy = (8 * SECOND, 0);
    assert_eq!(budget(lock(pool), SECOND), busy, "somebody held it");
    let disk = Waits {
        disk: WHOLE,
        ..lock(pool)
    };
    assert_eq!(budget(disk, 0), busy, "the holder read a file");
    assert_eq!(
        budget(lock(WHOLE), 0),
        (SECOND, 0),
        "flock of another process"
    );
}

#[test]
fn series_have_gaps_and_states() {
    let report = report(&Context::default(), |builder, process| {
        builder.cpu(process, 0, 0, Cpu { ns: SECOND / 2 });
        builder.total(Metric::MEMORY_CURRENT, 0, 4_096);
        let waits = Waits {
            disk: 2 * WHOLE,
            ..Waits::default()
        };
        builder.waits(process, 0, waits);
    });
    let series = report.series;
    assert_eq!(series.cores, [Some(0.5)]);
    assert_eq!(series.memory_bytes, [Some(4_096)]);
    let states = series.states.iter();
    let states: Vec<_> = states
        .map(|it| (it.state.as_str(), it.threads[0]))
        .collect();
    assert_eq!(states, [("running", Some(0.5)), ("disk", Some(2.0))]);
}

/// The end is a moment after a second began, and what was read late is charged to that moment.
#[test]
fn a_moment_at_the_end_is_no_peak() {
    let end = (1_790_000_000 + 3) * SECOND + 1_000_000;
    let report = report_of(4, &Context::default(), |builder, process| {
        builder.fact(facts::ENDED, end.to_string());
        for slot in 0..3 {
            builder.cpu(process, 0, slot, Cpu { ns: SECOND });
        }
        builder.cpu(process, 0, 3, Cpu { ns: 9_000_000 });
    });
    let cores: Vec<f64> = report.series.cores.into_iter().flatten().collect();
    assert_eq!(cores, [1.0, 1.0, 1.008]);
}
