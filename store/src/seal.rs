//! Sealing: AES-256-GCM under a master key, bound to the row that holds the sealed value.

use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The key that seals credentials. Wiped from memory when dropped; `Debug` shows its fingerprint only.
#[derive(Clone)]
pub struct MasterKey {
    bytes: Zeroizing<[u8; 32]>,
    id: String,
}

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The text is not a key.
    #[error("the master key must be 32 bytes, as 64 hexadecimal digits or as base64")]
    Text,
    /// The key file cannot be read or made.
    #[error("the key file {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others may read the key file.
    #[error("others than its owner may read the key file {0}; `chmod 600` it")]
    Permissions(PathBuf),
}

impl MasterKey {
    /// The key as text: 64 hexadecimal digits, or base64 of 32 bytes.
    ///
    /// # Errors
    /// `Text`, which does not repeat what was given.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let _ = text;
        todo!()
    }

    /// The key in a file; makes one with mode 0600 when there is no such file.
    ///
    /// # Errors
    /// When the file cannot be read or made, holds no key, or others may read it.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        let _ = path;
        todo!()
    }

    /// The key's fingerprint: names it without telling it.
    #[must_use]
    pub fn id(&self) -> &str {
        let _ = &self.bytes;
        &self.id
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MasterKey({})", self.id)
    }
}
