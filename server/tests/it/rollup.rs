//! Roll-up: every resolution has the same sums, in whatever order segments arrive.

use std::collections::BTreeMap;
use std::sync::Arc;

use bubble_common::segment::cell::{Cell, Value};
use bubble_common::segment::total::Metric;
use bubble_common::segment::{Coverage, Key, Resolution, Segment, SourceId};
use bubble_server::clock;
use bubble_server::metrics::Metrics;
use bubble_server::query::read::gather;
use bubble_server::rollup::Rollup;
use bubble_server::rollup::pack::{PackError, pack};
use bubble_server::span::retention::Retention;
use bubble_server::span::row::{Form, Row};
use bubble_server::store::Store;
use bubble_server::store::error::StoreError;
use bubble_server::store::packing::{DirtySpan, Merged, Packed, Repack, digest};
use bubble_server::store::segments::Outcome;
use bubble_server::store::sqlite::{Durability, Sqlite};
use bubble_testing::arbitrary::segment_of;
use proptest::prelude::{ProptestConfig, Strategy, any, proptest};
use proptest::sample::Index;

use crate::common::{Server, id, seconds};
use crate::store::backend::{self, on_every_store};
use crate::store::{post, recorded};

const ID: &str = "aaaaaaaaaaaa";
/// Start of a day.
const DAY: u64 = 1_790_035_200;
/// So late that all spans are due.
const LATER: u64 = DAY + 40 * 86_400;

const FOR_EVER: Retention = Retention {
    seconds: u64::MAX,
    minutes: u64::MAX,
    hours: u64::MAX,
    finished: 0,
};

async fn run(store: &Arc<dyn Store>, retention: Retention, now: u64) {
    let metrics = Arc::new(Metrics::default());
    let done = Rollup::new(Arc::clone(store), retention, metrics)
        .run(now)
        .await;
    assert_eq!(done.expect("the store answers").failed, 0);
}

