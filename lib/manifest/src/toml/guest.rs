//! A guest alone: a file with the keys of one domain.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::keys::Keys;
use super::{Places, domain, key_of, parse};
use crate::source::{Report, SourceError, SourceErrors, Wrong};
use crate::{Domain, Error};

/// The configuration of one guest, read from a file of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestFile {
    /// The guest. Its `kernel` and `ramdisk` are paths of files: absolute, or relative to the folder of the file that was
    /// read.
    pub domain: Domain,
    file: String,
    places: Places,
}

/// Reads the configuration of one guest: the keys of a `[[domain]]` of a host manifest, without that table around them, and
/// with paths of files as `kernel` and `ramdisk`.
///
/// `file` is the name that errors show. `host` is the name of the host on which the guest is to run; a guest without `uuid`
/// has one made from both names, and with it the Ethernet addresses that are not given.
///
/// # Errors
/// As [`super::read`], and everything that [`Domain::check`] finds.
pub fn read_guest(text: &str, file: &str, host: &str) -> Result<GuestFile, SourceErrors> {
    let mut report = Report::new(text.as_bytes(), file);
    let read = parse(text, &mut report).map(|document| {
        let keys = Keys::new("", document.get_ref(), 0, &report);
        domain::read_keys(keys, domain::Images::Files, host, &mut report)
    });
    let guest = read.map(|(domain, places)| GuestFile {
        domain,
        file: file.to_string(),
        places,
    });
    match (guest, report.finish()) {
        (Some(guest), None) => {
            let mut errors: Vec<SourceError> = guest
                .domain
                .check()
                .into_iter()
                .map(|error| guest.place(error))
                .collect();
            errors.sort_by_key(|error| (error.line, error.column));
            if errors.is_empty() {
                Ok(guest)
            } else {
                Err(SourceErrors(errors))
            }
        }
        (_, errors) => Err(errors.unwrap_or_default()),
    }
}

impl GuestFile {
    /// What is wrong with the guest, with the place in the file that it comes from.
    #[must_use]
    pub fn place(&self, error: Error) -> SourceError {
        let key = key_of(&error, true);
        let at = key.map_or(self.places.table, |key| self.places.of(key, Some(&error)));
        SourceError {
            file: self.file.clone(),
            line: at.line,
            column: at.column,
            key: key.unwrap_or_default().to_string(),
            wrong: Wrong::Name(error),
        }
    }
}
