//! Sealing: AES-256-GCM under a master key, bound to the row that holds the sealed value.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use rand::TryRngCore;
use rand::rngs::OsRng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Bytes of a key: AES-256.
const KEY_BYTES: usize = 32;
/// Bytes of a nonce: 96 random bits, as NIST SP 800-38D section 8.2.2 allows for up to 2^32 values under one key.
const NONCE_BYTES: usize = 12;

/// The key that seals credentials. Wiped from memory when dropped; `Debug` shows its fingerprint only.
#[derive(Clone)]
pub struct MasterKey {
    bytes: Zeroizing<[u8; KEY_BYTES]>,
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

/// Why something was not sealed or not unsealed. Says nothing of the content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SealError {
    #[error("the machine gives no randomness")]
    Randomness,
    #[error("sealed with master key {0}, which is not the one given")]
    OtherKey(String),
    #[error("it was changed since it was sealed, or sealed for another row")]
    Refused,
}

/// A sealed value.
#[derive(Debug, Clone)]
pub(crate) struct Sealed {
    pub(crate) key_id: String,
    pub(crate) nonce: Vec<u8>,
    pub(crate) bytes: Vec<u8>,
}

impl MasterKey {
    /// The key as text: 64 hexadecimal digits, or base64 of 32 bytes.
    ///
    /// # Errors
    /// `Text`, which does not repeat what was given.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let decoded = if text.len() == KEY_BYTES * 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            from_hex(text)
        } else {
            [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
                .iter()
                .find_map(|alphabet| alphabet.decode(text).ok())
                .map(Zeroizing::new)
        };
        let decoded = decoded.ok_or(KeyError::Text)?;
        let bytes: [u8; KEY_BYTES] = decoded.as_slice().try_into().map_err(|_| KeyError::Text)?;
        Ok(Self::from_bytes(Zeroizing::new(bytes)))
    }

    /// The key in a file; makes one with mode 0600 when there is no such file.
    ///
    /// # Errors
    /// When the file cannot be read or made, holds no key, or others may read it.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::File {
            path: path.to_owned(),
            source,
        };
        match std::fs::File::open(path) {
            Ok(mut file) => {
                refuse_shared(&file, path)?;
                let mut text = Zeroizing::new(String::new());
                file.read_to_string(&mut text).map_err(failed)?;
                Self::from_text(&text)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mut bytes = Zeroizing::new([0u8; KEY_BYTES]);
                OsRng
                    .try_fill_bytes(bytes.as_mut_slice())
                    .map_err(|error| failed(std::io::Error::other(error.to_string())))?;
                let mut file = create_private(path).map_err(failed)?;
                file.write_all(to_hex(bytes.as_slice()).as_bytes())
                    .and_then(|()| file.write_all(b"\n"))
                    .and_then(|()| file.sync_all())
                    // The file's name, too: something may be sealed with the key at once.
                    .and_then(|()| sync_folder_of(path))
                    .map_err(failed)?;
                Ok(Self::from_bytes(bytes))
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn from_bytes(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let mut digest = Sha256::new();
        digest.update(b"concord master key fingerprint\0");
        digest.update(bytes.as_slice());
        let id = to_hex(&digest.finalize()[..8]).to_string();
        Self { bytes, id }
    }

    /// The key's fingerprint: names it without telling it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Seals a value for the row that `place` names.
    pub(crate) fn seal(&self, place: &[&str], plain: &[u8]) -> Result<Sealed, SealError> {
        let mut nonce = [0u8; NONCE_BYTES];
        OsRng
            .try_fill_bytes(&mut nonce)
            .map_err(|_| SealError::Randomness)?;
        let payload = Payload {
            msg: plain,
            aad: &self.bound(place),
        };
        let bytes = self
            .cipher()
            .encrypt(Nonce::from_slice(&nonce), payload)
            .map_err(|_| SealError::Refused)?;
        Ok(Sealed {
            key_id: self.id.clone(),
            nonce: nonce.to_vec(),
            bytes,
        })
    }

    /// Unseals a value of the row that `place` names.
    pub(crate) fn unseal(&self, place: &[&str], sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, SealError> {
        if sealed.key_id != self.id {
            return Err(SealError::OtherKey(sealed.key_id.clone()));
        }
        if sealed.nonce.len() != NONCE_BYTES {
            return Err(SealError::Refused);
        }
        let payload = Payload {
            msg: sealed.bytes.as_slice(),
            aad: &self.bound(place),
        };
        self.cipher()
            .decrypt(Nonce::from_slice(&sealed.nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| SealError::Refused)
    }

    /// The associated data: which row, in parts that cannot run into each other, and which key.
    fn bound(&self, place: &[&str]) -> Vec<u8> {
        let mut bound = b"concord sealed 1".to_vec();
        for part in [self.id.as_str()].iter().chain(place) {
            bound.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bound.extend_from_slice(part.as_bytes());
        }
        bound
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(self.bytes.as_slice().into())
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MasterKey({})", self.id)
    }
}

/// Lower-case hexadecimal digits; wiped when dropped.
pub(crate) fn to_hex(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 2));
    for byte in bytes {
        // Writing into a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn from_hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() / 2));
    for pair in text.as_bytes().chunks(2) {
        let high = char::from(*pair.first()?).to_digit(16)?;
        let low = char::from(*pair.get(1)?).to_digit(16)?;
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    Some(bytes)
}

/// A new file that only its owner can read.
/// Waits until the names in a file's folder are on the disk.
///
/// # Errors
/// What the system says.
pub fn sync_folder_of(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

pub(crate) fn create_private(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(unix)]
fn refuse_shared(file: &std::fs::File, path: &Path) -> Result<(), KeyError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file
        .metadata()
        .map_err(|source| KeyError::File {
            path: path.to_owned(),
            source,
        })?
        .permissions()
        .mode();
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(KeyError::Permissions(path.to_owned()))
    }
}

#[cfg(not(unix))]
fn refuse_shared(_file: &std::fs::File, _path: &Path) -> Result<(), KeyError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_the_same_from_hex_and_base64() {
        let hex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
        let key = MasterKey::from_text(hex).unwrap();
        let same = MasterKey::from_text("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n").unwrap();
        assert_eq!(key.id(), same.id());
        assert_eq!(key.id().len(), 16);
        assert!(!format!("{key:?}").contains("0102"));
    }

    #[test]
    fn text_that_is_no_key_is_refused_without_repeating_it() {
        for text in [
            "",
            "hunter2",
            "00",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==",
        ] {
            let error = MasterKey::from_text(text).unwrap_err();
            assert!(text.is_empty() || !error.to_string().contains(text));
        }
    }

    #[test]
    fn a_sealed_value_opens_only_in_its_place_untouched_and_with_its_key() {
        let key = MasterKey::from_text(&"ab".repeat(32)).unwrap();
        let place = ["org_1", "conn_1", "credentials"];
        let sealed = key.seal(&place, b"hunter2").unwrap();
        assert_eq!(key.unseal(&place, &sealed).unwrap().as_slice(), b"hunter2");
        for other in [
            ["org_2", "conn_1", "credentials"],
            ["org_1", "conn_2", "credentials"],
            ["org_1c", "onn_1", "credentials"],
        ] {
            assert_eq!(key.unseal(&other, &sealed).unwrap_err(), SealError::Refused);
        }
        let mut tampered = sealed.clone();
        tampered.bytes[0] ^= 1;
        assert_eq!(key.unseal(&place, &tampered).unwrap_err(), SealError::Refused);
        let other = MasterKey::from_text(&"cd".repeat(32)).unwrap();
        assert!(matches!(
            other.unseal(&place, &sealed),
            Err(SealError::OtherKey(_))
        ));
        assert_ne!(key.seal(&place, b"hunter2").unwrap().nonce, sealed.nonce);
    }
}
