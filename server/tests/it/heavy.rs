//! The real program on 1 GiB, through what takes most memory, all at once: it is never killed, answers
//! meanwhile, and nobody gets a wrong answer.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bubble_server::auth::token::Access;
use bubble_server::clock;
use futures_util::future::{join, join_all};
use reqwest::{Client, StatusCode};
use tempfile::TempDir;

use crate::common::{batch, client, token};
use crate::memory::{ID, heavy};
use crate::program::{Program, create_key};

const LIMIT: u64 = 1 << 30;
/// Length of the range that is read: ten seconds in each post.
const POSTS: u64 = 60;
/// Of each kind, at once.
const HEAVY: u64 = 16;
const VIEWERS: usize = 256;
const TOKENS: usize = 8;
const STRANGERS: usize = 200;

/// A cgroup with a limit of memory, until it is dropped.
struct Limited(PathBuf);

impl Limited {
    /// `None`: this process may not make one.
    fn create() -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").expect("a list of mounts");
        let has_memory = |line: &&str| {
            let mut words = line.split(' ').skip(2);
            let (kind, options) = (words.next(), words.next());
            kind == Some("cgroup2")
                || (kind == Some("cgroup")
                    && options.is_some_and(|all| all.split(',').any(|one| one == "memory")))
        };
        let mut folders = mounts.lines().filter(has_memory);
        folders.find_map(|line| {
            let mount = Path::new(line.split(' ').nth(1)?);
            let group = Self(mount.join(format!("bubble-heavy-{}", std::process::id())));
            fs::create_dir(&group.0).ok()?;
            // Dropped, and so removed, where the controller is that of another hierarchy.
            let limited = ["memory.max", "memory.limit_in_bytes"]
                .iter()
                .any(|file| group.has(file) && group.write(file, LIMIT));
            limited.then_some(group)
        })
    }

    fn has(&self, file: &str) -> bool {
        self.0.join(file).exists()
    }

    fn write(&self, file: &str, value: u64) -> bool {
        fs::write(self.0.join(file), value.to_string()).is_ok()
    }

    /// How many processes the kernel has killed because the memory was not enough.
    fn kills(&self) -> u64 {
        let read = |file| fs::read_to_string(self.0.join(file));
        let events = read("memory.events").or_else(|_| read("memory.oom_control"));
        let events = events.expect("events of the cgroup");
        let kills = events
            .lines()
            .find_map(|line| line.strip_prefix("oom_kill "));
        kills.expect("their number").parse().expect("a number")
    }

    /// The highest use of memory, with the page cache, in bytes.
    fn peak(&self) -> u64 {
        let read = |file| fs::read_to_string(self.0.join(file));
        let peak = read("memory.peak").or_else(|_| read("memory.max_usage_in_bytes"));
        let peak = peak.expect("the peak of the cgroup");
        peak.trim().parse().expect("a number")
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            // The program has just been killed.
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// One server, and what its users do.
struct Site {
    program: Program,
    client: Client,
    key: String,
    start: u64,
}

impl Site {
    async fn post(&self, second: u64, source: u8, processes: u32) -> StatusCode {
        let body = batch(vec![heavy(self.start + second, source, processes)]).encode();
        let answer = self.program.post(&self.client, &self.key, body).await;
        answer.expect("an answer").status()
    }

    /// Reads all of an answer. Its length is not known before.
    async fn read(&self, path: &str) -> StatusCode {
        let (url, to) = (&self.program.url, self.start + POSTS * 10);
        let url = format!(
            "{url}/api/v1/containers/{ID}/{path}&from={}&to={to}",
            self.start
        );
        let answer = self.client.get(url).bearer_auth(token(&Access::Admin));
        let answer = answer.send().await.expect("an answer");
        let status = answer.status();
        answer.bytes().await.expect("a whole body");
        status
    }

    /// Opens a stream, and holds it.
    async fn watch(&self, token: &str) -> Option<reqwest::Response> {
        let url = format!("{}/api/v1/containers/{ID}/live", self.program.url);
        let answer = self.client.get(url).bearer_auth(token).send().await;
        let answer = answer.expect("an answer");
        let is_patient = matches!(
            answer.status(),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        );
        assert!(is_patient || answer.status() == StatusCode::OK);
        (!is_patient).then_some(answer)
    }

    /// Pings until `is_over`. Each ping must be answered. Returns how many were.
    async fn ping(&self, is_over: &AtomicBool) -> u64 {
        let mut pings = 0;
        while !is_over.load(Ordering::SeqCst) {
            let url = format!("{}/ping", self.program.url);
            let answer = self.client.get(url).send().await.expect("an answer");
            assert_eq!(answer.status(), StatusCode::OK);
            pings += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        pings
    }
}

/// A connection that sends the beginning of a request, and no more.
fn stranger(program: &Program) -> TcpStream {
    let address = program.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream
        .write_all(b"POST /api/v1/batch HTTP/1.1\r\n")
        .expect("it reads");
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn heavy_posts_reads_and_viewers_at_once_fit_into_1_gib() {
    let (data, client) = (TempDir::new().expect("a temporary folder"), client());
    let key = create_key(&data, &[]);
    let limited = Limited::create();
    let program = match &limited {
        // Its own limit is derived from that of the cgroup.
        Some(group) => {
            let procs = group.0.join("cgroup.procs");
            let enter = format!("echo $$ >'{}' || exit 1", procs.display());
            Program::start_limited(&data, &client, &enter).await
        }
        None => {
            println!("NOT TESTED: a cgroup of 1 GiB, which only root can make");
            let limit = LIMIT.to_string();
            Program::start(&data, &client, &[("BUBBLE_MEMORY_LIMIT", &limit)]).await
        }
    };
    let site = Site {
        program,
        client,
        key,
        start: (clock::now() - POSTS * 10 - 60) / 60 * 60,
    };
    for post in 0..POSTS {
        assert_eq!(site.post(post * 10, 1, 55).await, StatusCode::OK);
    }
    let tokens: Vec<String> = (0..TOKENS).map(|_| token(&Access::Admin)).collect();
    let viewers = (0..VIEWERS).map(|number| site.watch(&tokens[number % TOKENS]));
    let viewers = join_all(viewers).await;
    let strangers: Vec<TcpStream> = (0..STRANGERS).map(|_| stranger(&site.program)).collect();

    // After the range that is read: what a query needs does not depend on which of them come first.
    let later = |number: u64| POSTS * 10 + number % 4 * 10;
    let posts = (0..HEAVY).map(|number| site.post(later(number), 2 + number as u8, 120));
    let summaries = (0..HEAVY).map(|_| site.read("summary?step=1"));
    let tables = (0..HEAVY).map(|_| site.read("table?step=1&kind=file&limit=100"));
    let is_over = AtomicBool::new(false);
    let work = async {
        let reads = join(join_all(summaries), join_all(tables));
        let done = join(join_all(posts), reads).await;
        is_over.store(true, Ordering::SeqCst);
        done
    };
    let ((posts, (summaries, tables)), pings) = join(work, site.ping(&is_over)).await;
    drop(strangers);

    let streams = viewers.iter().flatten().count();
    let peak = site.program.peak_memory() as u64;
    let group = limited.as_ref().map(Limited::peak);
    println!(
        "{streams} streams, {pings} pings, posts {posts:?}, summaries {summaries:?}, tables {tables:?}; \
         peak {} MiB, of the cgroup with its page cache {:?} MiB",
        peak >> 20,
        group.map(|bytes| bytes >> 20),
    );
    assert!(peak < LIMIT, "{} MiB", peak >> 20);
    for kind in [&posts, &summaries, &tables] {
        assert!(kind.contains(&StatusCode::OK), "{kind:?}");
        let others = kind.iter().filter(|status| **status != StatusCode::OK);
        // Who gets no memory is asked for patience.
        for status in others {
            let asks = [
                StatusCode::TOO_MANY_REQUESTS,
                StatusCode::SERVICE_UNAVAILABLE,
            ];
            assert!(asks.contains(status), "{status}");
        }
    }
    assert!(streams > 0 && pings > 0);
    drop(viewers);
    // Some were sent away above, and come again.
    assert_eq!(site.post(0, 1, 55).await, StatusCode::OK);
    drop(site);
    if let Some(group) = &limited {
        assert_eq!(group.kills(), 0);
    }
}
