//! Making a bundle.

use alloc::string::String;

use manifest::{Image, Manifest};

use super::{BundleError, MANIFEST_PATH, check_size, cpio, path};

/// Why a bundle was not made. `E` is the error of the caller's functions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError<E> {
    /// A file that the archive format cannot hold.
    #[error("{path}: {size} bytes, a file in a bundle has less than 4 GiB")]
    FileSize {
        /// The file's path in the bundle.
        path: String,
        /// Its size.
        size: usize,
    },
    /// The manifest is refused as a whole or an image has another size than it says.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// An image was not read or bytes were not written.
    #[error("{0}")]
    Io(E),
}

/// Writes the bundle of a manifest: the same manifest and images give the same bytes.
///
/// `read` gives an image's bytes, `sink` takes the bundle's bytes piece by piece. Digests are taken as the manifest has
/// them, not compared.
///
/// # Errors
/// [`WriteError::Bundle`] for a manifest that [`super::Bundle::parse`] would refuse and for an image of another size
/// than the manifest's, [`WriteError::FileSize`], and what `read` and `sink` fail with.
pub fn write<D: AsRef<[u8]>, E>(
    manifest: &Manifest,
    mut read: impl FnMut(&Image) -> Result<D, E>,
    mut sink: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), WriteError<E>> {
    let encoded = manifest.encode();
    Manifest::decode(&encoded).map_err(BundleError::from)?;
    file(1, MANIFEST_PATH, &encoded, &mut sink)?;
    for (number, image) in (2u32..).zip(&manifest.images) {
        let data = read(image).map_err(WriteError::Io)?;
        check_size(image, data.as_ref())?;
        file(number, &path(image), data.as_ref(), &mut sink)?;
    }
    sink(cpio::trailer().as_bytes()).map_err(WriteError::Io)
}

fn file<E>(
    number: u32,
    path: &str,
    data: &[u8],
    sink: &mut impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), WriteError<E>> {
    let too_large = |_| WriteError::FileSize {
        path: path.into(),
        size: data.len(),
    };
    let size = u32::try_from(data.len()).map_err(too_large)?;
    sink(cpio::header(number, path, size).as_bytes()).map_err(WriteError::Io)?;
    sink(data).map_err(WriteError::Io)?;
    let zeros = [0; 3];
    sink(zeros.get(..cpio::padding(data.len())).unwrap_or_default()).map_err(WriteError::Io)
}
