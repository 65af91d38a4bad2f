//! Each rule on both sides of its threshold.

use super::advice;
use crate::report::form::{
    Amount, CommandRow, FileRow, Growth, NetworkSums, PeerRow, Report, ReportFileSums, TimeBudget,
    Weight,
};

/// A run of a minute that used what it had.
fn good() -> Report {
    let mut report = Report::default();
    report.time.wall_seconds = 60.0;
    report.cpu.cores_had = amount(8.0, "asked");
    use_cores(&mut report, 7.5);
    report.memory.had = amount(1e9, "limit");
    use_memory(&mut report, 75.0);
    report
}

fn amount(value: f64, source: &str) -> Option<Amount> {
    Some(Amount {
        value,
        source: source.to_owned(),
        cgroup: None,
    })
}

fn use_cores(report: &mut Report, cores: f64) {
    let had = report.cpu.cores_had.as_ref().map(|had| had.value);
    report.cpu.cores_mean = cores;
    report.cpu.used_percent = had.map(|had| 100.0 * cores / had);
}

fn use_memory(report: &mut Report, percent: f64) {
    report.memory.used_percent = Some(percent);
    report.memory.peak_bytes = Some((percent * 1e7) as u64);
}

/// The rules that apply to a good run with one change, with their weights.
fn said(change: impl FnOnce(&mut Report)) -> Vec<(String, Weight)> {
    let mut report = good();
    change(&mut report);
    let advice = advice(&report).into_iter();
    advice.map(|it| (it.rule, it.weight)).collect()
}

fn only(rule: &str, weight: Weight) -> Vec<(String, Weight)> {
    vec![(rule.to_owned(), weight)]
}

const NOTHING: &[(String, Weight)] = &[];

#[test]
fn nothing_is_said_of_a_good_run() {
    assert_eq!(said(|_| {}), NOTHING);
    assert!(advice(&Report::default()).is_empty());
}

#[test]
fn a_time_limit_is_nearly_reached() {
    let with = |percent: f64| {
        said(|report| {
            report.time.limit = amount(3600.0, "slurm");
            report.time.limit_used_percent = Some(percent);
        })
    };
    assert_eq!(with(89.9), NOTHING);
    assert_eq!(with(90.0), only("time_limit", Weight::Warning));
    assert_eq!(with(101.0), only("time_limit", Weight::Warning));
}

#[test]
fn cpu_is_compared_with_what_was_asked_for() {
    let with = |percent: f64| said(|report| use_cores(report, 8.0 * percent / 100.0));
    assert_eq!(with(80.0), NOTHING);
    assert_eq!(with(79.9), only("cpu_unused", Weight::Note));
    assert_eq!(with(65.0), only("cpu_unused", Weight::Note));
    assert_eq!(with(64.9), only("cpu_unused", Weight::Warning));
    let of_host = said(|report| {
        report.cpu.cores_had = amount(8.0, "host");
        use_cores(report, 3.0);
    });
    assert_eq!(of_host, NOTHING, "nobody asked for the whole host");
    let short = said(|report| {
        report.time.wall_seconds = 9.9;
        use_cores(report, 3.0);
    });
    assert_eq!(short, NOTHING);
}

#[test]
fn one_busy_core_of_many_is_serial() {
    let with = |cores: f64| said(|report| use_cores(report, cores));
    assert_eq!(with(1.0), only("serial", Weight::Warning));
    assert_eq!(with(0.86), only("serial", Weight::Warning));
    for cores in [0.85, 1.1] {
        assert_eq!(with(cores), only("cpu_unused", Weight::Warning), "{cores}");
    }
    let in_turns = said(|report| {
        use_cores(report, 1.0);
        report.cpu.cores_peak = 2.0;
    });
    assert_eq!(in_turns, only("cpu_unused", Weight::Warning));
    let of_host = said(|report| {
        report.cpu.cores_had = amount(8.0, "host");
        use_cores(report, 1.0);
    });
    assert_eq!(of_host, only("serial", Weight::Note));
    let single = said(|report| {
        report.cpu.cores_had = amount(1.0, "limit");
        use_cores(report, 1.0);
    });
    assert_eq!(single, NOTHING);
}

#[test]
fn cores_that_are_not_used_evenly_are_told() {
    let with = |percent: f64| said(|report| report.cpu.imbalance_percent = Some(percent));
    assert_eq!(with(10.0), NOTHING);
    assert_eq!(with(10.1), only("imbalance", Weight::Note));
    assert_eq!(with(20.1), only("imbalance", Weight::Warning));
}

