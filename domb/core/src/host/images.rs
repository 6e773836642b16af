//! The images of the bundle: checked against the manifest when first used, and then no more.

use alloc::collections::BTreeSet;
use alloc::string::String;

use crate::bundle::{Bundle, DigestMismatch};

/// Why an image cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The bundle has none of the name.
    #[error("{0}: not in the bundle")]
    Missing(String),
    /// Its bytes are not those that the manifest names.
    #[error(transparent)]
    Digest(#[from] DigestMismatch),
}

/// The images of a bundle that lies in the builder's own memory, where nobody else can change it.
#[derive(Debug)]
pub struct Images<'b> {
    bundle: Bundle<'b>,
    checked: BTreeSet<String>,
}

impl<'b> Images<'b> {
    /// The images of a bundle, none of them checked yet.
    #[must_use]
    pub fn new(bundle: Bundle<'b>) -> Self {
        Self {
            bundle,
            checked: BTreeSet::new(),
        }
    }

    /// The manifest's canonical encoding.
    #[must_use]
    pub fn manifest_bytes(&self) -> &'b [u8] {
        self.bundle.manifest_bytes()
    }

    /// An image whose digests are those of the manifest. Only the first time are they computed.
    ///
    /// # Errors
    /// [`ImageError`].
    pub fn get(&mut self, name: &str) -> Result<&'b [u8], ImageError> {
        let missing = || ImageError::Missing(name.into());
        if !self.checked.contains(name) {
            self.bundle.image(name).ok_or_else(missing)?.verify()?;
            self.checked.insert(name.into());
        }
        self.bundle.image_bytes(name).ok_or_else(missing)
    }
}
