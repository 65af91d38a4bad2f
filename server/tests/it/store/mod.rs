//! Tests of the store: each is written once and runs on every backend.

pub(crate) mod backend;
mod index;
mod minutes;
mod repeated;
mod table;

use std::sync::Arc;
use std::time::Duration;

use backend::on_every_store;
use bubble_common::segment::codec::Effort;
use bubble_common::segment::{Facts, Key, Resolution, Segment, SourceId};
use bubble_server::metrics::Metrics;
use bubble_server::rollup::Rollup;
use bubble_server::rollup::pack::pack;
use bubble_server::span::activity::{Activity, Sums, activity};
use bubble_server::span::retention::Retention;
use bubble_server::span::row::{Form, Row};
use bubble_server::span::unite::slot_bits;
use bubble_server::store::Store;
use bubble_server::store::cassandra::{Cassandra, Consistency};
use bubble_server::store::container::State;
use bubble_server::store::error::StoreError;
use bubble_server::store::index::{ContainerFilter, Index as _};
use bubble_server::store::packing::{Contribution, DirtySpan, Merged, Packed, Repack};
use bubble_server::store::recording::{Label, Recorder, Recordings as _};
use bubble_server::store::segments::{Outcome, Post, Segments as _};
use bubble_server::store::sqlite::{Durability, Sqlite};

use crate::common::{id, seconds};

const ID: &str = "aaaaaaaaaaaa";
/// Start of a minute, an hour and a day.
const DAY: u64 = 1_790_035_200;

/// The recording of [`recorded`] posts.
pub(crate) fn capture() -> Label {
    Label {
        id: SourceId([9; 16]),
        name: "a capture".to_owned(),
    }
}

/// A segment as a post of that recording.
pub(crate) fn recorded(segment: &Segment) -> Post {
    Post {
        recording: Some(Arc::new(capture())),
        ..post(segment)
    }
}

pub(crate) fn post(segment: &Segment) -> Post {
    Post {
        key: segment.key.clone(),
        slots: slot_bits(segment),
        bytes: segment.encode(Effort::Raw),
        activity: activity(segment),
        recording: None,
        repeated: false,
        replaces: None,
        withdrawn: Sums::default(),
    }
}

/// The change that packs `pieces` into `packed`.
fn repack(span: DirtySpan, packed: &[&Segment], pieces: &[&Segment]) -> Repack {
    let row = |segment: &Segment| Packed {
        row: Row {
            key: segment.key.clone(),
            form: Form::Packed,
            bytes: segment.encode(Effort::Small),
        },
        slots: slot_bits(segment),
        replaces: None,
    };
    let contribution = |segment: &Segment| Contribution {
        source: segment.key.source,
        slots: slot_bits(segment),
        activity: Activity {
            facts: Facts::new(),
            ..activity(segment)
        },
    };
    let piece = |segment: &Segment| {
        Merged::of(&Row {
            key: segment.key.clone(),
            form: Form::Posted,
            bytes: segment.encode(Effort::Raw),
        })
    };
    Repack {
        span,
        packed: packed.iter().copied().map(row).collect(),
        pieces: pieces.iter().copied().map(piece).collect(),
        rolled: Vec::new(),
        contributions: packed.iter().copied().map(contribution).collect(),
    }
}

/// CPU time of the only container.
async fn cpu_ns(store: &dyn Store) -> u64 {
    let container = store.container(&id(ID)).await.expect("answers");
    container.expect("known").cpu_ns
}

/// The rows of the first two minutes of seconds.
async fn keys(store: &dyn Store) -> Vec<Key> {
    let rows = store
        .range(&id(ID), Resolution::Second, DAY..DAY + 120)
        .await;
    let rows = rows.expect("rows").into_iter();
    rows.map(|row| row.key).collect()
}

async fn dirty_spans(store: &dyn Store) -> Vec<DirtySpan> {
    let dirty = store.dirty(Resolution::Second, u64::MAX, None, 10).await;
    dirty.expect("answers")
}

async fn only_dirty(store: &dyn Store) -> DirtySpan {
    let mut dirty = dirty_spans(store).await;
    assert_eq!(dirty.len(), 1);
    dirty.remove(0)
}

