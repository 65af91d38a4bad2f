//! The secret that signs tokens.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rand::Rng;

/// Minimum length of a secret in bytes: that of the hash.
const MIN_BYTES: usize = 32;
/// File in the data directory with a secret made by this server.
const FILE: &str = "secret";

/// A secret. Its text is never shown.
#[derive(Clone)]
pub struct Secret(Box<[u8]>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It is too short.
    #[error(
        "the secret has {0} bytes, at least {MIN_BYTES} are needed: make one with `openssl rand -hex 32`, \
         set none and the server makes its own, or keep it with --accept-short-secret \
         (BUBBLE_ACCEPT_SHORT_SECRET=1), so that existing links stay valid"
    )]
    Short(usize),
    /// It is empty.
    #[error("the secret is empty")]
    Empty,
    /// The file cannot be read or made.
    #[error("cannot use the secret in {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
}

impl Secret {
    /// Uses `text` as it is.
    ///
    /// # Errors
    /// When it is shorter than 32 bytes.
    pub fn new(text: &str) -> Result<Self, SecretError> {
        let secret = Self::of_any_length(text)?;
        match secret.is_short() {
            true => Err(SecretError::Short(text.len())),
            false => Ok(secret),
        }
    }

    /// Uses `text` as it is, short or not.
    ///
    /// # Errors
    /// When it is empty.
    pub fn of_any_length(text: &str) -> Result<Self, SecretError> {
        match text {
            "" => Err(SecretError::Empty),
            text => Ok(Self(text.as_bytes().into())),
        }
    }

    /// Whether it is so short that it can be guessed.
    pub fn is_short(&self) -> bool {
        self.0.len() < MIN_BYTES
    }

    /// Reads the secret in the data directory. Makes it if it does not exist, and returns its path then.
    ///
    /// # Errors
    /// When the file cannot be read or made, or its secret is too short.
    pub fn of_data(data: &Path) -> Result<(Self, Option<PathBuf>), SecretError> {
        let path = data.join(FILE);
        let failed = |source| SecretError::File {
            path: path.clone(),
            source,
        };
        std::fs::create_dir_all(data).map_err(failed)?;
        match std::fs::read_to_string(&path) {
            Ok(text) => return Ok((Self::new(text.trim())?, None)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let mut random = [0_u8; 32];
        rand::rng().fill_bytes(&mut random);
        let text = hex::encode(random);
        // Written under another name, then linked: another process sees the whole file or none.
        let mut draft = data.join(FILE);
        draft.set_extension(format!("{}", std::process::id()));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)
            .map_err(failed)?;
        writeln!(file, "{text}").map_err(failed)?;
        file.sync_all().map_err(failed)?;
        let linked = std::fs::hard_link(&draft, &path);
        std::fs::remove_file(&draft).map_err(failed)?;
        match linked {
            Ok(()) => Ok((Self::new(&text)?, Some(path))),
            // Another process was first: its secret counts.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let text = std::fs::read_to_string(&path).map_err(failed)?;
                Ok((Self::new(text.trim())?, None))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// The bytes to sign with.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}