#[test]
fn memory_is_compared_with_what_was_asked_for() {
    let with = |percent: f64| said(|report| use_memory(report, percent));
    assert_eq!(with(70.0), NOTHING);
    assert_eq!(with(69.9), only("memory_unused", Weight::Note));
    assert_eq!(with(79.9), NOTHING);
    assert_eq!(with(80.0), only("memory_high", Weight::Note));
    let cached = |anon: u64, resident: u64| {
        said(|report| {
            use_memory(report, 100.0);
            report.memory.anon_bytes = Some(anon);
            report.memory.resident_bytes = Some(resident);
        })
    };
    // The page cache fills the limit.
    let low = cached(300_000_000, 350_000_000);
    assert_eq!(low, only("memory_unused", Weight::Note));
    assert_eq!(cached(750_000_000, 760_000_000), NOTHING);
    let high = cached(900_000_000, 900_000_000);
    assert_eq!(high, only("memory_high", Weight::Note));
    let killed = said(|report| {
        use_memory(report, 100.0);
        report.memory.oom_kills = 1;
    });
    assert_eq!(killed, only("oom_kills", Weight::Warning));
}

#[test]
fn memory_that_grows_to_the_end_is_told() {
    let with = |to_bytes: u64| {
        said(|report| {
            report.memory.growth = Some(Growth {
                what: "anonymous".to_owned(),
                from_bytes: 100_000_000,
                to_bytes,
            });
        })
    };
    assert_eq!(with(199_000_000), NOTHING);
    assert_eq!(with(200_000_000), only("memory_grows", Weight::Note));
}

#[test]
fn a_limit_that_held_back_is_told() {
    let with = |percent: f64| said(|report| report.cpu.throttled_percent = Some(percent));
    assert_eq!(with(0.99), NOTHING);
    assert_eq!(with(1.0), only("throttled", Weight::Warning));
}

#[test]
fn many_small_reads_of_a_file_are_told() {
    let with = |kind: &str, reads: u64, mean: u64| {
        said(|report| {
            report.files.by_file.rows = vec![FileRow {
                path: "/data".to_owned(),
                kind: kind.to_owned(),
                sums: ReportFileSums {
                    reads,
                    read_bytes: reads * mean,
                    ..ReportFileSums::default()
                },
            }];
        })
    };
    assert_eq!(with("file", 10_000, 4_096), NOTHING);
    assert_eq!(
        with("file", 10_000, 4_095),
        only("small_reads", Weight::Note)
    );
    assert_eq!(with("file", 9_999, 16), NOTHING);
    assert_eq!(with("pipe", 10_000, 16), NOTHING);
}

#[test]
fn thousands_of_short_processes_are_told() {
    let with = |short: u64| {
        let mut report = good();
        report.processes.short = short;
        report.processes.started = short + 5;
        report.processes.commands = vec![CommandRow {
            name: "expr\x1b".to_owned(),
            processes: short,
            ..CommandRow::default()
        }];
        advice(&report)
    };
    assert!(with(999).is_empty());
    let advice = with(1_000);
    assert_eq!(
        advice[0].text,
        "1,000 processes of 1,005 lived for less than a second, most of them expr·"
    );
}

#[test]
fn failed_connections_are_told_with_the_worst_peer() {
    let with_peer = |address: &str, failures: u64, connects: u64| {
        said(|report| {
            let sums = NetworkSums {
                failures,
                connects,
                ..NetworkSums::default()
            };
            report.network.total = sums.clone();
            report.network.rows = vec![PeerRow {
                address: address.to_owned(),
                sums,
                ..PeerRow::default()
            }];
        })
    };
    assert_eq!(with_peer("", 4, 0), NOTHING, "a name cache is no peer");
    assert_eq!(with_peer("/dev/log", 4, 0), NOTHING, "nor is a log");
    let with = |failures, connects| with_peer("10.0.0.3:443", failures, connects);
    assert_eq!(with(0, 9), NOTHING);
    assert_eq!(with(1, 2), only("failed_connections", Weight::Note));
    assert_eq!(with(2, 2), only("failed_connections", Weight::Warning));
}

#[test]
fn a_run_that_is_mostly_idle_is_told() {
    let with = |percent: f64| said(|report| report.idle.percent = percent);
    assert_eq!(with(49.9), NOTHING);
    assert_eq!(with(50.0), only("idle", Weight::Note));
}

#[test]
fn warnings_come_first() {
    let said = said(|report| {
        report.idle.percent = 60.0;
        report.memory.oom_kills = 2;
    });
    let rules: Vec<&str> = said.iter().map(|(rule, _)| rule.as_str()).collect();
    assert_eq!(rules, ["oom_kills", "idle"]);
}

