//! A report as the fields that other tools write of a run, for what already reads these.
//!
//! | format | source of names and units |
//! |---|---|
//! | [`time`] | GNU time 1.9, `time.c`, `longstats` |
//! | [`snakemake`] | Snakemake, `benchmark.py`, `BenchmarkRecord` |
//! | [`nextflow`] | Nextflow, `command-trace.txt` |
//!
//! A field that a report does not have is left out, or is what the tool itself writes then. These tools
//! look at the processes now and then, or at each when it has been waited for. Here the numbers are those of all
//! processes: memory is the most that they held together at one time, and bytes are counted.

use std::fmt::Write as _;

use super::form::Report;
use super::words::clean;

const KIB: u64 = 1 << 10;
const MIB: f64 = (1 << 20) as f64;
/// Size of a block in `getrusage`, bytes.
const BLOCK: u64 = 512;
/// What Snakemake writes for a value that it does not have.
const NO_VALUE: &str = "-";

/// The known lines of `time -v`.
pub(super) fn time(report: &Report) -> String {
    let cpu = &report.cpu;
    let wall = report.time.wall_seconds;
    let blocks = |bytes: Option<u64>| bytes.map(|bytes| (bytes / BLOCK).to_string());
    let seconds = |ns: Option<u64>| ns.map(|ns| format!("{:.2}", ns as f64 / 1e9));
    let lines = [
        (
            "Command being timed",
            Some(format!("\"{}\"", clean(&report.container.name))),
        ),
        ("User time (seconds)", seconds(cpu.user_ns)),
        ("System time (seconds)", seconds(cpu.system_ns)),
        (
            "Percent of CPU this job got",
            // `time` cuts off what is behind the point.
            (wall > 0.0).then(|| format!("{}%", (100.0 * cpu.cores_mean) as u64)),
        ),
        (
            "Elapsed (wall clock) time (h:mm:ss or m:ss)",
            Some(elapsed(wall)),
        ),
        (
            "Maximum resident set size (kbytes)",
            report
                .memory
                .resident_bytes
                .map(|bytes| (bytes / KIB).to_string()),
        ),
        ("File system inputs", blocks(report.files.block_read_bytes)),
        (
            "File system outputs",
            blocks(report.files.block_written_bytes),
        ),
        (
            "Exit status",
            report.container.exit_code.map(|code| code.to_string()),
        ),
    ];
    let mut out = String::new();
    for (name, value) in lines {
        if let Some(value) = value {
            // Writing to a string does not fail.
            let _ = writeln!(out, "\t{name}: {value}");
        }
    }
    out
}

/// Names and values of a benchmark, separated by tabs.
pub(super) fn snakemake(report: &Report) -> String {
    let wall = report.time.wall_seconds;
    let mib = |bytes: Option<u64>| match bytes {
        Some(bytes) => format!("{:.2}", bytes as f64 / MIB),
        None => NO_VALUE.to_owned(),
    };
    let seconds = wall as u64;
    let columns = [
        ("s", format!("{wall:.4}")),
        ("h:m:s", clock(seconds)),
        ("max_rss", mib(report.memory.resident_bytes)),
        ("max_vms", NO_VALUE.to_owned()),
        ("max_uss", NO_VALUE.to_owned()),
        ("max_pss", NO_VALUE.to_owned()),
        ("io_in", mib(report.files.block_read_bytes)),
        ("io_out", mib(report.files.block_written_bytes)),
        ("mean_load", format!("{:.2}", 100.0 * report.cpu.cores_mean)),
        (
            "cpu_time",
            format!("{:.2}", report.cpu.time_ns as f64 / 1e9),
        ),
    ];
    let names = columns.each_ref().map(|(name, _)| *name).join("\t");
    let values = columns.each_ref().map(|(_, value)| value.as_str());
    format!("{names}\n{}\n", values.join("\t"))
}

/// The lines of `.command.trace`.
pub(super) fn nextflow(report: &Report) -> String {
    let wall = report.time.wall_seconds;
    let files = &report.files;
    let resident = report.memory.resident_bytes.map(|bytes| bytes / KIB);
    // Tenths of a percent.
    let load = (wall > 0.0).then(|| (1000.0 * report.cpu.cores_mean).round() as u64);
    // A scan of /proc misses what happens between two scans.
    let counted = |value: u64| (report.container.hooks != "procfs").then_some(value);
    let lines = [
        ("realtime", Some((1000.0 * wall).round() as u64)),
        ("%cpu", load),
        ("rchar", counted(files.total.read_bytes)),
        ("wchar", counted(files.total.written_bytes)),
        ("syscr", counted(files.total.reads)),
        ("syscw", counted(files.total.writes)),
        ("read_bytes", files.block_read_bytes),
        ("write_bytes", files.block_written_bytes),
        ("rss", resident),
        ("peak_rss", resident),
    ];
    let mut out = "nextflow.trace/v2\n".to_owned();
    for (name, value) in lines {
        if let Some(value) = value {
            // Writing to a string does not fail.
            let _ = writeln!(out, "{name}={value}");
        }
    }
    out
}

