use std::net::SocketAddr;

use clap::{CommandFactory as _, Parser as _};

use super::cli::{Cli, Command, Retention};
use super::parse_from;
use super::settings::Serve;
use crate::rollup::queue::Broker;

/// A file of settings, for as long as a test needs it.
fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("written");
    file
}

fn with_file(words: &[&str], text: &str) -> anyhow::Result<Command> {
    let file = file(text);
    let path = file.path().to_str().expect("text");
    let words = [&["bubble-server"], words, &["--config", path]].concat();
    Ok(parse_from(words, |_| None)?.command)
}

fn serve(words: &[&str], text: &str) -> Serve {
    match with_file(&[&["serve"], words].concat(), text).expect("settings") {
        Command::Serve(settings) => *settings,
        other => panic!("another command: {other:?}"),
    }
}

fn refusal(words: &[&str], text: &str) -> String {
    let refused = with_file(words, text).expect_err("refused");
    format!("{refused:#}")
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn a_flag_goes_before_the_file_and_that_before_the_default() {
    let text = "store = 'cassandra:db/k'\nrollup = 'workers'\nrabbitmq_host = 'a'\nrabbitmq_port = 1\n\
                rabbitmq_password = 'hidden'\nconsul = 'http://c:1'\nconsul_service = 'd'\n\
                retention_hours = '3d'\n";
    let words = ["retention", "listen", "--rabbitmq-host", "b"];
    let Command::Retention {
        common,
        command: Retention::Listen { broker, keep, .. },
    } = with_file(&words, text).expect("settings")
    else {
        panic!("another command");
    };
    let broker = Broker::from(broker);
    assert_eq!(broker.to_string(), "b:1, queue bubble-rollup");
    assert_eq!(broker.password.shown(), "hidden");
    assert!(!format!("{broker:?}").contains("hidden"));
    assert_eq!(common.store.to_string(), "cassandra:db:9042/k");
    let retention = keep.retention().expect("long enough");
    assert_eq!((retention.seconds, retention.hours), (3_600, 3 * 86_400));

    let consul = serve(&["--consul", "http://e:2"], text).consul();
    let consul = consul.expect("a registration");
    assert_eq!(consul.consul.as_str(), "http://e:2/");
    assert_eq!(consul.service, "d");
}

#[test]
fn every_kind_of_value_is_taken_from_the_file() {
    let text =
        "listen = '[::1]:1'\nmax_posts = 7\nlog = 'debug'\nlog_json = true\nauth_disable = false\n";
    let settings = serve(&[], text);
    assert_eq!(
        settings.listen,
        SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 1))
    );
    assert_eq!(settings.limits().posts, 7);
    assert_eq!(settings.limits().body, 16 << 20);
    assert_eq!(settings.log.filter, "debug");
    assert!(settings.log.json && !settings.auth_disable);
}

#[test]
fn a_global_flag_may_be_anywhere() {
    for words in [
        ["key", "--data", "/a", "list"],
        ["key", "list", "--data", "/a"],
    ] {
        let parsed = with_file(&words, "data = '/b'\nsecret = 'c'\n");
        let Command::Key { common, .. } = parsed.expect("settings") else {
            panic!("another command");
        };
        assert_eq!(common.data.to_str(), Some("/a"));
        assert_eq!(common.secret.as_deref(), Some("c"));
    }
}

#[test]
fn a_wrong_file_is_refused_by_line_and_name() {
    for (line, expected) in [
        (
            "retention_second = '1h'",
            [
                "line 2: unknown setting \"retention_second\"",
                "did you mean \"retention_seconds\"?",
            ],
        ),
        (
            "zzzzzzzzzz = 1",
            [
                "unknown setting \"zzzzzzzzzz\"",
                "the known ones are accept_short_secret, ",
            ],
        ),
        ("config = '/x'", ["unknown setting \"config\"", ""]),
        ("owner = 'x'", ["unknown setting \"owner\"", ""]),
        (
            "max_body = 'big'",
            [
                "line 2: invalid value 'big' for '--max-body <BYTES>'",
                "invalid digit",
            ],
        ),
        (
            "rollup = 'me'",
            ["'--rollup <WHO>'", "[possible values: builtin, workers]"],
        ),
        (
            "rabbitmq_port = 1.5",
            ["rabbitmq_port must be text or a whole number", ""],
        ),
        ("log_json = 'yes'", ["log_json must be true or false", ""]),
        ("listen", ["not valid TOML", "line 2"]),
    ] {
        // A file is checked as a whole, whichever command reads it.
        for words in [&["serve"][..], &["key", "list"]] {
            let error = refusal(words, &format!("data = '/x'\n{line}\n"));
            for part in expected {
                assert!(error.contains(part), "{line}: {error}");
            }
        }
    }
}

#[test]
fn the_variables_of_the_python_system_go_before_the_file() {
    let file = file("store = 'cassandra:file/k'\nsecret = 'of the file'\n");
    let path = file.path().to_str().expect("text");
    let parse = |words: &[&str], hosts: &str| {
        let words = [&["bubble-server", "key", "list", "--config", path], words].concat();
        let parsed = parse_from(words, |name| {
            let set = [("CASSANDRA_HOST", hosts), ("AUTH_SECRET", "old")];
            let value = set.into_iter().find(|(known, _)| *known == name);
            value.map(|(_, value)| value.to_owned())
        });
        match parsed.map(|cli| cli.command) {
            Ok(Command::Key { common, .. }) => Ok((common.store.to_string(), common.secret)),
            Ok(other) => panic!("another command: {other:?}"),
            Err(error) => Err(error),
        }
    };
    let old = Some("old".to_owned());
    let (store, secret) = parse(&[], "db1").expect("settings");
    assert_eq!((&*store, secret), ("cassandra:db1:9042/bubble", old));
    // A wrong one does not matter where a flag replaces it.
    let words = ["--store", "sqlite", "--secret", "new"];
    let (store, secret) = parse(&words, "not a host").expect("settings");
    assert_eq!((&*store, secret.as_deref()), ("sqlite", Some("new")));
    let error = parse(&[], "not a host").expect_err("refused").to_string();
    assert!(error.contains("give --store"), "{error}");
}

#[test]
fn periods_that_lose_data_are_refused() {
    for (words, expected) in [
        (["--retention-seconds", "4m"], "at least 5m"),
        (["--retention-minutes", "1h"], "at least 2h"),
        (["--retention-hours", "1d"], "at least 2d"),
    ] {
        let cli = Cli::try_parse_from([&["bubble-server", "serve"], &words[..]].concat());
        let Command::Serve(settings) = cli.expect("a command line").command else {
            panic!("another command");
        };
        let error = settings.retention().expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn an_empty_secret_is_none_wherever_it_comes_from() {
    let secret = |words: &[&str], old: &'static str, text: &str| {
        let file = file(text);
        let path = file.path().to_str().expect("text");
        let words = [&["bubble-server", "key", "list", "--config", path], words].concat();
        let parsed = parse_from(words, |name| {
            (name == "AUTH_SECRET").then(|| old.to_owned())
        });
        let Command::Key { common, .. } = parsed.expect("settings").command else {
            panic!("another command");
        };
        common.secret.filter(|text| !text.is_empty())
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(secret(&[], " mytoken ", ""), some(" mytoken "));
    assert_eq!(secret(&[], "", "secret = 'f'\n"), some("f"));
    assert_eq!(secret(&[], "", ""), None);
    assert_eq!(secret(&["--secret", ""], "old", "secret = 'f'\n"), None);
}
