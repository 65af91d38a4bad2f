//! TLS of the connection to the server.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// TLS that trusts the public authorities and those in the file `ca`. The public ones are built in,
/// as an image FROM scratch has no files of them.
///
/// # Errors
/// When `ca` cannot be used.
pub(super) fn config(ca: Option<&Path>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(path) = ca {
        let invalid = || format!("{} has no certificate (PEM) that is valid", path.display());
        let pem = std::fs::read(path)
            .with_context(|| format!("cannot read the certificates {}", path.display()))?;
        let mut found = false;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| anyhow!("{error:?}"));
            roots
                .add(certificate.with_context(invalid)?)
                .with_context(invalid)?;
            found = true;
        }
        if !found {
            bail!(invalid());
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("cannot prepare TLS")?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