/// `h:mm:ss`, or `m:ss` with hundredths.
fn elapsed(wall: f64) -> String {
    let hundredths = (wall * 100.0) as u64;
    let (minutes, seconds) = (hundredths / 6000, hundredths / 100 % 60);
    match minutes / 60 {
        0 => format!("{minutes}:{seconds:02}.{:02}", hundredths % 100),
        hours => format!("{hours}:{:02}:{seconds:02}", minutes % 60),
    }
}

/// `h:mm:ss`, with days before it as in Python's `timedelta`.
fn clock(seconds: u64) -> String {
    let days = match seconds / 86_400 {
        0 => String::new(),
        1 => "1 day, ".to_owned(),
        days => format!("{days} days, "),
    };
    let (hours, minutes) = (seconds / 3_600 % 24, seconds / 60 % 60);
    format!("{days}{hours}:{minutes:02}:{:02}", seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::{clock, elapsed, nextflow, snakemake, time};
    use crate::report::Report;

    fn report() -> Report {
        let mut report = Report::default();
        report.container.name = "sort".to_owned();
        report.container.exit_code = Some(137);
        report.time.wall_seconds = 4.0;
        report.cpu.time_ns = 6_000_000_000;
        report.cpu.cores_mean = 1.5;
        report.cpu.user_ns = Some(5_500_000_000);
        report.cpu.system_ns = Some(500_000_000);
        report.memory.resident_bytes = Some(3 << 20);
        report.files.total.read_bytes = 1_000_003;
        report.files.total.reads = 17;
        report.files.total.written_bytes = 12;
        report.files.total.writes = 2;
        report.files.block_read_bytes = Some(1 << 20);
        report.files.block_written_bytes = Some(4096);
        report
    }

    #[test]
    fn lines_of_time() {
        let expected = "\tCommand being timed: \"sort\"
\tUser time (seconds): 5.50
\tSystem time (seconds): 0.50
\tPercent of CPU this job got: 150%
\tElapsed (wall clock) time (h:mm:ss or m:ss): 0:04.00
\tMaximum resident set size (kbytes): 3072
\tFile system inputs: 2048
\tFile system outputs: 8
\tExit status: 137
";
        assert_eq!(time(&report()), expected);
    }

    #[test]
    fn a_benchmark_of_snakemake() {
        let expected =
            "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time
4.0000\t0:00:04\t3.00\t-\t-\t-\t1.00\t0.00\t150.00\t6.00
";
        assert_eq!(snakemake(&report()), expected);
    }

    #[test]
    fn a_trace_of_nextflow() {
        let expected = "nextflow.trace/v2
realtime=4000
%cpu=1500
rchar=1000003
wchar=12
syscr=17
syscw=2
read_bytes=1048576
write_bytes=4096
rss=3072
peak_rss=3072
";
        assert_eq!(nextflow(&report()), expected);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let mut report = report();
        report.files.block_read_bytes = None;
        report.memory.resident_bytes = None;
        report.cpu.user_ns = None;
        report.time.wall_seconds = 0.0;
        report.cpu.cores_mean = 0.0;
        report.container.hooks = "procfs".to_owned();
        let texts = [time(&report), nextflow(&report), snakemake(&report)];
        assert!(!texts[0].contains("inputs") && !texts[0].contains("User"));
        assert!(!texts[0].contains("Percent") && !texts[1].contains("%cpu"));
        assert!(!texts[1].contains("read_bytes") && !texts[1].contains("rss"));
        assert!(!texts[1].contains("rchar") && !texts[1].contains("syscw"));
        assert!(texts[2].ends_with("0:00:00\t-\t-\t-\t-\t-\t0.00\t0.00\t6.00\n"));
    }

    #[test]
    fn wall_times() {
        assert_eq!(elapsed(25.246), "0:25.24");
        assert_eq!(elapsed(605.0), "10:05.00");
        assert_eq!(elapsed(3725.9), "1:02:05");
        assert_eq!(clock(3_725), "1:02:05");
        assert_eq!(clock(90_000), "1 day, 1:00:00");
        assert_eq!(clock(172_800), "2 days, 0:00:00");
    }
}
