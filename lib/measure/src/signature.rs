//! Signatures of images: that whoever has a key vouches for an image and for what it is used for.
//!
//! What is signed is one line of text, without a line feed, that nothing else of this project signs:
//!
//! ```text
//! domb image signature 1: kernel sha256:<64 digits>
//! ```
//!
//! so that a signature for a ramdisk is none for a kernel, and one over something else is none for an image. The algorithm is
//! Ed25519 (RFC 8032, section 5.1).

use alloc::format;
use alloc::string::String;
use core::fmt;

use ed25519_dalek::{Signature, VerifyingKey};

use crate::Digest;

/// The bytes of a signature.
pub const SIGNATURE_SIZE: usize = 64;

/// What an image is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// As a guest's kernel.
    Kernel,
    /// As a guest's initial ramdisk.
    Ramdisk,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 2] = [Self::Kernel, Self::Ramdisk];

    /// The name, as it is signed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Ramdisk => "ramdisk",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// What is signed for an image with this digest, which is its SHA-256.
#[must_use]
pub fn message(purpose: Purpose, sha256: &Digest) -> String {
    format!("domb image signature 1: {purpose} {sha256:?}")
}

/// Whether `signature` is one of `key` for an image of this digest and purpose.
///
/// As strict as signatures can be checked (`verify_strict`): a key or a signature of small order, which fits more than one
/// message, is none, and no signature has a second form.
#[must_use]
pub fn verify(key: &[u8; 32], purpose: Purpose, sha256: &Digest, signature: &[u8; SIGNATURE_SIZE]) -> bool {
    VerifyingKey::from_bytes(key).is_ok_and(|key| {
        let signature = Signature::from_bytes(signature);
        key.verify_strict(message(purpose, sha256).as_bytes(), &signature)
            .is_ok()
    })
}

/// Whether these bytes are a public key that can vouch for anything: a point of the curve, not of small order.
#[must_use]
pub fn is_key(key: &[u8; 32]) -> bool {
    VerifyingKey::from_bytes(key).is_ok_and(|key| !key.is_weak())
}
