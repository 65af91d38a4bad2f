//! Copies of stores: they have everything, and go on like the original.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bubble_common::segment::{Resolution, Segment, SourceId};
use bubble_server::auth::key;
use bubble_server::copy::progress::Progress;
use bubble_server::copy::{Copied, copy};
use bubble_server::metrics::Metrics;
use bubble_server::rollup::Rollup;
use bubble_server::span::retention::Retention;
use bubble_server::span::row::Form;
use bubble_server::store::Store;
use bubble_server::store::binding::Binding;
use bubble_server::store::cassandra::address::Address;
use bubble_server::store::container::Container;
use bubble_server::store::host::Host;
use bubble_server::store::index::ContainerFilter;
use bubble_server::store::sqlite::{Durability, Sqlite};
use bubble_testing::container::{Container as Generated, Size};
use tempfile::TempDir;

use crate::common::{id, seconds};
use crate::store::{backend, post, recorded};

/// Start of a day.
const DAY: u64 = 1_790_035_200;
const HOUR: u64 = 3_600;
/// In the middle of a minute of the second day, so the newest segments are not packed.
const NOW: u64 = DAY + 26 * HOUR + 630;

async fn put(store: &dyn Store, segments: &[Segment]) {
    let posts = segments.iter().map(post).collect();
    store.put(posts).await.expect("stored");
}

async fn roll_up(store: &Arc<dyn Store>, now: u64) {
    let metrics = Arc::new(Metrics::default());
    let mut rollup = Rollup::new(Arc::clone(store), Retention::default(), metrics);
    let done = rollup.run(now).await.expect("the store answers");
    assert_eq!(done.failed, 0);
}

/// Segments of three containers between `from` and `to`: three minutes of each hour.
fn segments(from: u64, to: u64) -> Vec<Segment> {
    let mut segments = Vec::new();
    for seed in 1..=3 {
        for hour in (from..to).step_by(HOUR as usize) {
            let mut container = Generated::new(seed, hour, Size::QUIET);
            for _ in 0..3 {
                let segment = container.seconds(60);
                segments.extend((segment.key.start < to).then_some(segment));
            }
        }
    }
    segments
}

/// Fills a store with all it can hold: rows of each resolution and form, marks, recordings, keys, hosts,
/// horizons.
async fn fill(store: &Arc<dyn Store>) {
    let live = segments(DAY, NOW);
    put(&**store, &live).await;
    // One container is only in a recording; another is live and recorded.
    let known = live[0].key.container.as_str();
    let (alone, beside) = (
        seconds("recorded", 9, DAY, 60, 7),
        seconds(known, 8, DAY, 2, 5),
    );
    let posts = vec![recorded(&alone), recorded(&beside)];
    store.put(posts).await.expect("stored");
    roll_up(store, NOW).await;
    // Not packed yet: a part of the newest minute, and a late minute of the first hour, whose row has
    // expired.
    let late = seconds(known, 1, DAY + 2 * HOUR + 600, 60, 11);
    let newest = (0..7).map(|n| seconds(known, 1, NOW - 7 + n, 1, 100 + n));
    put(&**store, &newest.chain([late]).collect::<Vec<_>>()).await;
    let (_, key) = key::create("tests", NOW);
    store.create_key(key.clone()).await.expect("a key");
    store.touch_key(&key.id, NOW).await.expect("noted");
    let host = Host {
        host: "node7".to_owned(),
        owner: "tests".to_owned(),
        key: "k1".to_owned(),
        agents: 1,
        version: "0.1.0".to_owned(),
        kernel: "6.12".to_owned(),
        hooks: "vfs".to_owned(),
        missing: Vec::new(),
        cores: 4,
        memory: 1 << 30,
        last_seen: NOW as f64,
        cpu_percent: 1.0,
        rss: 1 << 20,
        kernel_percent: 0.5,
        spooled: 0,
        dropped: 0,
        received: 5.0,
        clock_offset: Some(-1.5),
        dropped_at: 2.0,
    };
    store.put_host(host).await.expect("noted");
    let binding = Binding {
        name: known.to_owned(),
        owner: "tests".to_owned(),
        host: "node7".to_owned(),
        identity: String::new(),
        key: key.id,
        since: NOW,
    };
    store.bind(vec![binding]).await.expect("bound");
}

