//! Stored rows at rest: damage is noticed and said, old databases are read, space comes back.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use bubble_common::segment::loss::Reason;
use bubble_common::segment::{Key, Resolution, Segment, SourceId};
use bubble_server::auth::token::Access;
use bubble_server::clock;
use bubble_server::metrics::Metrics;
use bubble_server::query::read::gather;
use bubble_server::rollup::Rollup;
use bubble_server::rollup::pack::pack;
use bubble_server::span::activity::{Activity, Sums};
use bubble_server::span::retention::Retention;
use bubble_server::span::row::{Form, Row};
use bubble_server::store::Store;
use bubble_server::store::index::ContainerFilter;
use bubble_server::store::segments::Post;
use bubble_server::store::sqlite::{Durability, FILE, Sqlite, compact};
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{client, id, seconds, token};
use crate::program::Program;
use crate::store::backend::{self, define, on_every_store};
use crate::store::post;

const ID: &str = "aaaaaaaaaaaa";
/// Start of a day.
const DAY: u64 = 1_790_035_200;
const MIB: u64 = 1 << 20;

/// A post as ingest stores it, with a checksum.
fn sealed(segment: &Segment) -> Post {
    post(segment).sealed()
}

/// The same, changed after it was written.
fn damaged(segment: &Segment) -> Post {
    let mut post = sealed(segment);
    let middle = post.bytes.len() / 2;
    post.bytes[middle] ^= 1;
    post
}

/// CPU time, covered slots and damaged rows that an answer has.
async fn answer(store: &dyn Store, resolution: Resolution) -> (u64, usize, u64) {
    let gathered = gather(store, &id(ID), resolution, DAY..DAY + 86_400).await;
    let segments = gathered.expect("rows").resolve().expect("segments");
    let cpu = segments.iter().flat_map(|segment| &segment.cpu);
    let covered = segments.iter().flat_map(|segment| &segment.coverage);
    let losses = segments.iter().flat_map(|segment| &segment.losses);
    let losses = losses.filter(|cell| cell.row.0 == Reason::STORE_DAMAGED.0);
    (
        cpu.map(|cell| cell.value.ns).sum(),
        covered.filter(|coverage| !coverage.is_gap()).count(),
        losses.map(|cell| cell.value.count).sum(),
    )
}

async fn pack_first_minute(store: &dyn Store) {
    let span = store.dirty_span(&id(ID), Resolution::Second, DAY).await;
    let span = span.expect("answers").expect("it is dirty");
    pack(store, span).await.expect("packed");
}

async fn a_damaged_piece_is_told_and_left_out(store: Arc<dyn Store>) {
    let second = |n| seconds(ID, 1, DAY + n, 1, 7);
    let posts = vec![
        sealed(&second(0)),
        damaged(&second(1)),
        sealed(&second(2)),
        // Stored before rows had checksums.
        post(&second(3)),
    ];
    store.put(posts).await.expect("stored");
    for resolution in [Resolution::Second, Resolution::Minute] {
        let (cpu, _, damaged) = answer(&*store, resolution).await;
        assert_eq!((cpu, damaged), (21, 1), "{resolution:?}");
    }
    assert_eq!(answer(&*store, Resolution::Second).await.1, 3);
    // It neither stops the others from being packed, nor is it forgotten then.
    pack_first_minute(&*store).await;
    assert_eq!(answer(&*store, Resolution::Second).await, (21, 3, 1));
    assert_eq!(answer(&*store, Resolution::Minute).await, (21, 1, 1));
    let rows = store
        .range(&id(ID), Resolution::Second, DAY..DAY + 60)
        .await;
    let rows = rows.expect("rows");
    assert_eq!(rows.len(), 1);
    rows[0].decode().expect("the packed row is good");
    // The second may be posted again, as the agent does if it has not got an answer.
    let again = vec![sealed(&second(1))];
    store.put(again).await.expect("stored");
    let (cpu, covered, _) = answer(&*store, Resolution::Second).await;
    assert_eq!((cpu, covered), (28, 4));
}

async fn a_span_of_damaged_rows_only_is_a_gap(store: Arc<dyn Store>) {
    let posts = vec![damaged(&seconds(ID, 1, DAY, 1, 7))];
    store.put(posts).await.expect("stored");
    assert_eq!(answer(&*store, Resolution::Second).await, (0, 0, 1));
    pack_first_minute(&*store).await;
    assert_eq!(answer(&*store, Resolution::Second).await, (0, 0, 1));
    let container = id(ID);
    let dirty = store.dirty_of(&container, Resolution::Second, 0..u64::MAX);
    assert_eq!(dirty.await.expect("answers"), Vec::<u64>::new());
}