/// The sum of every column over all cells, with only those metrics that add up.
type Sums = BTreeMap<(&'static str, usize), u128>;

fn sums(segments: &[Segment]) -> Sums {
    fn add<V: Value>(sums: &mut Sums, table: &'static str, cells: &[Cell<V>]) {
        for cell in cells {
            for column in 0..V::COLUMNS {
                *sums.entry((table, column)).or_default() += u128::from(cell.value.get(column));
            }
        }
    }
    let mut sums = Sums::new();
    for segment in segments {
        add(&mut sums, "cpu", &segment.cpu);
        add(&mut sums, "file", &segment.file_io);
        add(&mut sums, "network", &segment.network_io);
        add(&mut sums, "loss", &segment.losses);
        let adding = segment
            .totals
            .iter()
            .filter(|cell| Metric(cell.row.0).adds());
        let adding: Vec<_> = adding.copied().collect();
        add(&mut sums, "total", &adding);
        // Measurements take the maximum.
        for cell in &segment.memory {
            let rss = sums.entry(("rss", 0)).or_default();
            *rss = (*rss).max(u128::from(cell.value.rss));
        }
    }
    sums.retain(|_, sum| *sum > 0);
    sums
}

async fn read(store: &dyn Store, resolution: Resolution) -> Vec<Segment> {
    read_day(store, resolution, DAY).await
}

async fn read_day(store: &dyn Store, resolution: Resolution, day: u64) -> Vec<Segment> {
    let span = day..day + 86_400;
    let container = id(ID);
    let gathered = gather(store, &container, resolution, span)
        .await
        .expect("rows");
    let segments = gathered.resolve().expect("segments");
    segments.into_iter().map(Arc::unwrap_or_clone).collect()
}

async fn rows(store: &dyn Store) -> Vec<Row> {
    let mut all = Vec::new();
    for resolution in Resolution::ALL {
        all.extend(
            store
                .range(&id(ID), resolution, DAY..DAY + 86_400)
                .await
                .expect("rows"),
        );
    }
    all
}

/// Short segments of two sources, anywhere in a few minutes around an edge of an hour.
fn pieces() -> impl Strategy<Value = Vec<Segment>> {
    let piece = (0..2_u8, 3_500_u64..3_700, 1..4_usize).prop_flat_map(|(source, at, slots)| {
        let key = Key {
            container: id(ID),
            resolution: Resolution::Second,
            start: DAY + at,
            source: SourceId([source + 1; 16]),
        };
        // Ingest cuts live segments at the edges of minutes.
        let slots = slots.min((60 - at % 60) as usize);
        segment_of(key, slots)
    });
    let whole = piece.prop_map(|mut segment| {
        segment.coverage.fill(Coverage::SECOND);
        segment
    });
    proptest::collection::vec(whole, 1..12).prop_map(|pieces| {
        // A source reports each second once, so later overlapping pieces are dropped.
        let mut taken = std::collections::HashSet::new();
        let mut disjoint = Vec::new();
        for piece in pieces {
            let span: Vec<_> = (piece.key.start..piece.end())
                .map(|at| (piece.key.source, at))
                .collect();
            if span.iter().all(|second| !taken.contains(second)) {
                taken.extend(span);
                disjoint.push(piece);
            }
        }
        disjoint
    })
}

type Order = Vec<(Index, bool)>;

fn order() -> impl Strategy<Value = Order> {
    proptest::collection::vec((any::<Index>(), any::<bool>()), 0..24)
}

async fn sums_are_equal_at_every_resolution(
    store: Arc<dyn Store>,
    pieces: &[Segment],
    order: &Order,
) {
    // In any order and repeatedly, with roll-up in between; in the end the missing ones.
    for (index, roll) in order {
        let piece = &pieces[index.index(pieces.len())];
        store.put(vec![post(piece)]).await.expect("stored");
        if *roll {
            run(&store, FOR_EVER, LATER).await;
        }
    }
    for piece in pieces.iter().rev() {
        store.put(vec![post(piece)]).await.expect("stored");
    }
    let expected = sums(pieces);
    for resolution in Resolution::ALL {
        assert_eq!(
            sums(&read(&*store, resolution).await),
            expected,
            "{resolution:?} before"
        );
    }
    run(&store, FOR_EVER, LATER).await;
    for resolution in Resolution::ALL {
        assert_eq!(
            sums(&read(&*store, resolution).await),
            expected,
            "{resolution:?} after"
        );
    }
    let dirty = store.dirty(Resolution::Second, u64::MAX, None, 10).await;
    assert_eq!(dirty.expect("answers"), []);

    // Packing everything again changes no byte.
    let first = rows(&*store).await;
    for resolution in Resolution::ALL {
        let spans: std::collections::BTreeSet<u64> = first
            .iter()
            .filter(|row| row.key.resolution == resolution)
            .map(|row| resolution.packed_start(row.key.start))
            .collect();
        for start in spans {
            let span = DirtySpan {
                container: id(ID),
                resolution,
                start,
                touched: 0,
                marks: Vec::new(),
            };
            pack(&*store, span).await.expect("packed");
        }
    }
    run(&store, FOR_EVER, LATER).await;
    assert_eq!(rows(&*store).await, first);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sums_are_equal_at_every_resolution_in_any_order(pieces in pieces(), order in order()) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let (store, _data) = backend::sqlite();
            sums_are_equal_at_every_resolution(store, &pieces, &order).await;
        });
    }
}

proptest! {
    // Few cases, because each has a keyspace of its own.
    #![proptest_config(ProptestConfig { cases: 4, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    #[ignore = "needs a node: cargo xtask test --only cassandra"]
    fn sums_are_equal_on_cassandra_in_any_order(pieces in pieces(), order in order()) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let (store, _) = backend::cassandra("sums").await;
            sums_are_equal_at_every_resolution(store, &pieces, &order).await;
        });
    }
}

/// CPU time of all segments.
fn cpu(segments: &[Segment]) -> u64 {
    segments
        .iter()
        .flat_map(|s| &s.cpu)
        .map(|cell| cell.value.ns)
        .sum()
}

