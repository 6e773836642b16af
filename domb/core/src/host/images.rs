//! The images that domains are started from: those of the bundle, checked against the manifest when first used and then no
//! more, and those that were brought while the host runs.

use alloc::collections::BTreeSet;
use alloc::rc::Rc;
use alloc::string::String;
use core::ops::Deref;

use measure::{Digest, Digests};

use super::held::{HeldImage, HeldImages};
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
    /// Nobody brought it, or it went because room was needed.
    #[error("no image {0:?} is held: it has to be sent first")]
    NotHeld(Digest),
}

/// An image that was checked.
#[derive(Debug, Clone)]
pub enum ImageData<'b> {
    /// It lies in the bundle.
    Bundle(&'b [u8], Digests),
    /// It was brought, and stays as long as this does.
    Held(Rc<HeldImage>),
}

impl ImageData<'_> {
    /// Its digests, in the host's banks.
    #[must_use]
    pub fn digests(&self) -> &Digests {
        match self {
            Self::Bundle(_, digests) => digests,
            Self::Held(image) => image.digests(),
        }
    }
}

impl Deref for ImageData<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Bundle(bytes, _) => bytes,
            Self::Held(image) => image,
        }
    }
}

/// The images of a bundle that lies in the builder's own memory, where nobody else can change it, and those that are held.
#[derive(Debug)]
pub struct Images<'b> {
    bundle: Bundle<'b>,
    checked: BTreeSet<String>,
    /// Those that were brought.
    pub held: HeldImages,
}

impl<'b> Images<'b> {
    /// The images of a bundle, none of them checked yet, and room for `budget` bytes of others.
    #[must_use]
    pub fn new(bundle: Bundle<'b>, budget: usize) -> Self {
        Self {
            held: HeldImages::new(&bundle.manifest().host.banks, budget),
            bundle,
            checked: BTreeSet::new(),
        }
    }

    /// The manifest's canonical encoding.
    #[must_use]
    pub fn manifest_bytes(&self) -> &'b [u8] {
        self.bundle.manifest_bytes()
    }

    /// An image of the bundle whose digests are those of the manifest. Only the first time are they computed.
    ///
    /// # Errors
    /// [`ImageError`].
    pub fn get(&mut self, name: &str) -> Result<ImageData<'b>, ImageError> {
        let missing = || ImageError::Missing(name.into());
        if !self.checked.contains(name) {
            self.bundle.image(name).ok_or_else(missing)?.verify()?;
            self.checked.insert(name.into());
        }
        let digests = self.bundle.manifest().image(name).ok_or_else(missing)?.digests.clone();
        let bytes = self.bundle.image_bytes(name).ok_or_else(missing)?;
        Ok(ImageData::Bundle(bytes, digests))
    }

    /// An image with a digest: one of the bundle, or one that is held.
    ///
    /// # Errors
    /// [`ImageError::NotHeld`]; [`ImageError::Digest`] where one of the bundle should have it and does not.
    pub fn with_digest(&mut self, digest: &Digest) -> Result<ImageData<'b>, ImageError> {
        let images = &self.bundle.manifest().images;
        let in_bundle = images
            .iter()
            .find(|image| image.digests.get(digest.bank()) == Some(digest));
        if let Some(name) = in_bundle.map(|image| image.name.clone()) {
            return self.get(&name);
        }
        let held = self.held.get(digest);
        held.map(ImageData::Held).ok_or(ImageError::NotHeld(*digest))
    }
}
