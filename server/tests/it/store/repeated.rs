//! Posts that the store has in part, within other pieces: an agent merged what it repeats with other
//! seconds. Each second counts once.

use std::sync::Arc;

use bubble_server::clock;
use bubble_server::http::state::Limits;
use bubble_server::ingest::live::Live;
use bubble_server::ingest::{Ingest, Origin};
use bubble_server::memory::Memory;
use bubble_server::metrics::Metrics;
use bubble_server::rollup::pack::pack;
use bubble_server::store::Store;
use bubble_server::store::attention::Watched;
use bubble_server::store::segments::{Outcome, Post};
use bubble_server::store::sqlite::{Durability, Sqlite};
use tempfile::TempDir;

use super::backend::on_every_store;
use super::{DAY, ID, cpu_ns, only_dirty, post};
use crate::common::{batch, id, seconds};

/// A post that is sent again, merged with others.
fn repeated(start: u64, slots: u32) -> Post {
    Post {
        repeated: true,
        ..post(&seconds(ID, 1, start, slots, 7))
    }
}

async fn put(store: &dyn Store, posts: Vec<Post>) -> Vec<Outcome> {
    store.put(posts).await.expect("stored")
}

async fn a_repeated_post_says_what_is_stored(store: Arc<dyn Store>) {
    let store = &*store;
    let known = [(DAY + 2, 1), (DAY + 5, 2)];
    let known = known.map(|(start, slots)| post(&seconds(ID, 1, start, slots, 7)));
    put(store, known.to_vec()).await;
    let bits = 0b110_0100;
    let overlaps = put(store, vec![repeated(DAY, 10)]).await;
    assert_eq!(overlaps, [Outcome::Overlaps(bits)]);
    assert_eq!(cpu_ns(store).await, 3 * 7, "nothing of it is stored");
    // Another source's seconds are others.
    let other = Post {
        repeated: true,
        ..post(&seconds(ID, 2, DAY, 10, 7))
    };
    assert_eq!(put(store, vec![other]).await, [Outcome::Stored]);
    let rest = vec![repeated(DAY, 2), repeated(DAY + 3, 2), repeated(DAY + 7, 3)];
    assert_eq!(put(store, rest).await, [Outcome::Stored; 3]);
    assert_eq!(cpu_ns(store).await, 20 * 7);
    assert_eq!(put(store, vec![repeated(DAY, 10)]).await, [Outcome::Known]);
    assert_eq!(
        put(store, vec![repeated(DAY + 1, 3)]).await,
        [Outcome::Known]
    );
    pack(store, only_dirty(store).await).await.expect("packed");
    assert_eq!(cpu_ns(store).await, 20 * 7);
    assert_eq!(put(store, vec![repeated(DAY, 10)]).await, [Outcome::Known]);
    let beyond = put(store, vec![repeated(DAY + 8, 4)]).await;
    assert_eq!(beyond, [Outcome::Overlaps(0b11_1111_1111)]);
    assert_eq!(cpu_ns(store).await, 20 * 7);
}

async fn merged_seconds_count_once_however_they_are_repeated(store: Arc<dyn Store>) {
    let memory = Memory::new(Limits::default().memory);
    let ingest = Ingest::new(
        Arc::clone(&store),
        Live::default(),
        Arc::new(Metrics::default()),
        memory.posts.clone(),
    );
    let (_, key) = bubble_server::auth::key::create("tests", clock::now());
    let start = clock::now() / 60 * 60 - 60;
    // Offsets and numbers of seconds, and whether the agent says that it may repeat some.
    let posts = [
        // Watched, and then not.
        (0, 1, false),
        (1, 1, false),
        (2, 8, false),
        // Killed before the receipt: the next run merges them in another way.
        (2, 10, true),
        (0, 13, true),
        (5, 3, true),
        (13, 1, true),
        // Over the edge of a minute.
        (55, 10, false),
        (50, 30, true),
    ];
    let mut stored = Vec::new();
    for (offset, slots, repeated) in posts {
        let origin = Origin {
            key: &key,
            is_administrator: false,
            recording: None,
            boot: None,
            repeated,
        };
        let segment = seconds(ID, 1, start + offset, slots, 7);
        let receipt = ingest.post(batch(vec![segment]).encode(), origin).await;
        stored.push(receipt.expect("taken").stored);
    }
    assert_eq!(stored, [1, 1, 1, 1, 1, 0, 1, 1, 1]);
    // 0 to 13, and 50 to 79.
    let expected = 44 * 7;
    assert_eq!(cpu_ns(&*store).await, expected);
    for span in super::dirty_spans(&*store).await {
        pack(&*store, span).await.expect("packed");
    }
    assert_eq!(cpu_ns(&*store).await, expected, "as it was before");
}

