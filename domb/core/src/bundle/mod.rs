//! The bundle: everything that the builder loads, in one file that the boot loader hands over.
//!
//! An uncompressed cpio archive of the format `newc` with a fixed order: `manifest` (its canonical encoding), then
//! `images/<name>` for each image of the manifest in its order, then the trailer. Every header field has one accepted
//! value, so the same manifest and images make the same bytes, and [`Bundle::parse`] refuses any other archive.
//! Behind the trailer only zero bytes may follow.
//!
//! The manifest holds each image's digests. They are checked when an image is used ([`ImageData::verify`]), not when
//! the bundle is opened.
//!
//! Source of the format: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.

mod cpio;
mod write;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use manifest::{Image, Manifest};
use measure::{Bank, Digest, Digests};

pub use write::{WriteError, write};

/// The archive's path of the manifest.
const MANIFEST_PATH: &str = "manifest";
/// What comes before an image's name in the archive.
const IMAGES_PATH: &str = "images/";

/// Why bytes are no bundle. Offsets count from the bundle's first byte.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The bundle ends too early.
    #[error("truncated: the bundle has {size} bytes and ends inside {what} at offset {offset}")]
    Truncated {
        /// What is cut.
        what: &'static str,
        /// Where that begins.
        offset: usize,
        /// Bytes in the bundle.
        size: usize,
    },
    /// A cpio header field with another value than a bundle has.
    #[error("offset {offset}: cpio field {field} is not {expected}")]
    Field {
        /// Where the field is.
        offset: usize,
        /// Its name in the format's description.
        field: &'static str,
        /// The only accepted value, or what kind of value.
        expected: String,
    },
    /// Another file than the one that comes next in a bundle.
    #[error("offset {offset}: the next file must be {expected}")]
    Name {
        /// Where the name is.
        offset: usize,
        /// The name that comes next.
        expected: String,
    },
    /// Bytes other than zero where only padding may be.
    #[error("offset {offset}: not padded with zeros")]
    Padding {
        /// Where the padding begins.
        offset: usize,
    },
    /// The manifest is refused as a whole.
    #[error("manifest: {0}")]
    Manifest(#[from] manifest::Error),
    /// An image of another size than the manifest says.
    #[error("image {name}: {given} bytes, the manifest says {expected}")]
    Size {
        /// The image.
        name: String,
        /// Its size in the archive.
        given: u64,
        /// Its size in the manifest.
        expected: u64,
    },
}

/// An image's bytes do not have the digest that the manifest gives: the image was changed or damaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("image {name}: {bank} digest {found}, the manifest says {expected}")]
pub struct DigestMismatch {
    /// The image.
    pub name: String,
    /// The first bank that differs.
    pub bank: Bank,
    /// What the manifest says, hexadecimal.
    pub expected: String,
    /// What the bytes have, hexadecimal; `none` where they were not hashed in this bank.
    pub found: String,
}

/// An opened bundle. Borrows its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle<'a> {
    manifest: Manifest,
    manifest_bytes: &'a [u8],
    /// One for each image of the manifest, of the size that it says.
    images: Vec<&'a [u8]>,
}

/// An image of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageData<'a> {
    /// What the manifest says of it.
    pub image: &'a Image,
    /// Its bytes, as many as the manifest says, not checked against its digests. Begin at any multiple of four from the
    /// bundle's start.
    pub bytes: &'a [u8],
}

impl<'a> Bundle<'a> {
    /// Opens a bundle: checks the whole archive and the manifest, but no digest.
    ///
    /// What is wrong with single domains is not looked at here: see [`Manifest::check`].
    ///
    /// # Errors
    /// Any [`BundleError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BundleError> {
        let mut reader = cpio::Reader::new(bytes);
        let manifest_bytes = reader.file(MANIFEST_PATH)?;
        let manifest = Manifest::decode(manifest_bytes)?;
        let mut images = Vec::with_capacity(manifest.images.len());
        for image in &manifest.images {
            let data = reader.file(&path(image))?;
            check_size(image, data)?;
            images.push(data);
        }
        reader.trailer()?;
        Ok(Self {
            manifest,
            manifest_bytes,
            images,
        })
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The manifest's canonical encoding: what is measured.
    #[must_use]
    pub fn manifest_bytes(&self) -> &'a [u8] {
        self.manifest_bytes
    }

    /// The image of this name.
    #[must_use]
    pub fn image(&self, name: &str) -> Option<ImageData<'_>> {
        self.images().find(|data| data.image.name == name)
    }

    /// The bytes of the image of this name, for as long as the bundle's own bytes live.
    #[must_use]
    pub fn image_bytes(&self, name: &str) -> Option<&'a [u8]> {
        let index = self.manifest.images.iter().position(|image| image.name == name)?;
        self.images.get(index).copied()
    }

    /// All images in the manifest's order.
    pub fn images(&self) -> impl Iterator<Item = ImageData<'_>> {
        self.manifest
            .images
            .iter()
            .zip(&self.images)
            .map(|(image, bytes)| ImageData { image, bytes })
    }
}

impl ImageData<'_> {
    /// Hashes the image in every bank of the manifest and compares. Once is enough for bytes that nobody else can
    /// change; the caller remembers that.
    ///
    /// # Errors
    /// [`DigestMismatch`].
    pub fn verify(&self) -> Result<&Digests, DigestMismatch> {
        let banks: Vec<Bank> = self.image.digests.banks().collect();
        self.check(&Digests::of(&banks, self.bytes))
    }

    /// Compares digests of a copy of the image, computed where it was loaded, with those of the manifest.
    ///
    /// # Errors
    /// [`DigestMismatch`] for the first bank of the manifest that differs or is missing.
    pub fn check(&self, found: &Digests) -> Result<&Digests, DigestMismatch> {
        for expected in &self.image.digests {
            let bank = expected.bank();
            let found = found.get(bank);
            if found != Some(expected) {
                let found = found.map_or_else(|| String::from("none"), Digest::to_string);
                return Err(DigestMismatch {
                    name: self.image.name.clone(),
                    bank,
                    expected: expected.to_string(),
                    found,
                });
            }
        }
        Ok(&self.image.digests)
    }
}

/// An image's path in the archive.
fn path(image: &Image) -> String {
    [IMAGES_PATH, &image.name].concat()
}

fn check_size(image: &Image, data: &[u8]) -> Result<(), BundleError> {
    let given = u64::try_from(data.len()).unwrap_or(u64::MAX);
    if given == image.size {
        return Ok(());
    }
    Err(BundleError::Size {
        name: image.name.clone(),
        given,
        expected: image.size,
    })
}

#[cfg(test)]
mod tests;