async fn late_segments_count_once_after_finer_rows_have_expired(store: Arc<dyn Store>) {
    let retention = Retention::default();
    // Half a minute is rolled up, and its seconds and minutes expire.
    let early = seconds(ID, 1, DAY + 600, 30, 1_000);
    store.put(vec![post(&early)]).await.expect("stored");
    run(&store, retention, DAY + 86_400 * 3).await;
    let left = store
        .range(&id(ID), Resolution::Second, DAY..DAY + 86_400)
        .await;
    assert_eq!(left.expect("rows"), []);
    let left = store
        .range(&id(ID), Resolution::Minute, DAY..DAY + 86_400)
        .await;
    assert_eq!(left.expect("rows"), []);
    assert_eq!(cpu(&read(&*store, Resolution::Hour).await), 30_000);

    // Then other minutes of that hour come from a spool, twice.
    for _ in 0..2 {
        for minute in [660, 720] {
            let late = seconds(ID, 1, DAY + minute, 60, 1_000);
            store.put(vec![post(&late)]).await.expect("stored");
        }
        run(&store, retention, LATER).await;
    }
    assert_eq!(cpu(&read(&*store, Resolution::Hour).await), 150_000);
    assert_eq!(cpu(&read(&*store, Resolution::Day).await), 150_000);
}

#[tokio::test]
async fn an_expired_segment_that_is_posted_again_is_not_added_to_the_sums() {
    let server = Server::start().await;
    let now = clock::now();
    let start = (now - 3_000) / 60 * 60;
    let early = || seconds(ID, 1, start, 30, 1_000);
    assert_eq!(server.post(vec![early()]).await, (1, 0));
    let cpu = async || server.json(&format!("/api/v1/containers/{ID}")).await["cpu_ns"].clone();
    // After its seconds, then its minutes, then its hours have expired.
    for days in [1, 3, 130] {
        server.roll_up(now + days * 86_400).await;
        assert_eq!(server.post(vec![early()]).await, (0, 1), "{days}");
        let late = if days == 1 { 0 } else { 4 };
        assert_eq!(cpu().await, 30_000 + late, "{days}");
        if days == 1 {
            // New are: another second of the minute, another source, a later minute.
            let other = [
                seconds(ID, 1, start + 30, 1, 1),
                seconds(ID, 2, start, 1, 1),
                seconds(ID, 1, start + 60, 1, 1),
            ];
            assert_eq!(server.post(other.to_vec()).await, (3, 0));
            server.roll_up(now + 86_400 + 200).await;
            for second in other {
                assert_eq!(server.post(vec![second]).await, (0, 1));
            }
            assert_eq!(
                server.post(vec![seconds(ID, 1, start + 90, 1, 1)]).await,
                (1, 0)
            );
            server.roll_up(now + 86_400 + 400).await;
        }
    }
}

async fn nothing_expires_before_it_is_rolled_up(store: Arc<dyn Store>) {
    store
        .put(vec![post(&seconds(ID, 1, DAY, 60, 1_000))])
        .await
        .expect("stored");
    // Only expiry, as if roll-up had been down for days.
    for resolution in [Resolution::Second, Resolution::Minute, Resolution::Hour] {
        store
            .expire(resolution, DAY + 30 * 86_400, None)
            .await
            .expect("expired");
    }
    assert_eq!(cpu(&read(&*store, Resolution::Day).await), 60_000);
    run(&store, Retention::default(), LATER).await;
    assert_eq!(cpu(&read(&*store, Resolution::Day).await), 60_000);
}

/// Packs all dirty spans, by two servers at the same time.
async fn pack_all(one: &dyn Store, other: &dyn Store) {
    for resolution in Resolution::ALL {
        loop {
            let dirty = one.dirty(resolution, u64::MAX, None, 100).await;
            let dirty = dirty.expect("answers");
            if dirty.is_empty() {
                break;
            }
            for span in dirty {
                let both = futures_util::join!(pack(one, span.clone()), pack(other, span));
                for packed in [both.0, both.1] {
                    let refused = matches!(packed, Err(PackError::Store(StoreError::Conflict)));
                    assert!(refused || packed.is_ok(), "{packed:?}");
                }
            }
        }
    }
}

async fn a_repeated_segment_counts_once_however_far_it_is_rolled_up(store: Arc<dyn Store>) {
    // Two sources around an edge of an hour, in pieces of ten seconds.
    let pieces: Vec<Segment> = (0..24_u64)
        .map(|n| seconds(ID, 1 + (n % 2) as u8, DAY + 3_540 + n / 2 * 10, 10, 1_000))
        .collect();
    let posts = || pieces.iter().map(post).collect::<Vec<_>>();
    let total = 240_000;
    let check = async |when: &str| {
        let container = store.container(&id(ID)).await.expect("answers");
        assert_eq!(container.expect("known").cpu_ns, total, "{when}");
        for resolution in Resolution::ALL {
            assert_eq!(
                cpu(&read(&*store, resolution).await),
                total,
                "{resolution:?} {when}"
            );
        }
    };
    let stored = store.put(posts()).await.expect("stored");
    assert_eq!(stored, [Outcome::Stored; 24]);
    check("posted").await;
    for round in ["once", "again"] {
        assert_eq!(
            store.put(posts()).await.expect("stored"),
            [Outcome::Known; 24]
        );
        check(round).await;
        pack_all(&*store, &*store).await;
        check(round).await;
    }
}