async fn a_key_is_stored_once(store: Arc<dyn Store>) {
    let one = post(&seconds(ID, 1, DAY, 1, 7));
    let two = post(&seconds(ID, 2, DAY, 1, 7));
    let outcomes = store.put(vec![one.clone(), one.clone(), two]).await;
    assert_eq!(
        outcomes.expect("stored"),
        [Outcome::Stored, Outcome::Known, Outcome::Stored]
    );
    assert_eq!(
        store.put(vec![one]).await.expect("stored"),
        [Outcome::Known]
    );
    let rows = store.range(&id(ID), Resolution::Second, DAY..DAY + 1).await;
    assert_eq!(rows.expect("rows").len(), 2);
    let container = store
        .container(&id(ID))
        .await
        .expect("answers")
        .expect("known");
    assert_eq!(container.cpu_ns, 14);
    assert_eq!((container.first_seen, container.last_seen), (DAY, DAY + 1));
}

async fn packing_replaces_pieces(store: Arc<dyn Store>) {
    let pieces: Vec<Segment> = (0..60).map(|n| seconds(ID, 1, DAY + n, 1, 7)).collect();
    store
        .put(pieces.iter().map(post).collect())
        .await
        .expect("stored");
    let span = only_dirty(&*store).await;
    assert_eq!((span.start, &span.container), (DAY, &id(ID)));
    let whole = Segment::merge(&pieces).expect("one source");
    let minute = whole.coarsen().expect("seconds become minutes");
    let pieces: Vec<&Segment> = pieces.iter().collect();
    let mut change = repack(span, &[&whole], &pieces);
    change.rolled.push(Row {
        key: minute.key.clone(),
        form: Form::Rolled,
        bytes: minute.encode(Effort::Fast),
    });
    store.repack(change.clone()).await.expect("packed");
    let rows = store
        .range(&id(ID), Resolution::Second, DAY + 30..DAY + 31)
        .await;
    let rows = rows.expect("rows");
    assert_eq!(rows, [change.packed[0].row.clone()]);
    assert_eq!(cpu_ns(&*store).await, 420);
    let dirty = store.dirty(Resolution::Second, u64::MAX, None, 10).await;
    assert_eq!(dirty.expect("answers"), []);
    let minutes = store
        .dirty_of(&id(ID), Resolution::Minute, DAY..DAY + 60)
        .await;
    assert_eq!(minutes.expect("answers"), [DAY]);
    // A packed second is known; a new one makes the span dirty again.
    let again = store.put(vec![post(pieces[7])]).await;
    assert_eq!(again.expect("stored"), [Outcome::Known]);
    assert_eq!(cpu_ns(&*store).await, 420);
    let other = store.put(vec![post(&seconds(ID, 2, DAY + 7, 1, 7))]).await;
    assert_eq!(other.expect("stored"), [Outcome::Stored]);
    assert_eq!(cpu_ns(&*store).await, 427);
    assert_eq!(only_dirty(&*store).await.start, DAY);
}

async fn a_piece_that_comes_while_packing_keeps_the_mark(store: Arc<dyn Store>) {
    let first = seconds(ID, 1, DAY, 1, 7);
    store.put(vec![post(&first)]).await.expect("stored");
    let span = only_dirty(&*store).await;
    let late = seconds(ID, 1, DAY + 1, 1, 7);
    store.put(vec![post(&late)]).await.expect("stored");
    let change = repack(span, &[&first], &[&first]);
    store.repack(change).await.expect("packed");
    assert_eq!(only_dirty(&*store).await.start, DAY);
    let rows = store
        .range(&id(ID), Resolution::Second, DAY..DAY + 60)
        .await;
    let forms: Vec<Form> = rows.expect("rows").iter().map(|row| row.form).collect();
    assert_eq!(forms, [Form::Packed, Form::Posted]);
}

