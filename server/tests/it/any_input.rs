//! Queries and tokens of any text. No query is an error of the server, and each gives its memory back; no
//! text is a token unless this server signed it.

use std::cell::Cell;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bubble_server::auth::token::{Access, check};
use bubble_server::clock;
use bubble_server::http::openapi;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_oneof};
use proptest::sample::{Index, select};
use proptest::test_runner::{TestCaseError, TestRunner};
use proptest::{prop_assert, prop_assert_eq, proptest};
use reqwest::Url;
use serde_json::Value;

use crate::common::{Server, id, seconds, secret, token};

const ID: &str = "aaaaaaaaaaaa";
/// Queries that are tried.
const QUERIES: u32 = 400;
/// Answers that wait or go on for ever.
const STREAMS: [&str; 2] = ["/api/v1/containers/{id}/live", "/api/v1/watch"];
/// Pieces that valid values consist of.
const PIECES: &[&str] = &[
    "auto",
    "name",
    "bytes",
    "bytes_out",
    "cpu",
    "start",
    "path",
    "remote",
    "port",
    "exit",
    "rows",
    "asc",
    "desc",
    "csv",
    "json",
    "process",
    "file",
    "network",
    "text",
    "markdown",
    "running",
    "ended",
    "cores=8",
    "memory=16G",
    ":",
    ":>",
    ":<",
    ":=",
    ">",
    "<",
    "=",
    "*",
    "\"",
    ",",
    "-",
    " ",
    "(",
    ")",
    "label.",
    "10MiB",
    "12h",
    "0",
    "1",
    "60",
    "86400",
    "-1",
    "1e308",
    "NaN",
    "inf",
    "0.5",
    "18446744073709551615",
    "aaaaaaaaaaaa",
    "4242-1000",
    "4242-1000-1",
    "..",
    "%",
    "\u{0}",
    "é",
    "𐍈",
];

/// A value of a parameter: pieces of valid ones in any order, a time of the container, or any text.
fn value(start: u64) -> impl Strategy<Value = String> {
    prop_oneof![
        4 => vec(select(PIECES), 0..6).prop_map(|pieces| pieces.concat()),
        2 => (0_u64..120).prop_map(move |after| (start + after).to_string()),
        1 => "\\PC{0,40}",
        1 => select(PIECES).prop_map(|piece| piece.repeat(300)),
    ]
}

/// The paths that are read, each with the names of its parameters.
fn paths() -> Vec<(String, Vec<String>)> {
    let api = serde_json::to_value(openapi()).expect("JSON");
    let paths = api["paths"].as_object().expect("paths");
    let reads = paths.iter().filter_map(|(path, methods)| {
        let names = methods.get("get")?["parameters"].as_array()?.iter();
        let names = names.filter(|parameter| parameter["in"] == "query");
        let names = names.filter_map(|parameter| Some(parameter["name"].as_str()?.to_owned()));
        Some((path.clone(), names.collect::<Vec<_>>()))
    });
    reads
        .filter(|(path, names)| !names.is_empty() && !STREAMS.contains(&path.as_str()))
        .collect()
}

#[test]
fn any_query_is_answered() {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let start = clock::now() - 200;
    let server = runtime.block_on(async {
        let server = Server::start().await;
        server.post(vec![seconds(ID, 1, start, 60, 7)]).await;
        server
    });
    let paths = paths();
    assert!(paths.len() > 6, "{paths:?}");
    let config = ProptestConfig {
        cases: QUERIES,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let query = (any::<Index>(), vec((any::<Index>(), value(start)), 0..6));
    let good = Cell::new(0);
    let tried = TestRunner::new(config).run(&query, |(path, parameters)| {
        let (path, names) = path.get(&paths);
        let mut url = Url::parse(&server.url).expect("a URL");
        url.set_path(&path.replace("{id}", ID));
        for (name, value) in &parameters {
            let name: &String = name.get(names);
            url.query_pairs_mut().append_pair(name, value);
        }
        let answer = server
            .client
            .get(url.clone())
            .bearer_auth(&server.admin)
            .send();
        let (status, body) = runtime.block_on(async {
            let answer = answer.await.expect("an answer");
            (answer.status(), answer.text().await.expect("text"))
        });
        prop_assert!(!status.is_server_error(), "{url} is {status}: {body}");
        if status.is_client_error() {
            let error: Result<Value, _> = serde_json::from_str(&body);
            let message = error
                .map(|error| error["message"].clone())
                .unwrap_or_default();
            prop_assert!(message.is_string(), "{url} is {status}: {body}");
        } else {
            good.set(good.get() + 1);
        }
        Ok::<_, TestCaseError>(())
    });
    tried.expect("every query is answered");
    let good = good.get();
    println!("{good} of {QUERIES} queries are valid");
    assert!(good > QUERIES / 20, "{good} queries are valid");
    let memory = &server.state.memory;
    let reserved = [&memory.queries, &memory.large_query].map(|pool| pool.reserved());
    assert_eq!(reserved, [0, 0], "memory that no query holds");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_no_token(text in "\\PC{0,200}", parts in vec(vec(any::<u8>(), 0..80), 0..4)) {
        prop_assert!(check(&secret(), &text).is_err());
        let parts: Vec<String> = parts.iter().map(|part| URL_SAFE_NO_PAD.encode(part)).collect();
        prop_assert!(check(&secret(), &parts.join(".")).is_err());
    }

    /// A changed character either changes no bit that is signed, or the token is refused.
    #[test]
    fn a_changed_token_is_refused(at in any::<Index>(), to in "[ -~]", admin in any::<bool>()) {
        let access = match admin {
            true => Access::Admin,
            false => Access::Container(id(ID)),
        };
        let token = token(&access);
        let at = at.index(token.len());
        let changed = format!("{}{to}{}", &token[..at], &token[at + 1..]);
        match check(&secret(), &changed) {
            Ok(valid) => prop_assert_eq!((valid.access, &changed), (access, &token)),
            Err(_) => prop_assert!(changed != token),
        }
    }

    /// The claims are of any JSON, and the signature is ours.
    #[test]
    fn signed_claims_of_any_kind_do_not_panic(claims in vec((select(&["aud", "exp", "nbf", "jti", "container", "admin", "link"][..]), select(&["null", "0", "-1", "1e300", "true", "\"urn:cb/stat\"", "[\"urn:cb/stat\"]", "{}", "\"aaaaaaaaaaaa\"", "4102444800", "{\"container\":\"x\",\"from\":1e300}", "[]"][..])), 0..8)) {
        let fields: Vec<String> = claims.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let signed = [
            URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#),
            URL_SAFE_NO_PAD.encode(format!("{{{}}}", fields.join(","))),
        ].join(".");
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret().bytes());
        let signature = URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, signed.as_bytes()));
        if let Ok(valid) = check(&secret(), &format!("{signed}.{signature}")) {
            // Nothing without an expiry of its own is valid.
            prop_assert!(claims.iter().any(|(name, _)| *name == "exp"));
            prop_assert!(valid.expires + 10 > clock::now());
        }
    }
}
