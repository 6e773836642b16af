//! Who signed an image.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use manifest::SigningKey;
use measure::signature::{self, Purpose};

use super::facts::{ImageFacts, MAX_SIGNATURES};

/// The manifest's keys that signed an image for its purpose. Each signature is tried with each key once, however many classes
/// ask for it.
pub(super) struct Signers<'m> {
    names: Vec<&'m str>,
    given: usize,
}

impl<'m> Signers<'m> {
    pub(super) fn new(keys: &'m [SigningKey], purpose: Purpose, image: &ImageFacts<'_>) -> Self {
        let signatures = image.signatures.iter().take(MAX_SIGNATURES);
        let signed = |key: &&SigningKey| {
            let mut signatures = signatures.clone();
            signatures.any(|signature| signature::verify(&key.ed25519, purpose, &image.sha256, signature))
        };
        Self {
            names: keys.iter().filter(signed).map(|key| key.name.as_str()).collect(),
            given: image.signatures.len(),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains(&name)
    }

    /// What a denial says of them.
    pub(super) fn text(&self, purpose: Purpose) -> String {
        if !self.names.is_empty() {
            return format!("signed by {}", self.names.join(", "));
        }
        match self.given {
            0 => "unsigned".into(),
            _ => format!("signed as {purpose} by none of the manifest's keys"),
        }
    }
}
