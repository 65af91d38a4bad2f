//! Benchmark: the size of segments, and the rates of encoding, decoding, merging and coarsening.
//!
//! `cargo run --release -p bubble-common --example bench_segment [CASE…]`
//! prints one JSON object a line. The container is [`Container`], from a seed.

use std::hint::black_box;
use std::time::Duration;

use bubble_common::batch::{AgentReport, Batch};
use bubble_common::segment::codec::Effort;
use bubble_common::segment::fold::Caps;
use bubble_common::segment::{Segment, SourceId};
use bubble_testing::container::{Container, Size};

/// Start of the generated hour: seconds since the Unix epoch.
const START: u64 = 1_790_002_800;
/// Minimum length of a round, in the thread's own CPU time. The best round counts, so that
/// other work on the machine matters little.
const ROUND: Duration = Duration::from_millis(15);
/// Number of rounds.
const ROUNDS: usize = 20;

fn print(case: &str, variant: &str, value: f64, unit: &str) {
    println!(
        r#"{{"bench":"segment","case":"{case}","variant":"{variant}","value":{value:.1},"unit":"{unit}"}}"#
    );
}

/// CPU time of this thread.
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

/// Measures and prints the container-seconds per second of `work`. One call does `seconds`.
fn rate<T>(case: &str, variant: &str, seconds: usize, mut work: impl FnMut() -> T) {
    // The arguments select cases by their beginnings.
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

/// Generated segments of several containers, as sizes differ from one to the next.
struct Sample {
    /// Single seconds: a minute of each container.
    live: Vec<Segment>,
    /// The same seconds, a minute in each.
    packed: Vec<Segment>,
    batch: Batch,
}

impl Sample {
    fn new(size: Size, is_steady: bool) -> Self {
        let live: Vec<Segment> = (0..8)
            .flat_map(|seed| {
                let mut container = Container::new(seed, START, size);
                if is_steady {
                    container = container.steady();
                }
                (0..60)
                    .map(move |_| container.seconds(1))
                    .collect::<Vec<_>>()
            })
            .collect();
        let packed = live
            .chunks(60)
            .map(|minute| Segment::merge(minute).expect("pieces of one source"))
            .collect();
        let batch = Batch {
            source: SourceId([1; 16]),
            agent: AgentReport::default(),
            segments: live.iter().step_by(60).cloned().collect(),
        };
        Self {
            live,
            packed,
            batch,
        }
    }

    fn print_sizes(&self, variant: &str) {
        let mean = |segments: &[Segment], effort| {
            let bytes = segments.iter().map(|segment| segment.encode(effort).len());
            bytes.sum::<usize>() as f64 / self.live.len() as f64
        };
        let unit = "bytes/container-second";
        let packed = mean(&self.packed, Effort::Small);
        print("size-packed", variant, packed, unit);
        let packed = mean(&self.packed, Effort::Fast);
        print("size-packed-fast", variant, packed, unit);
        print("size-live", variant, mean(&self.live, Effort::Fast), unit);
        let bytes = self.batch.encode().len() as f64;
        let mean = bytes / self.batch.segments.len() as f64;
        print("size-batch", variant, mean, unit);
    }

    fn print_rates(&self, variant: &str) {
        let (second, minute) = (&self.live[30], &self.packed[0]);
        rate("encode-live", variant, 1, || second.encode(Effort::Fast));
        rate("encode-packed", variant, 60, || {
            minute.encode(Effort::Small)
        });
        let (second, bytes) = (second.encode(Effort::Fast), minute.encode(Effort::Small));
        rate("decode-live", variant, 1, || Segment::decode(&second));
        rate("decode-packed", variant, 60, || Segment::decode(&bytes));
        rate("decode-head", variant, 60, || Segment::decode_head(&bytes));
        let batch = &self.batch;
        let seconds = batch.segments.len();
        rate("batch-encode", variant, seconds, || batch.encode());
        let bytes = batch.encode();
        rate("batch-decode", variant, seconds, || Batch::decode(&bytes));
        let live = &self.live[..60];
        rate("merge-live", variant, 60, || Segment::merge(live));
        rate("coarsen", variant, 60, || minute.coarsen());
        rate("fold", variant, 60, || minute.clone().fold(&Caps::SECOND));
    }
}

/// Prints the rates of operations on an hour of seconds, packed by the minute.
fn print_rates_of_an_hour(variant: &str, size: Size) {
    let mut container = Container::new(0, START, size);
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

fn main() {
    for (variant, size) in [("busy", Size::BUSY), ("quiet", Size::QUIET)] {
        let sample = Sample::new(size, false);
        sample.print_sizes(variant);
        sample.print_rates(variant);
        print_rates_of_an_hour(variant, size);
    }
    // The same work each second.
    Sample::new(Size::BUSY, true).print_sizes("steady");
}
