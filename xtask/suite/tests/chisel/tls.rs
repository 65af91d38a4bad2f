//! https, for which the chisel needs LuaSec.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bubble_common::testing::others;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use crate::collector::{Answer, Collector};
use crate::server_away::nothing_arrives;
use crate::sysdig::Sysdig;

/// A certificate for `localhost`, which signs itself, and its key.
fn certify(folder: &Path) {
    let output = Command::new("openssl")
        .args(["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=x"])
        .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", "key.pem", "-out", "certificate.pem"])
        .current_dir(folder)
        .output()
        .expect("openssl must be installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A collector with that certificate.
fn collector(folder: &Path) -> Collector {
    certify(folder);
    let certificate = CertificateDer::from_pem_file(folder.join("certificate.pem"));
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem"));
    let provider = rustls::crypto::ring::default_provider();
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.expect("PEM")], key.expect("PEM"))
        .expect("they go together");
    let config = Arc::new(config);
    let wrap = move |stream: TcpStream| {
        let connection = ServerConnection::new(config.clone()).expect("a good configuration");
        StreamOwned::new(connection, stream)
    };
    Collector::start_with(0, |_| Answer::Status(200), wrap)
}

#[test]
fn the_servers_certificate_is_verified() {
    let Some(folder) = others() else {
        return;
    };
    let capture = folder.join("captures/502error.scap");
    let own = TempDir::new().expect("a temporary folder");
    let collector = collector(own.path());
    let url = |host: &str| format!("https://{host}:{}/event/api/KEY", collector.port);
    let certificate = own.path().join("certificate.pem");
    let trust = [("SSL_CERT_FILE", certificate.to_str().expect("text"))];

    let said = nothing_arrives(&capture, &url("localhost"), &[]);
    assert!(said.contains("certificate verify failed"), "{said}");
    let said = nothing_arrives(&capture, &url("127.0.0.1"), &trust);
    assert!(
        said.contains("the certificate is not one for 127.0.0.1"),
        "{said}"
    );

    let ended = Sysdig::start(&capture, "sysdigdocker", &url("localhost"), &trust).wait();
    assert!(ended.success && ended.said.is_empty(), "{}", ended.said);
    assert_eq!(collector.stop().len(), 26);
}