#[test]
fn a_file_or_a_peer_that_was_mostly_waited_for_is_told() {
    let with = |file_ns: u64, peer_ns: u64| {
        let mut report = good();
        report.budget = Some(TimeBudget {
            running_ns: 30_000_000_000,
            disk_ns: 50_000_000_000,
            network_ns: 20_000_000_000,
            sleep_ns: 900_000_000_000,
            ..TimeBudget::default()
        });
        report.files.longest_wait = Some(FileRow {
            path: "/data/db.sqlite\n".to_owned(),
            sums: ReportFileSums {
                waited_ns: file_ns,
                ..ReportFileSums::default()
            },
            ..FileRow::default()
        });
        report.network.longest_wait = Some(PeerRow {
            address: "10.0.0.3:443".to_owned(),
            sums: NetworkSums {
                waited_ns: peer_ns,
                ..NetworkSums::default()
            },
            ..PeerRow::default()
        });
        let advice = advice(&report).into_iter();
        advice.map(|it| (it.rule, it.text)).collect::<Vec<_>>()
    };
    // The disk took most of the time, and no single file.
    let rules = |said: &[(String, String)]| said.iter().map(|it| it.0.clone()).collect::<Vec<_>>();
    assert_eq!(
        rules(&with(49_900_000_000, 49_900_000_000)),
        ["waited_for_disk"]
    );
    let file = with(50_000_000_000, 0);
    assert_eq!(rules(&file), ["waited_for_file"]);
    assert_eq!(
        file[0].1,
        "waited 50 % for /data/db.sqlite·: 50.00 s in all threads, which ran for 30.00 s"
    );
    let peer = with(0, 61_000_000_000);
    assert_eq!(rules(&peer), ["waited_for_peer", "waited_for_disk"]);
    assert!(
        peer[0].1.starts_with("waited 61 % for 10.0.0.3:443: "),
        "{peer:?}"
    );
    let short = said(|report| {
        report.time.wall_seconds = 9.9;
        report.budget = Some(TimeBudget {
            disk_ns: 1,
            ..TimeBudget::default()
        });
        report.files.longest_wait = Some(FileRow {
            sums: ReportFileSums {
                waited_ns: 1,
                ..ReportFileSums::default()
            },
            ..FileRow::default()
        });
    });
    assert_eq!(short, NOTHING);
}

#[test]
fn waits_are_compared_with_the_time_that_could_be_used() {
    let with = |core_ns: u64, disk_ns: u64| {
        said(|report| {
            report.budget = Some(TimeBudget {
                running_ns: 40_000_000_000,
                core_ns,
                disk_ns,
                events_ns: 1_000_000_000_000,
                ..TimeBudget::default()
            });
        })
    };
    assert_eq!(with(0, 39_000_000_000), NOTHING);
    let disk = only("waited_for_disk", Weight::Note);
    assert_eq!(with(0, 40_000_000_000), disk);
    assert_eq!(with(9_900_000_000, 0), NOTHING);
    let core = only("waited_for_core", Weight::Note);
    assert_eq!(with(10_000_000_000, 0), core);
    let throttled = said(|report| {
        report.cpu.throttled_percent = Some(5.0);
        report.budget = Some(TimeBudget {
            running_ns: 1,
            core_ns: 9,
            ..TimeBudget::default()
        });
    });
    assert_eq!(throttled, only("throttled", Weight::Warning));
}

#[test]
fn cores_that_others_used_are_not_unused() {
    let with = |core_ns: u64| {
        let mut report = good();
        use_cores(&mut report, 2.0);
        report.cpu.cores_peak = 3.0;
        report.budget = Some(TimeBudget {
            running_ns: 120_000_000_000,
            core_ns,
            ..TimeBudget::default()
        });
        let advice = advice(&report).into_iter();
        advice.map(|it| (it.rule, it.text)).collect::<Vec<_>>()
    };
    let unused = &with(4 * 60_000_000_000)[0];
    assert_eq!(unused.0, "cpu_unused", "it would have used 6 of 8");
    let busy = with(5 * 60_000_000_000);
    let text = "its threads waited 5.0 min for a core while they ran for 2.0 min: it got 2 of 8 cores, \
                others used the rest, or its affinity excludes it";
    assert_eq!(busy, [("waited_for_core".to_owned(), text.to_owned())]);
}

#[test]
fn a_run_that_got_all_its_cores_at_times_left_them_unused_at_others() {
    let mut report = good();
    use_cores(&mut report, 2.0);
    report.cpu.cores_peak = 8.0;
    report.budget = Some(TimeBudget {
        running_ns: 120_000_000_000,
        core_ns: 11 * 60_000_000_000,
        ..TimeBudget::default()
    });
    let advice = advice(&report);
    let rules: Vec<&str> = advice.iter().map(|it| it.rule.as_str()).collect();
    assert_eq!(rules, ["cpu_unused", "waited_for_core"]);
    let text = &advice[1].text;
    assert!(
        text.ends_with("there were more of them than free cores"),
        "{text}"
    );
}
