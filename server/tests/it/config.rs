//! Settings, and the messages of the program.

use std::process::{Command, Output};

use tempfile::TempDir;

fn bubble(data: &TempDir, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bubble-server"))
        .args(args)
        .env_clear()
        .env("BUBBLE_DATA", data.path())
        .output()
        .expect("it runs")
}

fn refusal(data: &TempDir, args: &[&str]) -> String {
    let output = bubble(data, args);
    assert!(!output.status.success(), "{args:?} was not refused");
    String::from_utf8(output.stderr).expect("text")
}

fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder")
}

#[test]
fn an_unknown_setting_is_refused_by_name() {
    let data = folder();
    let path = data.path().join("server.toml");
    std::fs::write(
        &path,
        "listen = \"127.0.0.1:0\"\nretention_second = \"1h\"\n",
    )
    .expect("written");
    let path = path.to_str().expect("text");
    let error = refusal(&data, &["serve", "--config", path]);
    assert!(
        error.contains("retention_second") && error.contains("line 2"),
        "{error}"
    );
}

#[test]
fn a_short_secret_is_refused() {
    let data = folder();
    let error = refusal(
        &data,
        &["serve", "--secret", "short", "--listen", "127.0.0.1:0"],
    );
    assert!(error.contains("at least 32"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn a_port_in_use_is_one_sentence() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let data = folder();
    let error = refusal(&data, &["serve", "--log", "error", "--listen", &address]);
    assert!(
        error.contains("is in use") && error.contains("--listen"),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn a_data_directory_is_served_once() {
    use bubble_server::store::sqlite::{Durability, Sqlite};
    let data = folder();
    let _held = Sqlite::serve(data.path(), Durability::Process).expect("an empty store");
    let error = refusal(
        &data,
        &["serve", "--log", "error", "--listen", "127.0.0.1:0"],
    );
    assert!(error.contains("another bubble-server"), "{error}");
}

#[test]
fn workers_need_a_store_that_they_share() {
    let data = folder();
    for args in [
        &["retention", "retain", "--resolution", "m"][..],
        &["retention", "listen"],
        &["serve", "--rollup", "workers"],
    ] {
        let error = refusal(&data, args);
        assert!(
            error.contains("SQLite") && error.contains("workers"),
            "{error}"
        );
    }
}

#[test]
fn recordings_are_listed_and_only_one_that_exists_is_deleted() {
    let data = folder();
    let list = bubble(&data, &["recording", "list"]);
    assert!(list.status.success());
    assert_eq!(
        String::from_utf8(list.stdout)
            .expect("text")
            .lines()
            .count(),
        1
    );
    let error = refusal(&data, &["recording", "delete", &"0a".repeat(16)]);
    assert!(error.contains("recording list"), "{error}");
    let error = refusal(&data, &["recording", "delete", "x"]);
    assert!(error.contains("hexadecimal"), "{error}");
}

#[test]
fn keys_are_shown_once_and_deleted() {
    let data = folder();
    let made = bubble(&data, &["key", "create", "--owner", "node7"]);
    assert!(made.status.success());
    let key = String::from_utf8(made.stdout).expect("text");
    let (id, secret) = key.trim().split_once('.').expect("id and secret");
    let list = String::from_utf8(bubble(&data, &["key", "list"]).stdout).expect("text");
    assert!(list.contains(id) && list.contains("node7"), "{list}");
    let database = std::fs::read(data.path().join("bubble.sqlite")).expect("there");
    let shown = |bytes: &[u8]| bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
    assert!(!shown(&database) && !list.contains(secret));
    assert!(bubble(&data, &["key", "delete", id]).status.success());
    let error = refusal(&data, &["key", "delete", id]);
    assert!(error.contains("key list"), "{error}");
}

#[test]
fn tokens_are_made_listed_and_revoked() {
    let data = folder();
    let run = |args: &[&str]| {
        let output = bubble(&data, args);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {error}");
        String::from_utf8(output.stdout).expect("text")
    };
    let token = run(&["token", "--container", "5961688fa2f4"]);
    run(&["token", "--admin", "--days", "2"]);
    let list = run(&["token", "list"]);
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 3, "{list}");
    assert!(
        list.contains("5961688fa2f4") && list.contains("everything"),
        "{list}"
    );
    run(&["token", "revoke", token.trim()]);
    let list = run(&["token", "list"]);
    let revoked = list.lines().filter(|line| line.ends_with("yes"));
    let revoked: Vec<&str> = revoked.collect();
    assert!(
        matches!(revoked[..], [one] if one.contains("5961688fa2f4")),
        "{list}"
    );
    let error = refusal(&data, &["token", "revoke", "a.b.c"]);
    assert!(error.contains("not valid"), "{error}");
    let error = refusal(&data, &["token"]);
    assert!(error.contains("--admin"), "{error}");
    let error = refusal(&data, &["container", "release", "5961688fa2f4"]);
    assert!(error.contains("no container was bound"), "{error}");
    let error = refusal(&data, &["host", "delete", "node7"]);
    assert!(error.contains("host list"), "{error}");
}
