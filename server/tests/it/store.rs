//! What every backend does: each test is written once, and run for each.

use std::sync::Arc;

use bubble_common::segment::codec::Effort;
use bubble_common::segment::{Resolution, Segment, SourceId};
use bubble_server::clock;
use bubble_server::ingest::activity::activity;
use bubble_server::rollup::unite::slot_bits;
use bubble_server::store::Store;
use bubble_server::store::container::{ContainerFilter, State};
use bubble_server::store::key::ApiKey;
use bubble_server::store::recording::Label;
use bubble_server::store::row::{DirtySpan, Form, Outcome, Post, Repack, Row};
use bubble_server::store::sqlite::{Durability, Sqlite};

use crate::common::{id, seconds};

const ID: &str = "aaaaaaaaaaaa";
/// Start of a minute, an hour and a day.
const DAY: u64 = 1_790_035_200;

pub(crate) fn post(segment: &Segment) -> Post {
    Post {
        key: segment.key.clone(),
        slots: slot_bits(segment),
        bytes: segment.encode(Effort::Raw),
        activity: activity(segment),
        recording: None,
    }
}

fn packed(segment: &Segment) -> (Row, u64) {
    let row = Row {
        key: segment.key.clone(),
        form: Form::Packed,
        bytes: segment.encode(Effort::Small),
    };
    (row, slot_bits(segment))
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

async fn packing_takes_the_place_of_pieces(store: Arc<dyn Store>) {
    let pieces: Vec<Segment> = (0..60).map(|n| seconds(ID, 1, DAY + n, 1, 7)).collect();
    store
        .put(pieces.iter().map(post).collect())
        .await
        .expect("stored");
    let span = only_dirty(&*store).await;
    assert_eq!((span.start, &span.container), (DAY, &id(ID)));
    let whole = Segment::merge(&pieces).expect("one source");
    let minute = whole.coarsen().expect("seconds become minutes");
    let change = Repack {
        span,
        packed: vec![packed(&whole)],
        pieces: pieces
            .iter()
            .map(|p| (p.key.clone(), Form::Posted))
            .collect(),
        rolled: vec![Row {
            key: minute.key.clone(),
            form: Form::Rolled,
            bytes: minute.encode(Effort::Fast),
        }],
    };
    store.repack(change.clone()).await.expect("packed");
    let rows = store
        .range(&id(ID), Resolution::Second, DAY + 30..DAY + 31)
        .await;
    let rows = rows.expect("rows");
    assert_eq!(rows, [change.packed[0].0.clone()]);
    let dirty = store.dirty(Resolution::Second, u64::MAX, None, 10).await;
    assert_eq!(dirty.expect("answers"), []);
    let minutes = store
        .dirty_of(&id(ID), Resolution::Minute, DAY..DAY + 60)
        .await;
    assert_eq!(minutes.expect("answers"), [DAY]);
    // A second that is packed is known, one that is not re-opens the span.
    let again = store.put(vec![post(&pieces[7])]).await;
    assert_eq!(again.expect("stored"), [Outcome::Known]);
    let other = store.put(vec![post(&seconds(ID, 2, DAY + 7, 1, 7))]).await;
    assert_eq!(other.expect("stored"), [Outcome::Stored]);
    assert_eq!(only_dirty(&*store).await.start, DAY);
}

async fn a_piece_that_comes_while_packing_keeps_the_mark(store: Arc<dyn Store>) {
    let first = seconds(ID, 1, DAY, 1, 7);
    store.put(vec![post(&first)]).await.expect("stored");
    let span = only_dirty(&*store).await;
    let late = seconds(ID, 1, DAY + 1, 1, 7);
    store.put(vec![post(&late)]).await.expect("stored");
    let change = Repack {
        span,
        packed: vec![packed(&first)],
        pieces: vec![(first.key.clone(), Form::Posted)],
        rolled: Vec::new(),
    };
    store.repack(change).await.expect("packed");
    assert_eq!(only_dirty(&*store).await.start, DAY);
    let rows = store
        .range(&id(ID), Resolution::Second, DAY..DAY + 60)
        .await;
    let forms: Vec<Form> = rows.expect("rows").iter().map(|row| row.form).collect();
    assert_eq!(forms, [Form::Packed, Form::Posted]);
}

async fn nothing_expires_that_is_dirty(store: Arc<dyn Store>) {
    for minute in [DAY, DAY + 60] {
        let segment = seconds(ID, 1, minute, 60, 7);
        store.put(vec![post(&segment)]).await.expect("stored");
        let span = DirtySpan {
            start: minute,
            ..only_dirty(&*store).await
        };
        let change = Repack {
            span,
            packed: vec![packed(&segment)],
            pieces: vec![(segment.key.clone(), Form::Posted)],
            rolled: Vec::new(),
        };
        store.repack(change).await.expect("packed");
    }
    store
        .put(vec![post(&seconds(ID, 2, DAY, 1, 7))])
        .await
        .expect("stored");
    // The first is dirty again, the second not over yet, then it is.
    assert_eq!(
        store
            .expire(Resolution::Second, DAY + 119)
            .await
            .expect("expired"),
        0
    );
    assert_eq!(
        store
            .expire(Resolution::Second, DAY + 120)
            .await
            .expect("expired"),
        1
    );
    assert_eq!(
        store
            .expire(Resolution::Second, DAY)
            .await
            .expect("expired"),
        0
    );
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

async fn what_is_recorded_stays_until_it_is_swept(store: Arc<dyn Store>) {
    let label = Arc::new(Label {
        id: SourceId([9; 16]),
        name: "a capture".to_owned(),
    });
    let recorded = |segment: &Segment| Post {
        recording: Some(Arc::clone(&label)),
        ..post(segment)
    };
    let (kept, live) = (seconds(ID, 1, DAY, 60, 7), seconds(ID, 2, DAY, 60, 5));
    let late = seconds("b", 1, DAY + 60, 1, 7);
    let posts = vec![recorded(&kept), post(&live), recorded(&late)];
    store.put(posts.clone()).await.expect("stored");
    let span = DirtySpan {
        container: id(ID),
        ..dirty_spans(&*store).await.remove(0)
    };
    let change = Repack {
        span,
        packed: vec![packed(&kept), packed(&live)],
        pieces: [&kept, &live]
            .map(|segment| (segment.key.clone(), Form::Posted))
            .to_vec(),
        rolled: Vec::new(),
    };
    store.repack(change).await.expect("packed");
    let sources = async || {
        let rows = store
            .range(&id(ID), Resolution::Second, DAY..DAY + 60)
            .await
            .expect("rows");
        rows.iter().map(|row| row.key.source).collect::<Vec<_>>()
    };
    assert_eq!(sources().await.len(), 2);
    let expired = store.expire(Resolution::Second, DAY + 600).await;
    assert_eq!(expired.expect("expired"), 1);
    assert_eq!(sources().await, [kept.key.source]);
    let known = store.recorded(&id(ID)).await.expect("answers");
    assert_eq!(known, [kept.key.source]);

    let list = store.recordings().await.expect("answers");
    assert_eq!(list.len(), 1);
    assert_eq!(list[0].label, *label);
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
    // What is posted after that is new, and is marked to be packed.
    let outcomes = store.put(posts).await.expect("stored");
    assert_eq!(outcomes, [Outcome::Stored; 3]);
    assert_eq!(dirty_spans(&*store).await.len(), 2);
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
    assert_eq!(before.expect("answers").len(), 5);
}

async fn facts_are_the_latest_and_a_restart_is_no_end(store: Arc<dyn Store>) {
    let with = |at: u64, facts: &[(&str, &str)]| {
        let mut segment = seconds(ID, 1, at, 1, 7);
        for (name, value) in facts {
            segment
                .facts
                .insert((*name).to_owned(), (*value).to_owned());
        }
        post(&segment)
    };
    let fact = async |name: &str| {
        let container = store
            .container(&id(ID))
            .await
            .expect("answers")
            .expect("known");
        container.facts.get(name).cloned()
    };
    store
        .put(vec![with(DAY + 9, &[("name", "new")])])
        .await
        .expect("stored");
    store
        .put(vec![with(DAY, &[("name", "old"), ("extra", "x")])])
        .await
        .expect("stored");
    assert_eq!(fact("name").await.as_deref(), Some("new"));
    assert_eq!(fact("extra").await.as_deref(), Some("x"));
    store
        .put(vec![with(
            DAY + 10,
            &[("started", "5"), ("ended", "10"), ("exit_code", "3")],
        )])
        .await
        .expect("stored");
    assert_eq!(fact("exit_code").await.as_deref(), Some("3"));
    let container = store
        .container(&id(ID))
        .await
        .expect("answers")
        .expect("known");
    assert_eq!(container.state(DAY + 11), State::Ended);
    store
        .put(vec![with(DAY + 11, &[("started", "11")])])
        .await
        .expect("stored");
    let container = store
        .container(&id(ID))
        .await
        .expect("answers")
        .expect("known");
    assert_eq!(container.state(DAY + 12), State::Running);
    assert_eq!(container.state(DAY + 1_000), State::Silent);
    assert_eq!(fact("exit_code").await, None);
    let running = ContainerFilter {
        state: Some(State::Running),
        now: DAY + 12,
        limit: 10,
        ..ContainerFilter::default()
    };
    assert_eq!(store.containers(&running).await.expect("a page").total, 1);
}

async fn keys_come_and_go(store: Arc<dyn Store>) {
    let key = ApiKey {
        id: "k1".to_owned(),
        hash: [7; 32],
        owner: "node7".to_owned(),
        created: clock::now(),
        last_used: 0,
    };
    store.create_key(key.clone()).await.expect("stored");
    assert!(
        store.create_key(key.clone()).await.is_err(),
        "an id is used once"
    );
    assert_eq!(store.key("k1").await.expect("answers"), Some(key.clone()));
    store.touch_key("k1", 99).await.expect("noted");
    store.touch_key("k1", 98).await.expect("noted");
    let keys = store.keys().await.expect("answers");
    assert_eq!(
        keys,
        [ApiKey {
            last_used: 99,
            ..key
        }]
    );
    assert!(store.delete_key("k1").await.expect("answers"));
    assert!(!store.delete_key("k1").await.expect("answers"));
    assert_eq!(store.key("k1").await.expect("answers"), None);
}

/// The tests for one backend; `$open` makes an empty store and what must live as long.
macro_rules! suite {
    ($backend:ident, $open:expr, [$($test:ident),+ $(,)?]) => {
        mod $backend {
            $(
                #[tokio::test]
                async fn $test() {
                    let (store, _kept) = $open;
                    super::$test(store).await;
                }
            )+
        }
    };
}

macro_rules! backends {
    ($tests:tt) => {
        suite!(
            sqlite,
            {
                let data = tempfile::TempDir::new().expect("a temporary folder");
                let store = bubble_server::store::sqlite::Sqlite::serve(
                    data.path(),
                    bubble_server::store::sqlite::Durability::Process,
                );
                let store: std::sync::Arc<dyn bubble_server::store::Store> =
                    std::sync::Arc::new(store.expect("an empty store"));
                (store, data)
            },
            $tests
        );
    };
}

backends!([
    a_key_is_stored_once,
    packing_takes_the_place_of_pieces,
    a_piece_that_comes_while_packing_keeps_the_mark,
    nothing_expires_that_is_dirty,
    what_is_recorded_stays_until_it_is_swept,
    dirty_spans_are_listed_in_pages,
    facts_are_the_latest_and_a_restart_is_no_end,
    keys_come_and_go,
]);

/// What a database of the first version is, when it is opened by this one.
#[tokio::test]
async fn an_older_database_is_brought_to_this_version() {
    let data = tempfile::TempDir::new().expect("a temporary folder");
    let open = || Sqlite::serve(data.path(), Durability::Process).expect("a store");
    let segment = seconds(ID, 1, DAY, 1, 7);
    open().put(vec![post(&segment)]).await.expect("stored");
    {
        let path = data.path().join("bubble.sqlite");
        let database = rusqlite::Connection::open(path).expect("it is there");
        database
            .execute_batch(
                "DROP TABLE recording; DROP TABLE recorded;
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
