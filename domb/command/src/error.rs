//! Why a command failed.

use std::io;
use std::path::PathBuf;

use domb_core::elf::ElfError;
use manifest::toml::SourceErrors;

use crate::kernel_image;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The host manifest, a file that it names, or a guest's configuration is wrong. One line for each place.
    #[error(transparent)]
    Manifest(#[from] SourceErrors),
    /// A kernel named on the command line cannot be unpacked.
    #[error("{}: {source}", path.display())]
    Kernel {
        /// The file.
        path: PathBuf,
        /// Why.
        source: kernel_image::Error,
    },
    /// A kernel named on the command line is neither an ELF file nor a bzImage.
    #[error("{}: no kernel: neither an ELF file nor a bzImage", path.display())]
    NoKernel {
        /// The file.
        path: PathBuf,
    },
    /// domb's own file is none that Xen can load.
    #[error("{}: {source}", path.display())]
    Domb {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ElfError,
    },
    /// The host manifest has no such domain.
    #[error("no domain {name:?} in the manifest; accepted: {accepted}")]
    NoDomain {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        accepted: String,
    },
    /// domb will refuse the domain.
    #[error("domain {name}: domb will refuse it: {reason}")]
    DomainRefused {
        /// The domain.
        name: String,
        /// Why.
        reason: manifest::Error,
    },
    /// A file has no key that can be used.
    #[error("{}: {reason}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file of signatures is wrong.
    #[error("{}:{line}: {reason}", path.display())]
    Signature {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong, and what is accepted.
        reason: String,
    },
    /// A question about the policy cannot be answered as it was put.
    #[error("{0}")]
    Question(String),
    /// The bundle cannot be made.
    #[error("bundle: {0}")]
    Bundle(String),
    /// The records make no event log.
    #[error("event log: {0}")]
    EventLog(String),
}
