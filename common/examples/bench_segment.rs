//! How small segments are and how fast they are made, read, merged and coarsened.
//!
//! `cargo run --release -p bubble-common --features testing --example bench_segment [CASE…]`
//! prints one JSON object a line. The container is [`Container`], from a seed.

use std::hint::black_box;
use std::time::Duration;

use bubble_common::batch::{AgentReport, Batch};
use bubble_common::segment::codec::Effort;
use bubble_common::segment::fold::Caps;
use bubble_common::segment::testing::{Container, Size};
use bubble_common::segment::{Segment, SourceId};

/// Start of the hour that is made: seconds since the Unix epoch.
const START: u64 = 1_790_002_800;
/// Each rate is measured for at least this long in the thread's own CPU time,
/// and the best round counts: so that other work on the machine tells little.
const ROUND: Duration = Duration::from_millis(15);
/// How many rounds.
const ROUNDS: usize = 20;

fn print(case: &str, variant: &str, value: f64, unit: &str) {
    println!(
        r#"{{"bench":"segment","case":"{case}","variant":"{variant}","value":{value:.1},"unit":"{unit}"}}"#
    );
}

/// CPU time that this thread used.
fn cpu_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a timespec that the call may write.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "Linux has this clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Prints how many container-seconds per second `work` does, when one call does `seconds`.
fn rate<T>(case: &str, variant: &str, seconds: usize, mut work: impl FnMut() -> T) {
    // Cases can be chosen by their beginnings.
    let mut wanted = std::env::args().skip(1).peekable();
    if wanted.peek().is_some() && !wanted.any(|wanted| case.starts_with(&wanted)) {
        return;
    }
    let best = (0..ROUNDS).map(|_| {
        let (start, mut calls) = (cpu_time(), 0);
        let mut used = Duration::ZERO;
        while used < ROUND {
            black_box(work());
            calls += 1;
            used = cpu_time() - start;
        }
        (calls * seconds) as f64 / used.as_secs_f64()
    });
    print(
        case,
        variant,
        best.fold(0.0, f64::max),
        "container-seconds/s",
    );
}

fn main() {
    for (variant, size) in [("busy", Size::BUSY), ("quiet", Size::QUIET)] {
        // Several containers, as sizes differ from one to the next.
        let containers = 0..8_u64;
        let make = |seed| Container::new(seed, START, size);
        let live: Vec<Segment> = containers
            .clone()
            .flat_map(|seed| {
                let mut container = make(seed);
                (0..60)
                    .map(move |_| container.seconds(1))
                    .collect::<Vec<_>>()
            })
            .collect();
        let packed: Vec<Segment> = live
            .chunks(60)
            .map(|minute| Segment::merge(minute).expect("pieces of one source"))
            .collect();
        let total = |segments: &[Segment], effort| -> usize {
            segments
                .iter()
                .map(|segment| segment.encode(effort).len())
                .sum()
        };
        let mean = |bytes: usize| bytes as f64 / live.len() as f64;
        print(
            "size-packed",
            variant,
            mean(total(&packed, Effort::Small)),
            "bytes/container-second",
        );
        print(
            "size-packed-fast",
            variant,
            mean(total(&packed, Effort::Fast)),
            "bytes/container-second",
        );
        print(
            "size-live",
            variant,
            mean(total(&live, Effort::Fast)),
            "bytes/container-second",
        );
        let batch = Batch {
            source: SourceId([1; 16]),
            agent: AgentReport::default(),
            segments: live.iter().step_by(60).cloned().collect(),
        };
        let bytes = batch.encode();
        let mean = bytes.len() as f64 / batch.segments.len() as f64;
        print("size-batch", variant, mean, "bytes/container-second");

        let (second, minute) = (&live[30], &packed[0]);
        rate("encode-live", variant, 1, || second.encode(Effort::Fast));
        rate("encode-packed", variant, 60, || {
            minute.encode(Effort::Small)
        });
        let (second, bytes) = (second.encode(Effort::Fast), minute.encode(Effort::Small));
        rate("decode-live", variant, 1, || Segment::decode(&second));
        rate("decode-packed", variant, 60, || Segment::decode(&bytes));
        rate("decode-head", variant, 60, || Segment::decode_head(&bytes));
        rate("batch-encode", variant, batch.segments.len(), || {
            batch.encode()
        });
        let bytes = batch.encode();
        rate("batch-decode", variant, batch.segments.len(), || {
            Batch::decode(&bytes)
        });
        rate("merge-live", variant, 60, || Segment::merge(&live[..60]));
        rate("coarsen", variant, 60, || minute.coarsen());
        rate("fold", variant, 60, || minute.clone().fold(&Caps::SECOND));

        let mut container = make(0);
        let hour: Vec<Segment> = (0..60).map(|_| container.seconds(60)).collect();
        let bytes: Vec<Vec<u8>> = hour.iter().map(|s| s.encode(Effort::Small)).collect();
        rate("hour-of-seconds-decode", variant, 3_600, || {
            bytes
                .iter()
                .map(|bytes| Segment::decode(bytes))
                .collect::<Vec<_>>()
        });
        rate("hour-of-seconds-merge", variant, 3_600, || {
            Segment::merge(&hour)
        });
        rate("hour-of-seconds-coarsen", variant, 3_600, || {
            hour.iter().map(Segment::coarsen).collect::<Vec<_>>()
        });
    }
}