on_every_store!(
    a_damaged_piece_is_told_and_left_out,
    a_span_of_damaged_rows_only_is_a_gap,
);

/// A store in a file with a packed minute of two containers, and its folder.
async fn packed(start: u64) -> (Arc<dyn Store>, TempDir) {
    let (store, data) = backend::sqlite();
    let segments = [ID, "bbbbbbbbbbbb"].map(|name| seconds(name, 1, start, 60, 7));
    store
        .put(segments.iter().map(sealed).collect())
        .await
        .expect("stored");
    let metrics = Arc::new(Metrics::default());
    let mut rollup = Rollup::new(Arc::clone(&store), Retention::default(), metrics);
    rollup.run(start + 90).await.expect("the store answers");
    (store, data)
}

fn database(data: &Path) -> Connection {
    Connection::open(data.join(FILE)).expect("a database")
}

/// Changes a byte in the middle of a packed minute of seconds.
fn damage(data: &Path) {
    let sql =
        "UPDATE packed SET bytes = CAST(substr(bytes, 1, 40) || x'ff' || substr(bytes, 42) AS BLOB)
               WHERE resolution = 0 AND container = (SELECT id FROM container WHERE name = ?1)";
    let changed = database(data).execute(sql, [ID]);
    assert_eq!(changed.expect("it is SQL"), 1);
}

fn command(data: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bubble-server"))
        .args(words)
        .arg("--data")
        .arg(data)
        .env_clear()
        .output()
        .expect("it runs")
}

#[tokio::test]
async fn a_damaged_packed_row_is_a_loss_until_it_is_packed_again() {
    let (store, data) = packed(DAY).await;
    damage(data.path());
    assert_eq!(answer(&*store, Resolution::Second).await, (0, 0, 1));
    // Its minute was rolled up before.
    let (cpu, _, damaged) = answer(&*store, Resolution::Minute).await;
    assert_eq!((cpu, damaged), (7 * 60, 0));
    let late = sealed(&seconds(ID, 2, DAY + 7, 1, 5));
    store.put(vec![late]).await.expect("stored");
    pack_first_minute(&*store).await;
    let (cpu, covered, damaged) = answer(&*store, Resolution::Second).await;
    assert_eq!((cpu, covered, damaged), (5, 1, 1));
}

#[tokio::test]
#[ignore = "needs a node: cargo xtask test --only cassandra"]
async fn a_packed_row_that_was_damaged_in_cassandra_is_replaced() {
    let (store, address) = backend::cassandra("damaged_row").await;
    let second = |n| sealed(&seconds(ID, 1, DAY + n, 1, 7));
    store.put(vec![second(0)]).await.expect("stored");
    pack_first_minute(&*store).await;
    let bucket = DAY / 3_600;
    let source = SourceId([1; 16]);
    let damage = format!(
        "UPDATE packed_second SET bytes = 0x07
         WHERE container = '{ID}' AND bucket = {bucket} AND start = {DAY} AND source = 0x{source}"
    );
    define(&address, &damage).await;
    assert_eq!(answer(&*store, Resolution::Second).await, (0, 0, 1));
    store.put(vec![second(1)]).await.expect("stored");
    pack_first_minute(&*store).await;
    assert_eq!(answer(&*store, Resolution::Second).await, (7, 1, 1));
}

#[tokio::test]
async fn db_check_lists_what_is_damaged() {
    let (store, data) = packed(DAY).await;
    drop(store);
    let good = command(data.path(), &["db", "check"]);
    let text = String::from_utf8_lossy(&good.stdout).into_owned();
    assert!(good.status.success(), "{good:?}");
    assert!(
        text.contains("4 rows of 2 containers, 0 of them damaged"),
        "{text}"
    );
    assert!(text.contains("the database"), "{text}");

    damage(data.path());
    let lost = "INSERT INTO piece VALUES (0, 1790035200, 1, 77, 2, x'07')";
    database(data.path()).execute_batch(lost).expect("changed");
    let bad = command(data.path(), &["db", "check"]);
    let text = String::from_utf8_lossy(&bad.stdout).into_owned();
    assert_eq!(bad.status.code(), Some(1), "{bad:?}");
    let row = format!("damaged: container {ID}, second from {DAY}, source 01010101");
    assert!(text.contains(&row), "{text}");
    assert!(text.contains("its checksum is wrong"), "{text}");
    assert!(
        text.contains("damaged: 1 pieces belong to no container or source"),
        "{text}"
    );
    assert!(text.contains("1 of them damaged"), "{text}");
    let error = String::from_utf8_lossy(&bad.stderr);
    assert!(error.contains("is damaged"), "{error}");
}