async fn a_slot_is_in_a_rolled_piece_or_a_packed_row(store: Arc<dyn Store>) {
    let slot = async |at: u64| {
        let rows = store.slot(&id(ID), Resolution::Minute, at).await;
        rows.expect("answers")
    };
    assert_eq!(slot(DAY).await, []);
    let fine = seconds(ID, 1, DAY, 60, 7);
    let rolled = Row {
        key: fine.coarsen().expect("a minute").key,
        form: Form::Rolled,
        bytes: fine.coarsen().expect("a minute").encode(Effort::Fast),
    };
    store.put(vec![post(&fine)]).await.expect("stored");
    let span = only_dirty(&*store).await;
    let mut change = repack(span, &[&fine], &[&fine]);
    change.rolled.push(rolled.clone());
    store.repack(change).await.expect("packed");
    assert_eq!(slot(DAY).await, std::slice::from_ref(&rolled));
    assert_eq!(slot(DAY + 60).await, []);
    // A posted minute is no slot until it is packed.
    let next = seconds(ID, 1, DAY + 60, 60, 7);
    let next = next.coarsen().expect("a minute");
    store.put(vec![post(&next)]).await.expect("stored");
    assert_eq!(slot(DAY).await, std::slice::from_ref(&rolled));
    assert_eq!(slot(DAY + 60).await, []);
    let span = store.dirty_span(&id(ID), Resolution::Minute, DAY).await;
    let span = span.expect("answers").expect("dirty");
    let minutes = [fine.coarsen().expect("a minute"), next.clone()];
    let hour = Segment::merge(&minutes).expect("one source");
    let mut change = repack(span, &[&hour], &[&next]);
    change.pieces.push(Merged {
        key: rolled.key.clone(),
        form: Form::Rolled,
        digest: None,
    });
    let packed = change.packed[0].row.clone();
    store.repack(change).await.expect("packed");
    for at in [DAY, DAY + 60, DAY + 120] {
        assert_eq!(slot(at).await, std::slice::from_ref(&packed), "{at}");
    }
    assert_eq!(slot(DAY + 3_600).await, []);
    let expired = store.expire(Resolution::Minute, DAY + 3_600, None).await;
    expired.expect("expired");
    assert_eq!(slot(DAY).await, []);
}

async fn dirty_spans_do_not_expire(store: Arc<dyn Store>) {
    for minute in [DAY, DAY + 60] {
        let segment = seconds(ID, 1, minute, 60, 7);
        store.put(vec![post(&segment)]).await.expect("stored");
        let span = DirtySpan {
            start: minute,
            ..only_dirty(&*store).await
        };
        let change = repack(span, &[&segment], &[&segment]);
        store.repack(change).await.expect("packed");
    }
    store
        .put(vec![post(&seconds(ID, 2, DAY, 1, 7))])
        .await
        .expect("stored");
    // The first span is dirty again. The second ends within the horizon only in the second round.
    for (before, left) in [(DAY + 119, 3), (DAY + 120, 2), (DAY, 2)] {
        let expired = store.expire(Resolution::Second, before, None).await;
        expired.expect("expired");
        assert_eq!(keys(&*store).await.len(), left, "{before}");
    }
    assert!(keys(&*store).await.iter().all(|key| key.start == DAY));
    let horizon = store.expired_before(Resolution::Second).await;
    assert_eq!(horizon.expect("answers"), DAY + 120);
    assert_eq!(
        store
            .expired_before(Resolution::Minute)
            .await
            .expect("answers"),
        0
    );
}