on_every_store!(
    late_segments_count_once_after_finer_rows_have_expired,
    nothing_expires_before_it_is_rolled_up,
    a_repeated_segment_counts_once_however_far_it_is_rolled_up,
);

/// Of two servers on one store, the one that read before the other packed is refused.
#[tokio::test]
#[ignore = "needs a node: cargo xtask test --only cassandra"]
async fn a_server_on_cassandra_does_not_undo_the_work_of_another() {
    let (one, address) = backend::cassandra("two_servers").await;
    let other = backend::reopen(&address).await;
    let first = seconds(ID, 1, DAY, 30, 1_000);
    one.put(vec![post(&first)]).await.expect("stored");
    pack_all(&*one, &*other).await;
    // These rows are stale as soon as the other server has packed the late segment.
    let late = seconds(ID, 1, DAY + 30, 10, 1_000);
    other.put(vec![post(&late)]).await.expect("stored");
    let span = one.dirty(Resolution::Second, u64::MAX, None, 10).await;
    let span = span.expect("answers").remove(0);
    let rows = one.range(&id(ID), Resolution::Second, DAY..DAY + 60).await;
    let rows = rows.expect("rows");
    pack(&*other, span.clone()).await.expect("packed");
    let stale = Repack {
        packed: vec![Packed {
            row: rows[0].clone(),
            slots: (1 << 30) - 1,
            replaces: Some(digest(&rows[0].bytes)),
        }],
        pieces: vec![Merged {
            key: late.key.clone(),
            form: Form::Posted,
            digest: None,
        }],
        rolled: Vec::new(),
        contributions: Vec::new(),
        span,
    };
    let refused = one.repack(stale).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    pack_all(&*other, &*one).await;
    for resolution in Resolution::ALL {
        assert_eq!(
            cpu(&read(&*one, resolution).await),
            40_000,
            "{resolution:?}"
        );
    }
}

/// A server caches what it stored of the current minute, and does not know what another server stored
/// since.
#[tokio::test]
#[ignore = "needs a node: cargo xtask test --only cassandra"]
async fn a_minute_posted_to_two_servers_on_cassandra_counts_once() {
    let (one, address) = backend::cassandra("goes_on").await;
    let other = backend::reopen(&address).await;
    let next = Resolution::Second.packed_start(clock::now()) + 60;
    let day = next - next % 86_400;
    let second = |n: u64| post(&seconds(ID, 1, next + n, 1, 1_000));
    let put = async |store: &Arc<dyn Store>, of: &[u64]| {
        let posts = of.iter().map(|n| second(*n)).collect();
        store.put(posts).await.expect("stored")
    };
    let check = async |seen: u64, when: &str| {
        let known = one.container(&id(ID)).await.expect("answers");
        assert_eq!(known.expect("known").cpu_ns, seen * 1_000, "{when}");
        for resolution in Resolution::ALL {
            let read = read_day(&*other, resolution, day).await;
            assert_eq!(cpu(&read), seen * 1_000, "{resolution:?} {when}");
        }
    };
    let mut seen = 0;
    for round in 0..3 {
        let first = round * 10;
        assert_eq!(put(&one, &[first]).await, [Outcome::Stored]);
        seen += 1;
        check(seen, "of one").await;
        // Again to the same server, and to one that has not cached it.
        assert_eq!(put(&one, &[first]).await, [Outcome::Known]);
        put(&other, &[first, first + 1]).await;
        seen += 1;
        check(seen, "of the other").await;
        put(&one, &[first + 1, first + 2]).await;
        seen += 1;
        check(seen, "of one again").await;
        pack_all(&*other, &*one).await;
        check(seen, "packed").await;
        put(&one, &[first, first + 1, first + 2]).await;
        put(&other, &[first, first + 2]).await;
        check(seen, "once more").await;
    }
    pack_all(&*one, &*other).await;
    check(seen, "packed at last").await;
}

