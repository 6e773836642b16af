//! The policy that a host manifest says.

use std::io;
use std::path::Path;

use xenstore_guard_core::policy::Policy;

use crate::Error;

/// The policy of stock xenstored. A manifest's is refused: this program cannot read one yet, and must not seem to obey it.
pub(crate) fn load(path: Option<&Path>) -> Result<Policy, Error> {
    match path {
        None => Ok(Policy::stock()),
        Some(path) => Err(Error::Read {
            path: path.into(),
            source: io::Error::new(
                io::ErrorKind::Unsupported,
                "policies of manifests are for the stub domain only, so far",
            ),
        }),
    }
}
