//! Error messages of the program: one sentence, with what to do about it. And servers with a
//! certificate that the user's own authority has signed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;

use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

fn agent(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bubble-agent"));
    command
        .args(arguments)
        .env_clear()
        .env("BUBBLE_CONFIG", "/dev/null");
    command
}

/// The one line of a failing command.
fn refusal(arguments: &[&str]) -> String {
    let output = agent(arguments).output().expect("it runs");
    assert!(!output.status.success(), "{arguments:?} was not refused");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

/// The finding of `doctor` on the server.
fn server(arguments: &[&str]) -> String {
    let doctor = ["doctor", "--json", "--api", "KEY"];
    let output = agent(&[&doctor, arguments].concat())
        .output()
        .expect("it runs");
    let findings: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    findings["server"].as_str().expect("a server").to_owned()
}

/// A server that takes one request, and its port.
fn answering<S: Read + Write>(
    answer: &'static str,
    wrap: impl FnOnce(TcpStream) -> S + Send + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        let mut reader = BufReader::new(wrap(stream));
        let mut length = 0;
        let mut line = String::new();
        // A client that does not trust the certificate sends nothing.
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = text.trim().parse().expect("a number");
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a body");
        let stream = reader.get_mut();
        stream.write_all(answer.as_bytes()).expect("it waits");
        stream.flush().expect("it waits");
    });
    port
}

/// An authority of the user's own.
fn authority() -> (Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (parameters.self_signed(&key).unwrap(), key)
}

/// The same by https, with a certificate of the authority for localhost.
fn answering_by_tls(answer: &'static str, (authority, its_key): &(Certificate, KeyPair)) -> u16 {
    let key = KeyPair::generate().unwrap();
    let parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = parameters.signed_by(&key, authority, its_key).unwrap();
    let provider = rustls::crypto::ring::default_provider();
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .expect("they go together");
    answering(answer, move |stream| {
        let connection = ServerConnection::new(Arc::new(config)).expect("a good configuration");
        StreamOwned::new(connection, stream)
    })
}

/// The receipt for an empty batch.
const TAKEN: &str =
    "HTTP/1.1 200 OK\r\ncontent-length: 35\r\n\r\n{\"stored\":0,\"known\":0,\"refused\":[]}";

#[test]
fn a_missing_or_wrong_setting_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("agent.toml");
    std::fs::write(&config, "server = 'http://a'\nspol = '/x'\n").unwrap();
    let config = config.to_str().unwrap();
    let settings = ["--server", "https://a", "--api", "KEY"];
    for (arguments, words) in [
        (&[][..], &["--server", "BUBBLE_SERVER"][..]),
        (
            &["--server", "http://a"],
            &["--api", "bubble-server key create"],
        ),
        (&["--server", "a:8080", "--api", "KEY"], &["http://"]),
        (
            &["--config", config],
            &["\"spol\"", "did you mean \"spool\"?"],
        ),
        (&["--config", "/nowhere"], &["/nowhere"]),
        (
            &[&settings[..], &["--ca", "/nowhere"]].concat(),
            &["/nowhere"],
        ),
        (
            &[&settings[..], &["--ca", config]].concat(),
            &["agent.toml", "no certificate"],
        ),
        (&["--api-file", "/nowhere"], &["/nowhere"]),
    ] {
        let said = refusal(arguments);
        for word in words {
            assert!(said.contains(word), "{word} is not in: {said}");
        }
    }
}

#[test]
fn an_absent_server_and_a_refused_key_have_different_messages() {
    // Nothing listens there, and no other test takes it.
    let said = server(&["--server", "http://127.0.0.1:1"]);
    assert!(said.contains("Connection refused"), "{said}");

    let body = r#"{"code":"unauthorized","message":"no such key"}"#;
    let refused = format!(
        "HTTP/1.1 401 Unauthorized\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let port = answering(refused.leak(), |stream| stream);
    let said = server(&["--server", &format!("http://127.0.0.1:{port}")]);
    for word in ["401", "no such key", "bubble-server key create"] {
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn only_a_receipt_is_ok() {
    let finding = |answer: &'static str| {
        let port = answering(answer, |stream| stream);
        server(&["--server", &format!("http://127.0.0.1:{port}")])
    };
    assert_eq!(finding(TAKEN), "ok");
    let said = finding("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n<p>\n");
    assert!(said.contains("without a receipt"), "{said}");
    let said = finding("HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n");
    assert!(said.contains("redirected to \"/login\""), "{said}");
    // A server whose clock is years behind refuses the seconds of today.
    let behind = "HTTP/1.1 200 OK\r\ncontent-length: 44\r\n\r\n{\"stored\":0,\"known\":0,\"refused\":[],\"time\":1}";
    let said = finding(behind);
    assert!(said.contains("behind the clock of this host"), "{said}");
}

#[test]
fn a_servers_certificate_is_verified_by_the_users_own_authority() {
    let authority = authority();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), authority.0.pem()).unwrap();
    let file = file.path().to_str().unwrap();
    let url = |host: &str| format!("https://{host}:{}", answering_by_tls(TAKEN, &authority));
    let trusting = |host: &str| server(&["--server", &url(host), "--ca", file]);
    assert_eq!(trusting("localhost"), "ok");

    let said = server(&["--server", &url("localhost")]);
    assert!(said.contains("UnknownIssuer"), "{said}");
    let said = trusting("127.0.0.1");
    assert!(said.contains("not valid for name"), "{said}");
}