async fn a_recording_stays_until_it_is_swept(store: Arc<dyn Store>) {
    let label = capture();
    let (recording, live) = (seconds(ID, 1, DAY, 60, 7), seconds(ID, 2, DAY, 60, 5));
    let late = seconds("b", 1, DAY + 60, 1, 7);
    let posts = vec![recorded(&recording), post(&live), recorded(&late)];
    store.put(posts.clone()).await.expect("stored");
    let span = DirtySpan {
        container: id(ID),
        ..dirty_spans(&*store).await.remove(0)
    };
    let change = repack(span, &[&recording, &live], &[&recording, &live]);
    store.repack(change).await.expect("packed");
    let sources = async || {
        let keys = keys(&*store).await.into_iter();
        keys.map(|key| key.source).collect::<Vec<_>>()
    };
    assert_eq!(sources().await.len(), 2);
    let expired = store.expire(Resolution::Second, DAY + 600, None).await;
    expired.expect("expired");
    assert_eq!(sources().await, [recording.key.source]);
    let known = store.recorded(&id(ID)).await.expect("answers");
    let recorder = Recorder {
        source: recording.key.source,
        recording: label.id,
        span: DAY..DAY + 60,
    };
    assert_eq!(known, [recorder]);

    let list = store.recordings().await.expect("answers");
    assert_eq!(list.len(), 1);
    assert_eq!(list[0].label, label);
    let parts: Vec<_> = list[0]
        .containers
        .iter()
        .map(|part| (part.container.as_str(), part.first, part.last, part.cpu_ns))
        .collect();
    assert_eq!(
        parts,
        [(ID, DAY, DAY + 60, 420), ("b", DAY + 60, DAY + 61, 7)]
    );
    assert!(store.delete_recording(label.id).await.expect("answers"));
    assert!(!store.delete_recording(label.id).await.expect("answers"));
    assert_eq!(store.recordings().await.expect("answers"), []);
    assert_eq!(store.sweep().await.expect("swept"), 1);
    assert_eq!(store.sweep().await.expect("swept"), 0);
    assert_eq!(sources().await, []);
    assert_eq!(store.container(&id("b")).await.expect("answers"), None);
    assert_eq!(dirty_spans(&*store).await, []);
    let container = store.container(&id(ID)).await.expect("answers");
    assert_eq!(container.map(|container| container.cpu_ns), Some(300));
    // Posts after that are new, and make their spans dirty. A store may still recognise the
    // live segment, which has expired.
    let outcomes = store.put(posts).await.expect("stored");
    assert_eq!([outcomes[0], outcomes[2]], [Outcome::Stored; 2]);
    assert_eq!(dirty_spans(&*store).await.len(), 2);
}

/// Whoever deletes a container deletes its rows at every resolution, its marks and its parts of
/// recordings. Packing what was listed before must not bring it back.
async fn a_deleted_container_is_gone(store: Arc<dyn Store>) {
    let label = Label {
        id: SourceId([9; 16]),
        name: "a recording".to_owned(),
    };
    let mut recorded = post(&seconds(ID, 9, DAY, 2, 7));
    recorded.recording = Some(Arc::new(label.clone()));
    let live = |start| post(&seconds(ID, 1, start, 2, 100));
    let other = post(&seconds("b", 1, DAY, 2, 5));
    let posts = vec![live(DAY), live(DAY + 60), recorded, other];
    store.put(posts.clone()).await.expect("stored");
    let rollup = async |now| {
        let metrics = Arc::new(Metrics::default());
        let done = Rollup::new(Arc::clone(&store), Retention::default(), metrics);
        let mut done = done;
        done.run(now).await.expect("the store answers")
    };
    // One minute is packed, the other is still dirty.
    rollup(DAY + 70).await;
    assert!(
        !store
            .delete_container(&id("unknown"))
            .await
            .expect("answers")
    );
    assert!(store.delete_container(&id(ID)).await.expect("answers"));
    for later in [120, 7_200, 2 * 86_400, 40 * 86_400] {
        rollup(DAY + later).await;
    }
    assert_eq!(store.container(&id(ID)).await.expect("answers"), None);
    assert_eq!(store.recordings().await.expect("answers"), []);
    for resolution in Resolution::ALL {
        let rows = store.range(&id(ID), resolution, 0..u64::MAX / 2).await;
        assert_eq!(rows.expect("answers"), [], "{resolution:?}");
    }
    let dirty = store.dirty_of(&id(ID), Resolution::Day, 0..DAY * 2).await;
    assert_eq!(dirty.expect("answers"), Vec::<u64>::new());
    let rest = store
        .containers(&ContainerFilter {
            limit: 10,
            ..ContainerFilter::default()
        })
        .await;
    let rest = rest.expect("answers");
    assert_eq!((rest.total, rest.containers[0].id.as_str()), (1, "b"));
    // What is posted afterwards is a new container.
    let outcomes = store.put(posts).await.expect("stored");
    assert_eq!(outcomes[..3], [Outcome::Stored; 3]);
    let again = store.container(&id(ID)).await.expect("answers");
    assert_eq!(again.map(|container| container.cpu_ns), Some(414));
}

