//! Which images a guest may be made of.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::name;

/// What is written where a guest may do without a ramdisk.
pub(crate) const NO_IMAGE: &str = "none";

/// Which image a guest may be made of. An image's digest is that of what is loaded: of a bzImage the unpacked ELF file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ImageRule {
    /// The one with this SHA-256.
    Sha256([u8; 32]),
    /// Each one that the key of this name signed for this use ([`crate::SigningKey`]).
    SignedBy(String),
    /// The image of this name, which the manifest has.
    Image(String),
    /// No image. Not for kernels.
    None,
}

/// As in a manifest: `sha256:DIGITS`, `signed-by:KEY`, `image:NAME`, `none`.
impl fmt::Display for ImageRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digest) => {
                formatter.write_str("sha256:")?;
                digest.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
            }
            Self::SignedBy(key) => write!(formatter, "signed-by:{}", name::Shown(key)),
            Self::Image(image) => write!(formatter, "image:{}", name::Shown(image)),
            Self::None => formatter.write_str(NO_IMAGE),
        }
    }
}
