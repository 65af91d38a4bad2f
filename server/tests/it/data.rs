//! The data directory: who may read it, and what happens when it is full.

use std::fs::{Permissions, metadata, read_dir, set_permissions, write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use bubble_server::clock;
use reqwest::StatusCode;
use tempfile::TempDir;

use crate::common::{batch, client, seconds};
use crate::program::{Program, create_key};

const ID: &str = "aaaaaaaaaaaa";

fn mode(path: &Path) -> u32 {
    metadata(path).expect("it exists").permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_is_for_its_user_alone_also_what_was_there_before() {
    let (data, client) = (TempDir::new().expect("a temporary folder"), client());
    let older = data.path().join("older");
    write(&older, "of an earlier version").expect("written");
    for (path, mode) in [(data.path(), 0o755), (&older, 0o644)] {
        set_permissions(path, Permissions::from_mode(mode)).expect("changed");
    }
    let key = create_key(&data, &[]);
    let program = Program::start(&data, &client, &[]).await;
    let body = batch(vec![seconds(ID, 1, clock::now() - 3, 1, 7)]).encode();
    let answer = program.post(&client, &key, body).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(mode(data.path()), 0o700);
    let mut names = Vec::new();
    for entry in read_dir(data.path()).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        // The log is of this test, which has another mask.
        if name != "log" {
            assert_eq!(mode(&path), 0o600, "{name}");
            names.push(name);
        }
    }
    for name in [
        "bubble.sqlite",
        "bubble.sqlite-wal",
        "bubble.sqlite-shm",
        "lock",
        "older",
    ] {
        assert!(
            names.iter().any(|known| known == name),
            "{name} of {names:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ping_says_when_posts_cannot_be_stored() {
    let (data, client) = (TempDir::new().expect("a temporary folder"), client());
    let key = create_key(&data, &[]);
    // Files of at most 2 MiB: a write beyond that fails, as on a full disk.
    let limits = "trap '' XFSZ; ulimit -f 4096";
    let program = Program::start_limited(&data, &client, limits).await;
    let start = clock::now() - 600;
    let mut refused = None;
    for number in 0..500 {
        let segments =
            (0..200).map(|n| seconds(&format!("container{n:03}"), 1, start + number, 1, 7));
        let body = batch(segments.collect()).encode();
        let status = program
            .post(&client, &key, body)
            .await
            .expect("an answer")
            .status();
        if status != StatusCode::OK {
            refused = Some(status);
            break;
        }
    }
    assert_eq!(refused, Some(StatusCode::SERVICE_UNAVAILABLE));
    for _ in 0..200 {
        let ping = client.get(format!("{}/ping", program.url)).send().await;
        if ping.expect("an answer").status() == StatusCode::SERVICE_UNAVAILABLE {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("ping does not say that posts fail");
}
