//! The secret by which tokens are signed.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rand::Rng;

/// Shortest secret, in bytes: as long as the hash that signs.
const MIN: usize = 32;
/// Name of the file in the data directory that holds a secret which was made here.
const FILE: &str = "secret";

/// A secret that is long enough. Its text is never shown.
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
        "the secret has {0} bytes, at least {MIN} are needed: make one with `openssl rand -hex 32`, \
         or set none and the server makes its own"
    )]
    Short(usize),
    /// The file can't be read or made.
    #[error("cannot use the secret in {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Secret {
    /// Takes `text`.
    ///
    /// # Errors
    /// When it is shorter than 32 bytes.
    pub fn new(text: &str) -> Result<Self, SecretError> {
        let bytes = text.trim().as_bytes();
        if bytes.len() < MIN {
            return Err(SecretError::Short(bytes.len()));
        }
        Ok(Self(bytes.into()))
    }

    /// The secret in the data directory, which is made at first; and where it was made, if it was now.
    ///
    /// # Errors
    /// When the file can't be read or made, or what is in it is too short.
    pub fn of_data(data: &Path) -> Result<(Self, Option<PathBuf>), SecretError> {
        let path = data.join(FILE);
        let failed = |source| SecretError::File {
            path: path.clone(),
            source,
        };
        std::fs::create_dir_all(data).map_err(failed)?;
        match std::fs::read_to_string(&path) {
            Ok(text) => return Ok((Self::new(&text)?, None)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let mut random = [0_u8; 32];
        rand::rng().fill_bytes(&mut random);
        let text = hex::encode(random);
        // Under another name first: another process that looks meanwhile sees all of it or nothing.
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
                Ok((Self::new(&text)?, None))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// The bytes to sign with.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}