async fn dirty_spans_are_listed_in_pages(store: Arc<dyn Store>) {
    let ids = ["a", "b", "c", "d", "e"];
    for name in ids {
        let segments = [DAY, DAY + 60].map(|at| post(&seconds(name, 1, at, 1, 7)));
        store.put(segments.to_vec()).await.expect("stored");
    }
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.dirty(Resolution::Second, DAY + 61, after, 3).await;
        let page = page.expect("answers");
        after = page.last().map(|span| (span.start, span.container.clone()));
        found.extend(
            page.iter()
                .map(|span| (span.start, span.container.to_string())),
        );
        if page.len() < 3 {
            break;
        }
    }
    let mut expected: Vec<(u64, String)> = ids
        .iter()
        .flat_map(|name| [(DAY, (*name).to_owned()), (DAY + 60, (*name).to_owned())])
        .collect();
    expected.sort();
    assert_eq!(found, expected);
    let before = store.dirty(Resolution::Second, DAY + 60, None, 100).await;
    let before = before.expect("answers");
    assert_eq!(before.len(), 5);
    let one = async |start| {
        let span = store.dirty_span(&id("c"), Resolution::Second, start).await;
        span.expect("answers")
    };
    assert_eq!(one(DAY).await.as_ref(), before.get(2));
    assert_eq!(one(DAY + 120).await, None);
}

on_every_store!(
    a_key_is_stored_once,
    packing_replaces_pieces,
    a_piece_that_comes_while_packing_keeps_the_mark,
    a_slot_is_in_a_rolled_piece_or_a_packed_row,
    dirty_spans_do_not_expire,
    a_deleted_container_is_gone,
    a_recording_stays_until_it_is_swept,
    dirty_spans_are_listed_in_pages,
);

#[tokio::test]
#[ignore = "needs a node: cargo xtask test --only cassandra"]
async fn two_processes_may_create_cassandras_tables_at_once() {
    let address = backend::no_keyspace("two_make_it").await;
    let both = futures_util::join!(backend::init(&address), backend::init(&address));
    assert_eq!((both.0.1, both.1.1), (LATEST, LATEST));
    assert_eq!(backend::init(&address).await, (LATEST, LATEST));
    let store = backend::reopen(&address).await;
    store.check().await.expect("it answers");
}

/// A mark is one row in each of two tables, and either may become visible first.
#[tokio::test]
#[ignore = "needs a node: cargo xtask test --only cassandra"]
async fn a_span_listed_before_its_mark_on_cassandra_is_packed() {
    let (store, address) = backend::cassandra("before_its_mark").await;
    let second = seconds(ID, 1, DAY, 1, 7);
    store.put(vec![post(&second)]).await.expect("stored");
    let unmark = format!("DELETE FROM mark WHERE container = '{ID}'");
    backend::define(&address, &unmark).await;
    assert_eq!(keys(&*store).await, []);
    let listed = only_dirty(&*store).await;
    pack(&*store, listed).await.expect("packed");
    assert_eq!(dirty_spans(&*store).await, []);
    let rows = store
        .range(&id(ID), Resolution::Second, DAY..DAY + 60)
        .await
        .expect("rows");
    let [packed] = &rows[..] else {
        panic!("one packed row, but not {rows:?}");
    };
    assert_eq!(packed.form, Form::Packed);
    let packed = packed.decode().expect("a segment").segment;
    assert_eq!(packed.slice(DAY..DAY + 1), Ok(second));
}

