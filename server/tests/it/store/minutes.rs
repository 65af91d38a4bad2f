//! Minutes that an agent with a full spool posts: beside seconds and other minutes, packed and not, at this
//! server and another one. The sums of the container are right after each step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bubble_common::segment::{Resolution, Segment, SourceId};
use bubble_server::clock;
use bubble_server::http::state::Limits;
use bubble_server::ingest::live::Live;
use bubble_server::ingest::{Ingest, Origin};
use bubble_server::memory::Memory;
use bubble_server::metrics::Metrics;
use bubble_server::rollup::Rollup;
use bubble_server::span::retention::Retention;
use bubble_server::span::row::{Form, Piece};
use bubble_server::span::unite::unite;
use bubble_server::store::Store;
use bubble_server::store::key::ApiKey;
use bubble_server::store::packing::Merged;
use bubble_server::store::sqlite::{Durability, Sqlite};
use tempfile::TempDir;

use super::backend::{cassandra, on_every_store, reopen};
use super::{ID, cpu_ns, repack};
use crate::common::{batch, id, seconds};

/// CPU time of a second, ns.
const NS: u64 = 7;

/// One server of those on a store.
struct Server {
    store: Arc<dyn Store>,
    ingest: Ingest,
    key: ApiKey,
    /// Start of an hour that is over.
    start: u64,
}

impl Server {
    fn new(store: &Arc<dyn Store>) -> Self {
        let memory = Memory::new(Limits::default().memory);
        let metrics = Arc::new(Metrics::default());
        let (store, live) = (Arc::clone(store), Live::default());
        Self {
            ingest: Ingest::new(Arc::clone(&store), live, metrics, memory.posts),
            store,
            key: bubble_server::auth::key::create("tests", clock::now()).1,
            start: clock::now() / 3_600 * 3_600 - 2 * 3_600,
        }
    }

    /// Another one, which knows only what is stored.
    fn another(&self, store: &Arc<dyn Store>) -> Self {
        Self {
            start: self.start,
            ..Self::new(store)
        }
    }

    fn seconds(&self, from: u64, slots: u32, ns: u64) -> Segment {
        seconds(ID, 1, self.start + from, slots, ns)
    }

    /// A minute of these seconds.
    fn minute(&self, from: u64, slots: u32) -> Segment {
        minute(&[self.seconds(from, slots, NS)])
    }

    /// Posts a segment. Returns whether some of it was new.
    async fn post(&self, segment: Segment, repeated: bool) -> bool {
        let origin = Origin {
            key: &self.key,
            recording: None,
            boot: None,
            repeated,
            is_administrator: false,
        };
        let receipt = self.ingest.post(batch(vec![segment]).encode(), origin);
        receipt.await.expect("taken").stored == 1
    }

    /// Checks the CPU time over the life of the container.
    async fn check(&self, ns: u64) {
        assert_eq!(cpu_ns(&*self.store).await, ns, "in its life");
    }

    /// Packs and rolls up, and checks the CPU time of the rows, and over the life of the container.
    async fn pack(&self, ns: u64) {
        let metrics = Arc::new(Metrics::default());
        let mut rollup = Rollup::new(Arc::clone(&self.store), Retention::default(), metrics);
        let done = rollup.run(clock::now()).await.expect("it answers");
        assert_eq!(done.failed, 0);
        for resolution in [Resolution::Minute, Resolution::Hour] {
            assert_eq!(self.rows_ns(resolution).await, ns, "{resolution:?}");
        }
        self.check(ns).await;
    }

    async fn rows_ns(&self, resolution: Resolution) -> u64 {
        let span = self.start..self.start + 3_600;
        let rows = self.store.range(&id(ID), resolution, span).await;
        let mut sources: BTreeMap<SourceId, Vec<Piece>> = BTreeMap::new();
        for row in rows.expect("rows") {
            let pieces = sources.entry(row.key.source).or_default();
            pieces.push(row.decode().expect("undamaged"));
        }
        let united = sources.values().map(|pieces| unite(pieces).expect("fit"));
        let cpu = united.map(|whole| whole.cpu.iter().map(|cell| cell.value.ns).sum::<u64>());
        cpu.sum()
    }
}

fn minute(seconds: &[Segment]) -> Segment {
    let whole = Segment::merge(seconds).expect("one source");
    whole.coarsen().expect("seconds become a minute")
}

/// Posts two minutes in one piece at the first server, and their seconds, late, at another one.
async fn post_late(first: Server, another: Server) {
    let minutes = [first.minute(50, 10), first.minute(60, 4)];
    let minutes = Segment::merge(&minutes).expect("one source");
    assert!(first.post(minutes, true).await);
    first.check(14 * NS).await;
    drop(first);
    // The first posts of these seconds: the agent had no answer, and its spool was full.
    for (from, slots, is_new) in [(52, 1, false), (61, 2, false), (63, 3, true)] {
        let late = another.seconds(from, slots, NS);
        assert_eq!(another.post(late, false).await, is_new, "{from}");
    }
    another.check(16 * NS).await;
    another.pack(16 * NS).await;
    let again = another.seconds(54, 2, NS);
    assert!(!another.post(again, false).await, "it is packed");
    another.pack(16 * NS).await;
}