#[tokio::test]
async fn a_damaged_row_is_in_the_answer_the_metrics_and_the_log() {
    let now = clock::now();
    let start = now - now % 60 - 120;
    let (store, data) = packed(start).await;
    drop(store);
    damage(data.path());
    let facts = "UPDATE container SET facts = '{broken' WHERE name = 'bbbbbbbbbbbb'";
    database(data.path()).execute_batch(facts).expect("changed");
    let client = client();
    let program = Program::start(&data, &client, &[]).await;
    let get = async |path: &str| {
        let asked = client.get(format!("{}{path}", program.url));
        let answer = asked.bearer_auth(token(&Access::Admin)).send().await;
        answer.expect("an answer").text().await.expect("a body")
    };
    let to = start + 60;
    let summary = get(&format!(
        "/api/v1/containers/{ID}/summary?from={start}&to={to}&step=1"
    ))
    .await;
    let summary: Value = serde_json::from_str(&summary).expect("JSON");
    assert_eq!(summary["losses"][0]["reason"], "store_damaged", "{summary}");
    assert_eq!(summary["losses"][0]["count"], 1);
    assert_eq!(summary["accounting"]["lost"], 1);
    assert_eq!(summary["covered"][7], 0.0, "a gap, not a zero");
    // The container with damaged facts is still listed, and so is the other.
    let list: Value = serde_json::from_str(&get("/api/v1/containers").await).expect("JSON");
    assert_eq!(list["total"], 2, "{list}");
    let metrics = get("/metrics").await;
    let count = metrics
        .lines()
        .find_map(|line| line.strip_prefix("bubble_server_rows_damaged_total "));
    let count: u64 = count.expect("it is there").parse().expect("a number");
    assert!(count >= 2, "{count}");
    let log = crate::program::log_of(&data);
    assert!(
        log.contains("a stored row is damaged and left out"),
        "{log}"
    );
}

/// Each file in testdata/schema is a database of a released version: with the content of the same
/// segments, and with keys, reports, recordings and whatever else the version had.
#[tokio::test]
async fn databases_of_all_released_versions_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/schema");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the databases")
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    assert!(files.len() >= 9, "{files:?}");
    let (fresh, _data) = {
        let data = TempDir::new().expect("a temporary folder");
        drop(Sqlite::serve(data.path(), Durability::Process).expect("a new store"));
        (columns(data.path()), data)
    };
    for file in files {
        let name = file
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let version: u32 = name[..1].parse().expect("a version");
        let data = TempDir::new().expect("a temporary folder");
        let dump = std::fs::read_to_string(&file).expect("text");
        database(data.path())
            .execute_batch(&dump)
            .expect("a database");
        let store = Sqlite::serve(data.path(), Durability::Process);
        let store: Arc<dyn Store> = Arc::new(store.expect("it is migrated"));
        check_old(&store, version, &name).await;
        drop(store);
        assert_eq!(columns(data.path()), fresh, "{name}");
        // It has been packed meanwhile, and now shrinks.
        let done = compact(data.path()).expect("compacted");
        assert!(done.after > 0, "{name}");
        let mode: i64 = database(data.path())
            .pragma_query_value(None, "auto_vacuum", |row| row.get(0))
            .expect("a mode");
        assert_eq!(mode, 2, "{name}");
        let checked = command(data.path(), &["db", "check"]);
        assert!(checked.status.success(), "{name}: {checked:?}");
    }
}

/// All tables with their columns.
fn columns(data: &Path) -> Vec<(String, String)> {
    let database = database(data);
    let sql = "SELECT m.name, p.name FROM sqlite_schema AS m JOIN pragma_table_info(m.name) AS p
               WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY 1, p.cid";
    let mut statement = database.prepare(sql).expect("SQL");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.expect("rows").map(|row| row.expect("a row")).collect()
}