/// Workers do not stop for a sweep. Rows that a worker writes back are swept later.
#[tokio::test]
#[ignore = "needs a node: cargo xtask test --only cassandra"]
async fn rows_that_workers_write_back_to_cassandra_are_swept_again() {
    let (worker, address) = backend::cassandra("put_back").await;
    let (consistency, retention) = (Consistency::default(), Retention::default());
    let store = Cassandra::open(&address, consistency, retention).await;
    let store = store.expect("the keyspace");
    let store = store.sweeping_again_after(Duration::from_secs(1));
    let segment = seconds(ID, 1, DAY, 60, 7);
    store.put(vec![recorded(&segment)]).await.expect("stored");
    let change = repack(only_dirty(&*worker).await, &[&segment], &[&segment]);
    store.delete_recording(capture().id).await.expect("deleted");
    assert_eq!(store.sweep().await.expect("swept"), 1);
    assert_eq!(keys(&store).await, []);
    worker.repack(change).await.expect("packed");
    assert_eq!(keys(&store).await, [segment.key]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    store.sweep().await.expect("swept");
    assert_eq!(keys(&store).await, []);
    assert_eq!(store.container(&id(ID)).await.expect("answers"), None);
    assert_eq!(dirty_spans(&store).await, []);
}

/// Statements that undo each migration, the latest first.
const UNDO: [&str; 7] = [
    "ALTER TABLE recording DROP IF EXISTS upload",
    // Rows with checksums need no other tables.
    "DROP TABLE IF EXISTS no_table",
    "ALTER TABLE issued_token DROP IF EXISTS shared",
    "DROP TABLE watched",
    "DROP TABLE issued_token",
    "DROP TABLE binding",
    "DROP TABLE lease",
];
/// The latest version of Cassandra's tables.
const LATEST: u32 = 1 + UNDO.len() as u32;

#[tokio::test]
#[ignore = "needs a node: cargo xtask test --only cassandra"]
async fn cassandras_tables_of_every_earlier_version_are_migrated() {
    let (store, address) = backend::cassandra("upgrade").await;
    let segment = seconds(ID, 1, DAY, 1, 7);
    store.put(vec![post(&segment)]).await.expect("stored");
    for earlier in (1..LATEST).rev() {
        for version in (earlier + 1..=LATEST).rev() {
            backend::define(&address, UNDO[(LATEST - version) as usize]).await;
            let forget = format!("DELETE FROM migration WHERE version = {version}");
            backend::define(&address, &forget).await;
        }
        let (consistency, retention) = (Consistency::default(), Retention::default());
        let opened = Cassandra::open(&address, consistency, retention).await;
        assert!(
            matches!(opened, Err(StoreError::OlderSchema { found, known: LATEST }) if found == earlier)
        );
        let upgraded = Cassandra::upgrade(&address, consistency).await;
        assert_eq!(upgraded.expect("upgraded"), (earlier, LATEST));
        let store = backend::reopen(&address).await;
        assert_eq!(cpu_ns(&*store).await, 7);
        assert_eq!(store.lease().await.expect("answers"), None);
    }
}

/// Opens a database of the first version.
#[tokio::test]
async fn an_older_database_is_migrated() {
    let data = tempfile::TempDir::new().expect("a temporary folder");
    let open = || Sqlite::serve(data.path(), Durability::Process).expect("a store");
    let segment = seconds(ID, 1, DAY, 1, 7);
    open().put(vec![post(&segment)]).await.expect("stored");
    {
        let path = data.path().join("bubble.sqlite");
        let database = rusqlite::Connection::open(path).expect("it is there");
        database
            .execute_batch(
                "DROP TABLE issued_token; DROP TABLE binding; DROP TABLE deleted_container;
                 DROP TABLE recording; DROP TABLE recorded;
                 ALTER TABLE container DROP COLUMN live_since;
                 DELETE FROM migration WHERE version > 1;",
            )
            .expect("the first version");
    }
    let store = open();
    let container = store.container(&id(ID)).await.expect("answers");
    let container = container.expect("known");
    assert_eq!(container.live_since, DAY);
    assert_eq!(container.state(DAY + 1_000), State::Silent);
}

/// Who sets `CASSANDRA_CLUSTER` as for the Python system gets its keyspace, and hears what to do.
#[tokio::test]
#[ignore = "needs a node: cargo xtask test --only cassandra"]
async fn the_keyspace_of_the_python_system_is_refused_with_what_to_do() {
    let tables = ["dbschema", "cpu_all", "io_all"];
    let address = backend::foreign_keyspace("python_system", &tables).await;
    let (hosts, keyspace) = (address.hosts.join(","), &address.keyspace);
    for words in [&["serve"][..], &["db", "init"], &["db", "check"]] {
        let data = tempfile::TempDir::new().expect("a temporary folder");
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_bubble-server"))
            .args(words)
            .arg("--data")
            .arg(data.path())
            .env_clear()
            .env("CASSANDRA_HOST", &hosts)
            .env("CASSANDRA_CLUSTER", keyspace)
            .output()
            .expect("it runs");
        assert!(!output.status.success(), "{words:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        for part in [
            "holds tables of another program (the Python system)",
            &format!("such as {keyspace}_bubble"),
            "CASSANDRA_CLUSTER",
            "db init",
        ] {
            assert!(said.contains(part), "{words:?}: {said}");
        }
    }
}
