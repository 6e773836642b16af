//! Files with Ed25519 keys, as OpenSSL writes them: PEM, PKCS #8 (RFC 8410).

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _};
use ed25519_dalek::{SigningKey, VerifyingKey};

use crate::Error;

/// Reads a private key.
///
/// # Errors
/// [`Error::Read`]; [`Error::Key`] when the file has no private Ed25519 key that can be read without a passphrase.
pub fn read_private(path: &Path) -> Result<SigningKey, Error> {
    let text = read(path)?;
    SigningKey::from_pkcs8_pem(&text).map_err(|error| {
        let reason = if text.contains("ENCRYPTED PRIVATE KEY") {
            "the key is encrypted; accepted: a key without passphrase".into()
        } else if text.contains("PUBLIC KEY") {
            "a public key; accepted: the private one".into()
        } else {
            format!("no private Ed25519 key ({error}); accepted: what `openssl genpkey -algorithm ed25519` writes")
        };
        wrong(path, reason)
    })
}

/// Reads the public key of a file with a private or a public one.
///
/// # Errors
/// [`Error::Read`]; [`Error::Key`] when the file has neither.
pub fn read_public(path: &Path) -> Result<VerifyingKey, Error> {
    let text = read(path)?;
    if !text.contains("PUBLIC KEY") {
        return Ok(read_private(path)?.verifying_key());
    }
    let key = VerifyingKey::from_public_key_pem(&text)
        .map_err(|error| wrong(path, format!("no public Ed25519 key ({error})")))?;
    if key.is_weak() {
        return Err(wrong(
            path,
            "a key of small order, whose signatures prove nothing".into(),
        ));
    }
    Ok(key)
}

/// Bytes in lower-case hexadecimal.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.to_path_buf(),
        source,
    })
}

fn wrong(path: &Path, reason: String) -> Error {
    let path: PathBuf = path.into();
    Error::Key { path, reason }
}