async fn check_old(store: &Arc<dyn Store>, version: u32, name: &str) {
    let all = ContainerFilter {
        now: 1_790_000_100,
        limit: 100,
        ..ContainerFilter::default()
    };
    let page = store.containers(&all).await.expect("answers");
    let recorded = usize::from(version >= 2);
    assert_eq!(page.containers.len(), 2 + recorded, "{name}");
    let web = store.container(&id("f893a2eefb32")).await.expect("answers");
    let web = web.expect("it is known");
    assert_eq!(web.cpu_ns, 700, "{name}");
    assert_eq!(web.facts["name"], "web", "{name}");
    assert_eq!(web.live_since, 1_790_000_000, "{name}");
    assert_eq!(web.binding.is_some(), version >= 4, "{name}");
    assert_eq!(store.keys().await.expect("answers").len(), 1, "{name}");
    assert_eq!(store.hosts().await.expect("answers").len(), 1, "{name}");
    let recordings = store.recordings().await.expect("answers");
    assert_eq!(recordings.len(), recorded, "{name}");
    let uploads = recordings.iter().filter(|one| one.upload.is_some()).count();
    assert_eq!(uploads, usize::from(version >= 8), "{name}");
    let tokens = store.tokens(1_790_000_000).await.expect("answers");
    assert_eq!(tokens.len(), usize::from(version >= 5), "{name}");
    let shared = tokens.iter().filter(|token| token.shared.is_some()).count();
    assert_eq!(shared, usize::from(version >= 6), "{name}");
    // The bytes are those of the segments of the format's version 1.
    let piece = include_bytes!("../../../common/testdata/segment/v1/raw-busy-second.bin");
    let minutes = include_bytes!("../../../common/testdata/segment/v1/raw-minutes.bin");
    let read = async |container: &str, resolution| {
        let rows = store
            .range(&id(container), resolution, 0..u64::MAX / 4)
            .await;
        let rows = rows.expect("rows");
        let decode = |row: &Row| (row.form, row.decode().expect("undamaged").segment);
        rows.iter().map(decode).collect::<Vec<_>>()
    };
    let decoded = |bytes: &[u8]| Arc::new(Segment::decode(bytes).expect("a segment"));
    let (web, range) = (id("f893a2eefb32"), 0..u64::MAX / 4);
    let stored = store.range(&web, Resolution::Second, range).await;
    let stored = stored.expect("rows");
    let has_checksum = stored[0].bytes.starts_with(b"\xbcROW");
    assert_eq!(has_checksum, version >= 7, "{name}");
    let seconds = read("f893a2eefb32", Resolution::Second).await;
    assert_eq!(seconds, [(Form::Posted, decoded(piece))], "{name}");
    let packed = read("dbef19fc8e7b", Resolution::Minute).await;
    assert_eq!(packed, [(Form::Packed, decoded(minutes))], "{name}");
    // Life goes on.
    let metrics = Arc::new(Metrics::default());
    let mut rollup = Rollup::new(Arc::clone(store), Retention::default(), metrics);
    let done = rollup.run(1_790_000_100).await.expect("the store answers");
    assert_eq!(
        (done.packed, done.failed),
        (1 + recorded as u64, 0),
        "{name}"
    );
    let packed = read("f893a2eefb32", Resolution::Second).await;
    assert_eq!(packed[0].0, Form::Packed, "{name}");
    let cpu = |segment: &Segment| segment.cpu.iter().map(|cell| cell.value.ns).sum::<u64>();
    assert_eq!(cpu(&packed[0].1), cpu(&decoded(piece)), "{name}");
}

/// A post of `size` bytes that nobody decodes.
fn large(container: &str, at: u64, size: usize) -> Post {
    let key = Key {
        container: id(container),
        resolution: Resolution::Second,
        start: at,
        source: SourceId([1; 16]),
    };
    Post {
        key,
        slots: 1 << (at % 60),
        bytes: vec![7; size],
        activity: Activity::default(),
        repeated: false,
        replaces: None,
        withdrawn: Sums::default(),
        recording: None,
    }
}

#[tokio::test]
async fn space_comes_back_and_the_log_stays_short() {
    let (store, data) = backend::sqlite();
    let size = |file: &str| {
        let size = data.path().join(file).metadata();
        size.map_or(0, |metadata| metadata.len())
    };
    for start in (0..1_500).step_by(50) {
        let posts = (0..50).map(|n| large(ID, DAY + start + n, 16 << 10));
        store.put(posts.collect()).await.expect("stored");
    }
    store
        .put(vec![large("bbbbbbbbbbbb", DAY, 100)])
        .await
        .expect("stored");
    let log = size("bubble.sqlite-wal");
    assert!(log < 12 * MIB, "the log has {log} bytes");
    let usage = store
        .usage()
        .await
        .expect("answers")
        .expect("it has a file");
    assert!(
        usage.rows > 23 * MIB && usage.database > usage.rows,
        "{usage:?}"
    );
    assert!(store.delete_container(&id(ID)).await.expect("answers"));
    store.sweep().await.expect("swept");
    let before = store
        .usage()
        .await
        .expect("answers")
        .expect("it has a file");
    assert!(before.free > 20 * MIB, "{before:?}");
    let expired = store.expire(Resolution::Second, DAY - 60, None).await;
    expired.expect("answers");
    let after = store
        .usage()
        .await
        .expect("answers")
        .expect("it has a file");
    assert!(after.database < 6 * MIB, "{after:?}");
    assert!(after.free >= 2 * MIB, "some stays for new rows: {after:?}");
    drop(store);
    assert!(size("bubble.sqlite") < 6 * MIB, "{}", size("bubble.sqlite"));
}
