//! The files that domains are made of.

use alloc::string::String;

use measure::Digests;
use serde::{Deserialize, Serialize};

/// One file of the bundle, `images/<name>`: a kernel as an ELF file, or data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The name that domains refer to: as a domain's name, 1 to [`crate::MAX_NAME`] characters.
    pub name: String,
    /// The file's size in bytes.
    pub size: u64,
    /// The file's digests, one for each bank of the host and in that order.
    pub digests: Digests,
}
