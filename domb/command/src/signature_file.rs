//! Files with signatures of images: `IMAGE.sig` beside `IMAGE`.
//!
//! A line for each signature, five words with one space between them:
//!
//! ```text
//! domb-signature-1 PURPOSE sha256:DIGITS ed25519:KEY SIGNATURE
//! ```
//!
//! Only the last word counts where a signature is checked; the others say of what and by whom it is.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use measure::signature::{Purpose, SIGNATURE_SIZE};
use measure::{Bank, Digest};

use crate::Error;
use crate::key_file::hexadecimal;

/// What a line begins with. The last character is the version of the format.
const MAGIC: &str = "domb-signature-1";

/// One signature of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSignature {
    /// What the image may be used for.
    pub purpose: Purpose,
    /// The SHA-256 of what is loaded.
    pub sha256: Digest,
    /// The public key.
    pub key: [u8; 32],
    /// The signature.
    pub signature: [u8; SIGNATURE_SIZE],
}

/// Without a line feed.
impl fmt::Display for ImageSignature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            purpose,
            sha256,
            key,
            signature,
        } = self;
        let (key, signature) = (hexadecimal(key), hexadecimal(signature));
        write!(formatter, "{MAGIC} {purpose} {sha256:?} ed25519:{key} {signature}")
    }
}

impl FromStr for ImageSignature {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split(' ').collect();
        let &[magic, purpose, sha256, key, signature] = words.as_slice() else {
            return Err(format!("{} words; accepted: 5", words.len()));
        };
        if magic != MAGIC {
            return Err(format!("begins with {magic:?}; accepted: {MAGIC}"));
        }
        let purpose = Purpose::ALL
            .into_iter()
            .find(|known| known.name() == purpose)
            .ok_or_else(|| format!("purpose {purpose:?}; accepted: kernel, ramdisk"))?;
        let sha256: Digest = sha256.parse().map_err(|error| format!("{error}"))?;
        if sha256.bank() != Bank::Sha256 {
            return Err(format!("a {} digest; accepted: sha256", sha256.bank()));
        }
        let key = key
            .strip_prefix("ed25519:")
            .and_then(bytes_of)
            .ok_or_else(|| format!("key {key:?}; accepted: ed25519: and 64 hexadecimal digits"))?;
        let signature = signature
            .split_at_checked(64)
            .and_then(|(first, second)| <[u8; 64]>::try_from([bytes_of(first)?, bytes_of(second)?].concat()).ok())
            .ok_or("the signature; accepted: 128 hexadecimal digits")?;
        Ok(Self {
            purpose,
            sha256,
            key,
            signature,
        })
    }
}

/// 32 bytes of 64 digits.
fn bytes_of(digits: &str) -> Option<[u8; 32]> {
    let digest = Digest::from_hex(Bank::Sha256, digits).ok()?;
    digest.bytes().try_into().ok()
}

/// Where the signatures of an image are: its path and `.sig`.
#[must_use]
pub fn path_of(image: &Path) -> PathBuf {
    let mut path = OsString::from(image);
    path.push(".sig");
    path.into()
}

/// Reads the signatures of the image at `image` that are for this purpose; none if there is no file with signatures.
///
/// # Errors
/// [`Error::Read`]; [`Error::Signature`] when a line is none, or its signature is of another image.
pub fn read_of(image: &Path, purpose: Purpose, sha256: &Digest) -> Result<Vec<ImageSignature>, Error> {
    let path = path_of(image);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        result => result.map_err(|source| Error::Read {
            path: path.clone(),
            source,
        })?,
    };
    let mut signatures = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let wrong = |reason| Error::Signature {
            path: path.clone(),
            line,
            reason,
        };
        let signature: ImageSignature = text.parse().map_err(wrong)?;
        if signature.sha256 != *sha256 {
            return Err(wrong(format!(
                "a signature of {:?}, but {} has {sha256:?}; sign it again",
                signature.sha256,
                image.display()
            )));
        }
        signatures.push(signature);
    }
    signatures.retain(|signature| signature.purpose == purpose);
    Ok(signatures)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature() -> ImageSignature {
        ImageSignature {
            purpose: Purpose::Ramdisk,
            sha256: Digest::of(Bank::Sha256, b"x"),
            key: [0xa5; 32],
            signature: [0xb7; 64],
        }
    }

    #[test]
    fn a_line_comes_back() {
        let line = signature().to_string();
        assert!(line.starts_with("domb-signature-1 ramdisk sha256:"), "{line}");
        assert_eq!(line.parse(), Ok(signature()));
    }

    #[test]
    fn what_is_wrong_with_a_line_is_named() {
        let line = signature().to_string();
        for (from, to, error) in [
            ("domb-signature-1 ", "", "4 words; accepted: 5"),
            (
                "-1 ",
                "-2 ",
                "begins with \"domb-signature-2\"; accepted: domb-signature-1",
            ),
            ("ramdisk", "disk", "purpose \"disk\"; accepted: kernel, ramdisk"),
            ("sha256:", "sha384:", "a sha384 digest has 48 bytes, not 32"),
            ("ed25519:", "rsa:", "key \"rsa:"),
            ("b7b7b7", "b7b7b", "the signature; accepted: 128 hexadecimal digits"),
            ("b7b7b7", "b7b7xb", "the signature; accepted: 128 hexadecimal digits"),
        ] {
            let result = line.replacen(from, to, 1).parse::<ImageSignature>();
            let found = result.unwrap_err();
            assert!(found.starts_with(error), "{found}");
        }
    }
}