async fn a_post_that_arrives_after_its_repetition_counts_once(store: Arc<dyn Store>) {
    let memory = Memory::new(Limits::default().memory);
    let ingest = Ingest::new(
        Arc::clone(&store),
        Live::default(),
        Arc::new(Metrics::default()),
        memory.posts.clone(),
    );
    let (_, key) = bubble_server::auth::key::create("tests", clock::now());
    let start = clock::now() / 60 * 60 - 60;
    // Offsets and numbers of seconds, and whether the agent says that it may repeat some.
    let posts = [
        (0, 1, false),
        (1, 12, true),
        // The first post of these seconds, in another grouping.
        (2, 8, false),
        (1, 12, false),
        // The repetition had a part of these seconds.
        (10, 5, false),
        (15, 1, false),
    ];
    let mut stored = Vec::new();
    for (offset, slots, repeated) in posts {
        let origin = Origin {
            key: &key,
            is_administrator: false,
            recording: None,
            boot: None,
            repeated,
        };
        let segment = seconds(ID, 1, start + offset, slots, 7);
        let receipt = ingest.post(batch(vec![segment]).encode(), origin).await;
        stored.push(receipt.expect("taken").stored);
    }
    assert_eq!(stored, [1, 1, 0, 0, 1, 1]);
    assert_eq!(cpu_ns(&*store).await, 16 * 7);
    for span in super::dirty_spans(&*store).await {
        pack(&*store, span).await.expect("packed");
    }
    assert_eq!(cpu_ns(&*store).await, 16 * 7, "as it was before");
}

#[tokio::test]
async fn posts_that_arrive_after_their_repetition_count_once_after_a_restart() {
    let data = TempDir::new().expect("a temporary folder");
    // A program that another test starts holds the lock of the folder until it is executed.
    let open = || {
        let mut attempts = 50;
        loop {
            match Sqlite::serve(data.path(), Durability::Process) {
                Err(_) if attempts > 0 => attempts -= 1,
                opened => return opened.expect("a store"),
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    };
    let seconds = |start, slots| post(&seconds(ID, 1, DAY + start, slots, 7));
    let store = open();
    let stored = put(&store, vec![seconds(0, 1), repeated(DAY + 1, 12)]).await;
    assert_eq!(stored, [Outcome::Stored; 2]);
    drop(store);

    let store = open();
    // The first post of these seconds, in another grouping.
    for (start, slots) in [(2, 8), (10, 1), (11, 2)] {
        let known = put(&store, vec![seconds(start, slots)]).await;
        assert_eq!(known, [Outcome::Known], "{start}");
    }
    assert_eq!(put(&store, vec![seconds(13, 1)]).await, [Outcome::Stored]);
    assert_eq!(cpu_ns(&store).await, 14 * 7);
}

async fn a_second_that_arrives_after_its_minute_counts_once(store: Arc<dyn Store>) {
    let memory = Memory::new(Limits::default().memory);
    let ingest = Ingest::new(
        Arc::clone(&store),
        Live::default(),
        Arc::new(Metrics::default()),
        memory.posts.clone(),
    );
    let (_, key) = bubble_server::auth::key::create("tests", clock::now());
    let start = clock::now() / 60 * 60 - 60;
    let minute = seconds(ID, 1, start, 10, 7).coarsen();
    let minute = minute.expect("seconds become a minute");
    let mut stored = Vec::new();
    for (segment, repeated) in [
        (minute, true),
        (seconds(ID, 1, start + 3, 1, 7), false),
        (seconds(ID, 1, start + 10, 2, 7), false),
    ] {
        let origin = Origin {
            key: &key,
            is_administrator: false,
            recording: None,
            boot: None,
            repeated,
        };
        let receipt = ingest.post(batch(vec![segment]).encode(), origin).await;
        stored.push(receipt.expect("taken").stored);
    }
    assert_eq!(stored, [1, 0, 1]);
    assert_eq!(cpu_ns(&*store).await, 12 * 7);
}

async fn what_is_watched_is_known_to_all(store: Arc<dyn Store>) {
    let watched = |container: &str, host: &str| Watched {
        container: id(container),
        owner: "tests".to_owned(),
        host: host.to_owned(),
    };
    assert_eq!(store.watched().await.expect("answers"), []);
    for one in [watched("a", "h"), watched("b", "h"), watched("a", "h")] {
        store.note_watched(one).await.expect("noted");
    }
    let mut all = store.watched().await.expect("answers");
    all.sort();
    assert_eq!(all, [watched("a", "h"), watched("b", "h")]);
}

on_every_store!(
    a_repeated_post_says_what_is_stored,
    merged_seconds_count_once_however_they_are_repeated,
    a_post_that_arrives_after_its_repetition_counts_once,
    a_second_that_arrives_after_its_minute_counts_once,
    what_is_watched_is_known_to_all,
);
