//! Why a command failed.

use std::io;
use std::path::PathBuf;

use manifest::toml::SourceErrors;
use xen::linux::DeviceError;

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
    /// Another server answers there.
    #[error("{}: a server is running there", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something else than a socket has the socket's name.
    #[error("{}: there already, and not a socket", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The socket cannot be made or used.
    #[error("{}: {operation}: {source}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// The system call.
        operation: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A device or a ring file refused.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The manifest is wrong. One line for each place.
    #[error(transparent)]
    Manifest(#[from] SourceErrors),
    /// The manifest has no such domain.
    #[error("no domain {name:?} in the manifest; accepted: a number, {accepted}")]
    NoDomain {
        /// What was asked for.
        name: String,
        /// The names that there are.
        accepted: String,
    },
    /// A running store knows domains by number.
    #[error("{0:?} is not a domain's number; a running store is asked with a number, --policy takes names")]
    NotANumber(String),
    /// No operation of the protocol, or none on a node.
    #[error("{name:?} is not an operation on a node; accepted: {accepted}")]
    NoOperation {
        /// What was asked for.
        name: String,
        /// The names that there are.
        accepted: String,
    },
    /// Not a path of the protocol.
    #[error("{0:?} is not a path: A-Z a-z 0-9 - / _ @, without // and / at the end, at most 3072 bytes")]
    NotAPath(String),
    /// The running store refused, or went away.
    #[error("{0}")]
    Store(String),
    /// The kernel refused something that the event loop needs.
    #[error("{operation}: {source}")]
    System {
        /// The system call.
        operation: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The server did not take something up that it must.
    #[error("{0}")]
    Server(String),
}

impl Error {
    /// The error of a system call of the event loop.
    pub(crate) fn system(operation: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |source| Self::System {
            operation,
            source: source.into(),
        }
    }
}
