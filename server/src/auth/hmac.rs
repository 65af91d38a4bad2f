//! HMAC for the JWT library, computed by ring.
//!
//! The library's own providers bring RSA and elliptic curves with them, which
//! nothing here uses.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey};
use ring::hmac;

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// A key with its algorithm: signs and verifies.
struct Hmac {
    key: hmac::Key,
    algorithm: Algorithm,
}

/// Makes the JWT library use this module. Must be called before its first use; may be called again.
pub(super) fn install() {
    // Fails if a provider is installed already, which can only be this one.
    let _ = PROVIDER.install_default();
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    let hmac = Hmac::new(*algorithm, key.family(), key.as_bytes())?;
    Ok(Box::new(hmac))
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    let hmac = Hmac::new(*algorithm, key.family(), key.try_get_as_bytes()?)?;
    Ok(Box::new(hmac))
}

impl Hmac {
    fn new(algorithm: Algorithm, family: AlgorithmFamily, secret: &[u8]) -> Result<Self, Error> {
        if family != AlgorithmFamily::Hmac {
            return Err(ErrorKind::InvalidKeyFormat.into());
        }
        let hash = match algorithm {
            Algorithm::HS256 => hmac::HMAC_SHA256,
            Algorithm::HS384 => hmac::HMAC_SHA384,
            Algorithm::HS512 => hmac::HMAC_SHA512,
            _ => return Err(ErrorKind::InvalidAlgorithm.into()),
        };
        Ok(Self {
            key: hmac::Key::new(hash, secret),
            algorithm,
        })
    }
}

impl Signer<Vec<u8>> for Hmac {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(hmac::sign(&self.key, message).as_ref().to_vec())
    }
}

impl Verifier<Vec<u8>> for Hmac {
    /// Compares in constant time.
    fn verify(&self, message: &[u8], tag: &Vec<u8>) -> Result<(), signature::Error> {
        hmac::verify(&self.key, message, tag).map_err(|_| signature::Error::new())
    }
}

impl JwtSigner for Hmac {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl JwtVerifier for Hmac {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};

    use super::install;

    /// RFC 7515, appendix A.1.
    #[test]
    fn the_example_of_the_standard_is_signed_and_verified() {
        install();
        let secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let message = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4\
                       MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let tag = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let message = message.as_bytes();

        let key = EncodingKey::from_base64_secret(&standard(secret)).expect("a key");
        let signed = crypto::sign(message, &key, Algorithm::HS256).expect("signed");
        assert_eq!(signed, tag);

        let key = DecodingKey::from_base64_secret(&standard(secret)).expect("a key");
        let verify = |message: &[u8]| crypto::verify(tag, message, &key, Algorithm::HS256);
        assert!(verify(message).expect("checked"));
        assert!(!verify(&message[1..]).expect("checked"));
        assert!(crypto::verify(tag, message, &key, Algorithm::RS256).is_err());
    }

    /// The same in base64's standard alphabet, padded.
    fn standard(url_safe: &str) -> String {
        let text = url_safe.replace('-', "+").replace('_', "/");
        let padding = "=".repeat(text.len().next_multiple_of(4) - text.len());
        text + &padding
    }
}