async fn same(one: &dyn Store, other: &dyn Store) {
    let all = ContainerFilter {
        now: NOW,
        limit: 100,
        ..ContainerFilter::default()
    };
    let list = async |store: &dyn Store| {
        let mut page = store.containers(&all).await.expect("answers");
        // A copy may have other empty buckets before the first.
        let recent = |c: &mut Container| std::mem::take(&mut c.recent).slots();
        let recent: Vec<_> = page.containers.iter_mut().map(recent).collect();
        (page, recent)
    };
    let (containers, recent) = list(one).await;
    assert_eq!(containers.total, 4);
    assert_eq!(list(other).await, (containers.clone(), recent));
    let mut forms = std::collections::BTreeSet::new();
    for container in &containers.containers {
        for resolution in Resolution::ALL {
            let rows = async |store: &dyn Store| {
                let all = 0..NOW + 86_400 * 40;
                let dirty = store.dirty_of(&container.id, resolution, all.clone()).await;
                let rows = store.range(&container.id, resolution, all).await;
                let mut rows = rows.expect("rows");
                rows.sort_by(|a, b| (a.form, &a.key).cmp(&(b.form, &b.key)));
                (dirty.expect("answers"), rows)
            };
            let own = rows(one).await;
            forms.extend(own.1.iter().map(|row| (resolution, row.form)));
            assert_eq!(rows(other).await, own, "{} {resolution:?}", container.id);
        }
        let recorded =
            async |store: &dyn Store| store.recorded(&container.id).await.expect("answers");
        assert_eq!(recorded(other).await, recorded(one).await);
    }
    // Otherwise the comparison would show little.
    assert!(forms.len() >= 7, "{forms:?}");
    assert!(forms.contains(&(Resolution::Hour, Form::Rolled)));
    for resolution in Resolution::ALL {
        let before =
            async |store: &dyn Store| store.expired_before(resolution).await.expect("answers");
        assert_eq!(before(other).await, before(one).await);
    }
    assert_eq!(
        other.recordings().await.expect("answers"),
        one.recordings().await.expect("answers")
    );
    assert_eq!(
        other.keys().await.expect("answers"),
        one.keys().await.expect("answers")
    );
    assert_eq!(
        other.bindings().await.expect("answers"),
        one.bindings().await.expect("answers")
    );
    assert_eq!(
        other.hosts().await.expect("answers"),
        one.hosts().await.expect("answers")
    );
}

/// Copies a store twice, and compares each time.
async fn copy_twice_and_compare(from: &Arc<dyn Store>, to: &Arc<dyn Store>) -> Copied {
    let copied = copied(from, to).await;
    assert_eq!((copied.containers, copied.known), (4, 0));
    same(&**from, &**to).await;
    let again = self::copied(from, to).await;
    assert_eq!(
        (again.known, again.rows, again.totals),
        (4, 0, copied.totals)
    );
    same(&**from, &**to).await;
    copied
}

async fn copied(from: &Arc<dyn Store>, to: &Arc<dyn Store>) -> Copied {
    copy(from, to, &Progress::new()).await.expect("a copy")
}

/// Posts more segments, rolls up, and returns the sums of all containers.
async fn go_on(store: &Arc<dyn Store>) -> Vec<(String, u64, u64, u64, u64, u64)> {
    let next = NOW.next_multiple_of(HOUR);
    put(&**store, &segments(next, next + 4 * HOUR)).await;
    roll_up(store, next + 30 * HOUR).await;
    let filter = ContainerFilter {
        limit: 100,
        ..ContainerFilter::default()
    };
    let list = store.containers(&filter).await.expect("answers");
    let sums = list.containers.into_iter().map(|c| {
        (
            c.id.to_string(),
            c.first_seen,
            c.last_seen,
            c.cpu_ns,
            c.bytes_in,
            c.bytes_out,
        )
    });
    let mut sums: Vec<_> = sums.collect();
    sums.sort();
    sums
}

#[tokio::test]
async fn sqlite_into_sqlite() {
    let ((from, _data), (to, _other)) = (backend::sqlite(), backend::sqlite());
    fill(&from).await;
    copy_twice_and_compare(&from, &to).await;
    assert_eq!(go_on(&to).await, go_on(&from).await);
}

