//! Posts over https, for which the chisel needs LuaSec.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bubble_testing::captures;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use crate::collector::{Answer, Collector};
use crate::outage::nothing_arrives;
use crate::sysdig::Sysdig;

/// Makes a self-signed certificate for `localhost`, and its key.
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

/// Starts a collector with such a certificate.
fn collector(folder: &Path) -> Collector {
    certify(folder);
    let certificate = CertificateDer::from_pem_file(folder.join("certificate.pem"));
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem"));
    let provider = rustls::crypto::ring::default_provider();
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .expect("supported versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.expect("PEM")], key.expect("PEM"))
        .expect("a certificate with its key");
    let config = Arc::new(config);
    let wrap = move |stream: TcpStream| {
        let connection = ServerConnection::new(config.clone()).expect("a valid configuration");
        StreamOwned::new(connection, stream)
    };
    Collector::start_with(0, |_| Answer::Status(200), wrap)
}

#[test]
fn the_servers_certificate_is_verified() {
    let Some(folder) = captures::folder_if_present() else {
        return;
    };
    let capture = folder.join("captures/502error.scap");
    let own = TempDir::new().expect("a temporary folder");
    let collector = collector(own.path());
    let url = |host: &str| format!("https://{host}:{}/event/api/KEY", collector.port);
    let certificate = own.path().join("certificate.pem");
    let trust = [("SSL_CERT_FILE", certificate.to_str().expect("text"))];

    let stderr = nothing_arrives(&capture, &url("localhost"), &[]);
    assert!(stderr.contains("certificate verify failed"), "{stderr}");
    let stderr = nothing_arrives(&capture, &url("127.0.0.1"), &trust);
    assert!(
        stderr.contains("the certificate is not for 127.0.0.1"),
        "{stderr}"
    );

    let ended = Sysdig::start(&capture, "sysdigdocker", &url("localhost"), &trust).wait();
    assert!(ended.success && ended.stderr.is_empty(), "{}", ended.stderr);
    assert_eq!(collector.stop().len(), 26);
}
