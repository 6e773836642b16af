//! The error of devices and files.

use std::io;
use std::path::PathBuf;

/// A device or a file of Linux refused.
#[derive(Debug, thiserror::Error)]
#[error("{}: {operation}: {source}", path.display())]
pub struct DeviceError {
    /// The device or file.
    pub path: PathBuf,
    /// What it was asked for, by the name in Linux' headers or of the system call.
    pub operation: &'static str,
    /// Why it refused.
    pub source: io::Error,
}

impl DeviceError {
    /// Makes one of whatever a system call gives.
    pub(super) fn new<E: Into<io::Error>>(path: impl Into<PathBuf>, operation: &'static str) -> impl FnOnce(E) -> Self {
        let path = path.into();
        move |source| Self {
            path,
            operation,
            source: source.into(),
        }
    }
}
