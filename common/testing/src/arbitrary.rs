//! Proptest strategies for arbitrary segments.
//!
//! The pools of names and numbers are small on purpose: the same rows must occur in several
//! slots and segments, or merging would never unite any.

use std::net::IpAddr;

use bubble_common::segment::builder::Builder;
use bubble_common::segment::event::{Event, EventKind};
use bubble_common::segment::file::{File, FileIo, FileKind};
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::network::{Address, Connection, NetworkIo, Protocol, Role};
use bubble_common::segment::process::{Cpu, Exit, Memory, Process, ProcessId};
use bubble_common::segment::total::Metric;
use bubble_common::segment::wait::{KINDS, Waits};
use bubble_common::segment::{ContainerId, Coverage, Key, Resolution, Segment, SourceId};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;

/// Any segment of up to `slots` slots, with any 64-bit numbers.
pub fn segment(slots: usize) -> impl Strategy<Value = Segment> {
    (key(), 0..=slots).prop_flat_map(|(key, slots)| content(key, slots, wild_number()))
}

/// A segment with this `key` and exactly `slots` slots. Its numbers are so small that sums of
/// some thousands of them do not saturate.
pub fn segment_of(key: Key, slots: usize) -> impl Strategy<Value = Segment> {
    content(key, slots, number())
}

/// Any key.
pub fn key() -> impl Strategy<Value = Key> {
    let container = "[a-z0-9]{12}|[!-~]{1,255}"
        .prop_filter_map("not an id", |text| ContainerId::new(&text).ok());
    (
        container,
        select(&Resolution::ALL),
        0..40_000_u64,
        any::<[u8; 16]>(),
    )
        .prop_map(|(container, resolution, start, source)| Key {
            container,
            resolution,
            start: start * resolution.seconds(),
            source: SourceId(source),
        })
}

/// A number as the kernel counts: zero, small, whole blocks, or anything below 2^44.
pub fn number() -> BoxedStrategy<u64> {
    prop_oneof![
        2 => Just(0),
        3 => 0..100_u64,
        2 => (0..5_000_u64).prop_map(|blocks| blocks * 4_096),
        2 => 0..1_u64 << 44,
    ]
    .boxed()
}

/// As [`number`], or any 64-bit number, often the greatest.
fn wild_number() -> BoxedStrategy<u64> {
    prop_oneof![6 => number(), 1 => any::<u64>(), 1 => Just(u64::MAX)].boxed()
}

/// One call of the builder. Indices and slots are taken modulo their number.
#[derive(Debug, Clone)]
enum Step {
    Cpu(usize, u32, u32, u64),
    Memory(usize, u32, [u64; 4]),
    File(usize, usize, u32, [u64; 7]),
    Network(usize, usize, u32, [u64; 7]),
    Waits(usize, u32, [u64; KINDS]),
    Total(Metric, u32, u64),
    Loss(Reason, u32, [u64; 2]),
    Event(u64, EventKind, Option<usize>, String),
}

fn step(number: BoxedStrategy<u64>) -> impl Strategy<Value = Step> {
    let slot = any::<u32>;
    let index = || 0..16_usize;
    let numbers = number.clone();
    let [two, four, seven, kinds] = [2, 4, 7, KINDS].map(|n| vec(numbers.clone(), n));
    let metric = prop_oneof![
        select(Metric::ALL),
        any::<u32>().prop_map(Metric),
        (0x7ffe_u32..0x8002).prop_map(Metric)
    ];
    let event = prop_oneof![0..6_u32, any::<u32>()].prop_map(EventKind);
    prop_oneof![
        4 => (index(), 0..6_u32, slot(), number.clone()).prop_map(|(p, c, s, n)| Step::Cpu(p, c, s, n)),
        3 => (index(), slot(), four).prop_map(|(p, s, n)| Step::Memory(p, s, array(n))),
        4 => (index(), index(), slot(), seven.clone()).prop_map(|(p, f, s, n)| Step::File(p, f, s, array(n))),
        3 => (index(), index(), slot(), seven).prop_map(|(p, c, s, n)| Step::Network(p, c, s, array(n))),
        3 => (index(), slot(), kinds).prop_map(|(p, s, n)| Step::Waits(p, s, array(n))),
        2 => (metric, slot(), number).prop_map(|(m, s, n)| Step::Total(m, s, n)),
        1 => (0..8_u32, slot(), two).prop_map(|(r, s, n)| Step::Loss(Reason(r), s, array(n))),
        1 => (any::<u64>(), event, option::of(index()), text())
            .prop_map(|(at, kind, process, detail)| Step::Event(at, kind, process, detail)),
    ]
}

fn array<const N: usize>(numbers: Vec<u64>) -> [u64; N] {
    std::array::from_fn(|index| numbers[index])
}