#[tokio::test]
#[ignore = "needs a node: cargo xtask test --only cassandra"]
async fn sqlite_into_cassandra_and_back() {
    let ((from, _data), (back, _other)) = (backend::sqlite(), backend::sqlite());
    let (to, _) = backend::cassandra("copy").await;
    fill(&from).await;
    let there = copy_twice_and_compare(&from, &to).await;
    let here = copy_twice_and_compare(&to, &back).await;
    assert_eq!(there, here);
    let sums = go_on(&from).await;
    assert_eq!(go_on(&to).await, sums);
    assert_eq!(go_on(&back).await, sums);
    // Deleting a copied recording also removes its container.
    assert!(
        to.delete_recording(SourceId([9; 16]))
            .await
            .expect("answers")
    );
    assert_eq!(to.sweep().await.expect("swept"), 1);
    assert_eq!(to.container(&id("recorded")).await.expect("answers"), None);
}

fn program(from: &Path, to: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bubble-server"));
    command
        .args([
            "db",
            "copy",
            "--from",
            &format!("sqlite:{}", from.display()),
            "--to",
            to,
        ])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn a_store_in_use_is_not_copied() {
    let ((_served, data), other) = (backend::sqlite(), TempDir::new().expect("a folder"));
    let to = format!("sqlite:{}", other.path().display());
    let output = program(data.path(), &to).output().expect("it runs");
    assert!(!output.status.success());
    let (_, error) = text(&output);
    assert!(error.contains("another bubble-server uses"), "{error}");
    let missing = program(other.path(), &to.replace("sqlite:", "sqlite:/nowhere"));
    let output = { missing }.output().expect("it runs");
    let (_, error) = text(&output);
    assert!(error.contains("there is no database"), "{error}");
}

/// Kills a process after a while. Returns whether it was still running.
fn kill_after(mut child: Child, after: Duration) -> bool {
    std::thread::sleep(after);
    let running = child.try_wait().expect("it ran").is_none();
    child.kill().expect("it ran");
    child.wait().expect("it ran");
    running
}

/// All containers of a store.
async fn list(store: &dyn Store) -> Vec<Container> {
    let filter = ContainerFilter {
        limit: 1_000,
        ..ContainerFilter::default()
    };
    store.containers(&filter).await.expect("answers").containers
}

/// Number of containers that a copy has reached.
async fn reached(address: &Address) -> u64 {
    list(&*backend::reopen(address).await).await.len() as u64
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a node: cargo xtask test --only cassandra"]
async fn a_killed_copy_into_cassandra_continues() {
    const CONTAINERS: u64 = 60;
    let data = TempDir::new().expect("a temporary folder");
    let posted = {
        let store: Arc<dyn Store> =
            Arc::new(Sqlite::serve(data.path(), Durability::Process).expect("a store"));
        let mut posted = 0;
        for seed in 0..CONTAINERS {
            let mut container = Generated::new(seed, NOW - NOW % 60 - 1_800, Size::QUIET);
            let minutes: Vec<Segment> = (0..30).map(|_| container.seconds(60)).collect();
            posted += minutes
                .iter()
                .flat_map(|m| &m.cpu)
                .map(|cell| cell.value.ns)
                .sum::<u64>();
            put(&*store, &minutes).await;
        }
        roll_up(&store, NOW).await;
        posted
    };
    let address = backend::no_keyspace("copy_killed").await;
    backend::init(&address).await;
    let to = format!("cassandra:{address}");
    let mut kills = 0;
    let mut after = Duration::from_millis(300);
    let output = loop {
        let child = program(data.path(), &to).spawn().expect("it runs");
        if kills == 4 {
            break child.wait_with_output().expect("it ran");
        }
        // Of the last one something must be left to do.
        if kill_after(child, after) && (kills < 3 || reached(&address).await < CONTAINERS) {
            kills += 1;
            after += Duration::from_millis(150);
        } else {
            after = after.mul_f64(0.6);
            backend::init(&backend::no_keyspace("copy_killed").await).await;
        }
    };
    let (said, error) = text(&output);
    assert!(output.status.success(), "{error}");
    println!("killed {kills} times; then it said: {said}");
    assert!(said.contains(&format!("{CONTAINERS} containers")), "{said}");
    assert!(
        said.contains(&format!(
            "second  {} slots, {posted} ns of CPU",
            CONTAINERS * 1_800
        )),
        "{said}"
    );
    let before: u64 = said
        .split_once('(')
        .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok())
        .expect("a number");
    assert!(before < CONTAINERS, "nothing was left to do");
    let store = backend::reopen(&address).await;
    let list = list(&*store).await;
    let cpu: u64 = list.iter().map(|c| c.cpu_ns).sum();
    assert_eq!(cpu, posted);
}