async fn a_late_second_of_a_minute_counts_once_at_another_ingest(store: Arc<dyn Store>) {
    let first = Server::new(&store);
    let another = first.another(&store);
    post_late(first, another).await;
}

#[tokio::test]
async fn a_late_second_of_a_minute_counts_once_after_a_restart() {
    let data = TempDir::new().expect("a temporary folder");
    // A program that another test starts holds the lock of the folder until it is executed.
    let open = || {
        let mut attempts = 50;
        loop {
            match Sqlite::serve(data.path(), Durability::Process) {
                Err(_) if attempts > 0 => attempts -= 1,
                opened => return opened.expect("a store"),
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    let store: Arc<dyn Store> = Arc::new(open());
    let first = Server::new(&store);
    let minutes = first.minute(10, 10);
    let start = first.start;
    assert!(first.post(minutes, true).await);
    drop((first, store));

    let store: Arc<dyn Store> = Arc::new(open());
    let another = Server {
        start,
        ..Server::new(&store)
    };
    let late = another.seconds(12, 3, NS);
    assert!(!another.post(late, false).await);
    another.check(10 * NS).await;
    let rest = another.seconds(19, 3, NS);
    assert!(another.post(rest, false).await);
    another.pack(12 * NS).await;
}

#[tokio::test]
#[ignore = "needs a node: cargo xtask test --only cassandra"]
async fn a_late_second_of_a_minute_counts_once_at_another_server_on_cassandra() {
    let (store, address) = cassandra("late_second_of_a_minute").await;
    let first = Server::new(&store);
    let another = first.another(&reopen(&address).await);
    // It has posted to both before.
    assert!(another.post(another.seconds(40, 5, NS), false).await);
    assert!(first.post(first.seconds(45, 2, NS), false).await);
    assert!(first.post(first.minute(47, 10), true).await);
    let late = another.seconds(48, 3, NS);
    assert!(!another.post(late, false).await);
    first.check(17 * NS).await;
    first.pack(17 * NS).await;
}

async fn a_minute_beside_a_packed_part_of_it_counts_at_once(store: Arc<dyn Store>) {
    let server = Server::new(&store);
    server.post(server.seconds(0, 8, NS), false).await;
    server.pack(8 * NS).await;
    assert!(server.post(server.minute(0, 11), true).await);
    server.check(11 * NS).await;
    server.pack(11 * NS).await;
    assert!(server.post(server.minute(11, 2), true).await);
    server.check(13 * NS).await;
    server.pack(13 * NS).await;
    assert!(!server.post(server.minute(0, 11), true).await);
    server.check(13 * NS).await;
}

async fn a_part_that_takes_the_place_of_another_takes_its_sums_back(store: Arc<dyn Store>) {
    let server = Server::new(&store);
    let busy = [server.seconds(0, 4, NS), server.seconds(4, 6, 1_000)];
    assert!(server.post(minute(&busy), true).await);
    server.check(4 * NS + 6_000).await;
    server.pack(4 * NS + 6_000).await;
    // It has more seconds. The stored minute cannot be taken apart, so its seconds before that are lost.
    assert!(server.post(server.minute(9, 20), true).await);
    server.check(20 * NS).await;
    server.pack(20 * NS).await;
}

async fn halves_of_a_minute_count_at_once(store: Arc<dyn Store>) {
    let server = Server::new(&store);
    assert!(server.post(server.minute(0, 20), true).await);
    server.check(20 * NS).await;
    assert!(server.post(server.minute(20, 20), true).await);
    server.check(40 * NS).await;
    server.pack(40 * NS).await;
    assert!(server.post(server.minute(40, 10), true).await);
    assert!(server.post(server.minute(50, 10), true).await);
    server.check(60 * NS).await;
    server.pack(60 * NS).await;
}

async fn a_half_that_comes_while_the_other_is_packed_stays(store: Arc<dyn Store>) {
    let server = Server::new(&store);
    let half = server.minute(0, 20);
    assert!(server.post(half.clone(), true).await);
    let dirty = store.dirty(Resolution::Minute, u64::MAX, None, 10).await;
    let span = dirty.expect("answers").remove(0);
    let rows = store.range_of_dirty(&span).await.expect("rows");
    assert!(server.post(server.minute(20, 20), true).await);
    // What was read before the other half came.
    let mut change = repack(span, &[&half], &[&half]);
    change.pieces = rows.iter().map(Merged::of).collect();
    store.repack(change).await.expect("packed");
    let whole = server.start..server.start + 60;
    let rows = store.range(&id(ID), Resolution::Minute, whole).await;
    let forms: Vec<Form> = rows.expect("rows").iter().map(|row| row.form).collect();
    assert!(forms.contains(&Form::Posted), "{forms:?}");
    server.pack(40 * NS).await;
}

on_every_store!(
    a_late_second_of_a_minute_counts_once_at_another_ingest,
    a_minute_beside_a_packed_part_of_it_counts_at_once,
    a_part_that_takes_the_place_of_another_takes_its_sums_back,
    halves_of_a_minute_count_at_once,
    a_half_that_comes_while_the_other_is_packed_stays,
);
