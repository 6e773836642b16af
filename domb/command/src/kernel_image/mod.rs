//! From a kernel file as a distribution ships it to the ELF file that domb loads.
//!
//! domb itself parses ELF only. This module, on the host or in the management domain, recognises a Linux bzImage,
//! takes the compressed kernel out of it and unpacks it. An ELF file is kept as it is; everything else (an initial
//! ramdisk, say) is data and is kept too.
//!
//! What comes out of a bzImage is the whole unpacked payload: the ELF file and, where the kernel can be relocated,
//! the relocation table that the kernel's build appends to it. That is what `extract-vmlinux` from the kernel's
//! sources prints, so that its digest can be computed with other tools.

mod error;
mod lz4_legacy;
mod payload;
mod setup_header;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use error::Error;
pub use payload::Compression;

/// The most that a payload may unpack to: 1 GiB. Debian's largest kernel unpacks to 66 MB.
pub const UNPACKED_LIMIT: usize = 1 << 30;

/// What a file was found to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// An ELF file.
    Elf,
    /// A Linux bzImage whose payload was compressed this way.
    BzImage(Compression),
    /// Neither of the two.
    Data,
}

/// A file's bytes as domb gets them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked<'a> {
    /// What the file held.
    pub contents: Contents,
    /// The ELF file for [`Contents::Elf`] and [`Contents::BzImage`], the file itself for [`Contents::Data`].
    pub bytes: Cow<'a, [u8]>,
}

impl Unpacked<'_> {
    /// Whether these bytes are an ELF file, and so may be a domain's kernel.
    #[must_use]
    pub fn is_elf(&self) -> bool {
        self.contents != Contents::Data
    }
}

/// Recognises `file` and unpacks it when it is a bzImage, to at most [`UNPACKED_LIMIT`] bytes.
///
/// # Errors
/// A bzImage that is too old to say where its payload is, that is cut short, whose compression is not known, or whose
/// payload does not unpack to an ELF file of the size that it declares.
pub fn unpack(file: &[u8]) -> Result<Unpacked<'_>, Error> {
    unpack_bounded(file, UNPACKED_LIMIT)
}

/// [`unpack`] with another bound, in bytes, on what a payload may unpack to.
///
/// # Errors
/// As [`unpack`].
pub fn unpack_bounded(file: &[u8], limit: usize) -> Result<Unpacked<'_>, Error> {
    if is_elf(file) {
        return Ok(Unpacked {
            contents: Contents::Elf,
            bytes: Cow::Borrowed(file),
        });
    }
    let Some(payload) = setup_header::payload(file)? else {
        return Ok(Unpacked {
            contents: Contents::Data,
            bytes: Cow::Borrowed(file),
        });
    };
    let compression = Compression::of(payload)?;
    let bytes = compression.unpack(payload, limit)?;
    if !is_elf(&bytes) {
        return Err(Error::NotElf {
            compression,
            first: bytes.iter().copied().take(4).collect(),
        });
    }
    Ok(Unpacked {
        contents: Contents::BzImage(compression),
        bytes: Cow::Owned(bytes),
    })
}

/// Whether `bytes` begin as an ELF file does. domb's own reader checks the rest.
fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF")
}