/// A late live segment makes the rows of a recording beside it anew. By then a day contains the
/// recording's seconds, minutes and hours.
#[tokio::test]
#[ignore = "needs a node: cargo xtask test --only cassandra"]
async fn a_recording_in_cassandra_does_not_expire_when_late_segments_are_packed_beside_it() {
    let (store, address) = backend::cassandra("recorded_beside").await;
    let capture = seconds(ID, 9, DAY, 60, 7);
    let posts = vec![recorded(&capture), post(&seconds(ID, 1, DAY, 60, 5))];
    store.put(posts).await.expect("stored");
    run(&store, FOR_EVER, LATER).await;
    for source in [2, 3] {
        let late = post(&seconds(ID, source, DAY + 1, 1, 3));
        store.put(vec![late]).await.expect("stored");
        run(&store, FOR_EVER, LATER).await;
        for table in [
            "packed_second",
            "packed_minute",
            "packed_hour",
            "packed_day",
        ] {
            let rows = backend::times_to_live(&address, table).await;
            let mut own = rows.iter().filter(|(of, _)| *of == capture.key.source);
            let (_, ttl) = own.next().expect("the recording's row");
            assert_eq!(*ttl, None, "{table}, after source {source}");
            // Live rows have one, except days, which never expire.
            let other = rows.iter().find(|(of, _)| *of == SourceId([1; 16]));
            let (_, ttl) = other.expect("the other's row");
            assert_eq!(ttl.is_some(), table != "packed_day", "{table}");
        }
    }
}

#[tokio::test]
#[ignore = "needs a node: cargo xtask test --only cassandra"]
async fn a_corrupt_span_in_cassandra_does_not_stop_others_from_being_packed() {
    let (store, address) = backend::cassandra("wrong_source").await;
    let segments = ["aaaaaaaaaaaa", "bbbbbbbbbbbb"].map(|name| seconds(name, 1, DAY, 60, 7));
    store
        .put(segments.iter().map(post).collect())
        .await
        .expect("stored");
    let wrong = format!(
        "INSERT INTO piece (container, resolution, span, start, source, form, bytes)
         VALUES ('aaaaaaaaaaaa', 0, {DAY}, {DAY}, 0x07, 2, 0x07)"
    );
    backend::define(&address, &wrong).await;
    let metrics = Arc::new(Metrics::default());
    let mut rollup = Rollup::new(Arc::clone(&store), Retention::default(), metrics);
    let done = rollup.run(DAY + 90).await.expect("the store answers");
    assert_eq!((done.packed, done.failed), (1, 1));
}

/// The store answers, but fails each time to store one span.
#[tokio::test]
async fn a_span_that_the_store_refuses_does_not_stop_others_from_being_packed() {
    let data = tempfile::TempDir::new().expect("a temporary folder");
    let store = Sqlite::serve(data.path(), Durability::Process).expect("a store");
    let store: Arc<dyn Store> = Arc::new(store);
    let segments = ["aaaaaaaaaaaa", "bbbbbbbbbbbb"].map(|name| seconds(name, 1, DAY, 60, 7));
    let posts = segments.iter().map(post).collect();
    store.put(posts).await.expect("stored");
    let database = rusqlite::Connection::open(data.path().join("bubble.sqlite"));
    let database = database.expect("it is there");
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON packed WHEN NEW.container =
                  (SELECT id FROM container WHERE name = 'aaaaaaaaaaaa')
                  BEGIN SELECT RAISE(ABORT, 'refused'); END";
    database.execute_batch(refuse).expect("a trigger");
    let metrics = Arc::new(Metrics::default());
    let mut rollup = Rollup::new(Arc::clone(&store), Retention::default(), metrics);
    let done = rollup.run(DAY + 90).await.expect("the store answers");
    assert_eq!((done.packed, done.failed), (1, 1));
    // It is tried again after a delay.
    let done = rollup.run(DAY + 91).await.expect("the store answers");
    assert_eq!((done.packed, done.failed), (0, 0));
    let refuse = "DROP TRIGGER refuse";
    database.execute_batch(refuse).expect("no trigger");
    let done = rollup.run(DAY + 130).await.expect("the store answers");
    assert_eq!((done.packed, done.failed), (1, 0));
}