fn content(key: Key, slots: usize, number: BoxedStrategy<u64>) -> BoxedStrategy<Segment> {
    let sub_slots = key.resolution.sub_slots();
    let coverage = prop_oneof![Just(0), Just(1), Just(u64::MAX), any::<u64>()]
        .prop_map(move |bits| Coverage(bits & (u64::MAX >> (64 - sub_slots))));
    let steps = if slots == 0 { 0..1 } else { 0..120 };
    (
        vec(coverage, slots),
        vec(("[a-e]{1,3}", text()), 0..4),
        vec(process(), 1..8),
        vec(file(), 1..8),
        vec(connection(), 1..8),
        vec(step(number), steps),
    )
        .prop_map(
            move |(coverage, facts, processes, files, connections, steps)| {
                let mut builder = Builder::new(key.clone(), slots);
                for (slot, coverage) in coverage.into_iter().enumerate() {
                    builder.cover(slot as u32, coverage);
                }
                for (name, value) in facts {
                    builder.fact(name, value);
                }
                let processes: Vec<u32> = processes
                    .into_iter()
                    .map(|row| builder.process(row))
                    .collect();
                let files: Vec<u32> = files.into_iter().map(|row| builder.file(row)).collect();
                let connections: Vec<u32> = connections
                    .into_iter()
                    .map(|row| builder.connection(row))
                    .collect();
                for step in steps {
                    apply(&mut builder, step, &processes, &files, &connections);
                }
                builder.build()
            },
        )
        .boxed()
}

fn apply(builder: &mut Builder, step: Step, processes: &[u32], files: &[u32], peers: &[u32]) {
    let of = |rows: &[u32], index: usize| rows[index % rows.len()];
    let slots = builder.segment().slots();
    match step {
        Step::Cpu(process, core, slot, ns) => {
            builder.cpu(of(processes, process), core, slot % slots, Cpu { ns });
        }
        Step::Memory(process, slot, [vm, rss, swap, private]) => {
            let value = Memory {
                vm,
                rss,
                swap,
                private,
            };
            builder.memory(of(processes, process), slot % slots, value);
        }
        Step::File(
            process,
            file,
            slot,
            [
                bytes_in,
                bytes_out,
                ops_in,
                ops_out,
                opens,
                mapped_pages,
                waited,
            ],
        ) => {
            let value = FileIo {
                bytes_in,
                bytes_out,
                ops_in,
                ops_out,
                opens,
                mapped_pages,
                waited,
            };
            builder.file_io(of(processes, process), of(files, file), slot % slots, value);
        }
        Step::Network(
            process,
            peer,
            slot,
            [
                bytes_in,
                bytes_out,
                ops_in,
                ops_out,
                connects,
                failures,
                waited,
            ],
        ) => {
            let value = NetworkIo {
                bytes_in,
                bytes_out,
                ops_in,
                ops_out,
                connects,
                failures,
                waited,
            };
            builder.network_io(of(processes, process), of(peers, peer), slot % slots, value);
        }
        Step::Waits(process, slot, kinds) => {
            let value = Waits::of_columns(kinds);
            builder.waits(of(processes, process), slot % slots, value);
        }
        Step::Total(metric, slot, value) => builder.total(metric, slot % slots, value),
        Step::Loss(reason, slot, [count, bytes]) => {
            builder.loss(reason, slot % slots, Loss { count, bytes });
        }
        Step::Event(at, kind, process, detail) => {
            let segment = builder.segment();
            let span = (segment.end() - segment.key.start) * 1_000_000_000;
            let at = segment.key.start * 1_000_000_000 + at % span;
            let process = process.map(|index| of(processes, index));
            builder.event(Event {
                at,
                kind,
                process,
                detail,
            });
        }
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-c/]{0,6}", 2 => "/(usr|var)/(lib|log)/[a-z]{1,8}", 1 => "\\PC{0,20}"]
}

fn process() -> impl Strategy<Value = Process> {
    let id = (
        0..6_u32,
        prop_oneof![0..4_u64, any::<u32>().prop_map(u64::from)],
        0..3_u32,
    );
    let exit = option::of(prop_oneof![
        any::<u8>().prop_map(Exit::Code),
        any::<u8>().prop_map(Exit::Signal)
    ]);
    (
        id,
        [any::<u32>(), any::<u32>(), any::<u32>()],
        option::of(any::<u32>()),
        [text(), text(), text()],
        prop_oneof![Just(0), 0..1_u64 << 62],
        exit,
        prop_oneof![4 => Just(1), 1 => any::<u32>()],
    )
        .prop_map(
            |(
                (pid, start, exec),
                [container_pid, parent, uid],
                gid,
                [name, exe, args],
                end,
                exit,
                count,
            )| {
                Process {
                    id: ProcessId { pid, start, exec },
                    container_pid,
                    parent,
                    uid,
                    gid,
                    name,
                    exe,
                    args,
                    end,
                    exit,
                    count,
                }
            },
        )
}

fn file() -> impl Strategy<Value = File> {
    let kind = (0..8_u8).prop_filter_map("not a kind", FileKind::from_u8);
    (text(), kind).prop_map(|(path, kind)| File { path, kind })
}

fn connection() -> impl Strategy<Value = Connection> {
    let protocol = (0..8_u8).prop_filter_map("not a protocol", Protocol::from_u8);
    let role = (0..3_u8).prop_filter_map("not a role", Role::from_u8);
    (protocol, role, address(), address()).prop_map(|(protocol, role, local, peer)| Connection {
        protocol,
        role,
        local,
        peer,
    })
}

fn address() -> impl Strategy<Value = Address> {
    let port = || prop_oneof![Just(443), any::<u16>()];
    prop_oneof![
        1 => Just(Address::None),
        2 => (any::<[u8; 4]>(), port()).prop_map(|(ip, port)| Address::Ip(IpAddr::from(ip), port)),
        2 => (any::<[u8; 16]>(), port()).prop_map(|(ip, port)| Address::Ip(IpAddr::from(ip), port)),
        1 => text().prop_map(Address::Path),
    ]
}
