//! Debian packages: the machine's own apt sources, sources of other releases derived from them, and packages unpacked
//! into the cache without being installed.

mod archive;
mod sources;
mod unpacked;

pub use archive::Archive;
pub use sources::{Release, Source, read_sources};
pub use unpacked::unpack;
