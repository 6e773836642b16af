//! The configurations of guests that Xen's own toolstack reads: xl.cfg(5).
//!
//! [`read`] turns a file into the configuration of a guest, the type that the reader of TOML gives. A file means here what it
//! means to xl, or it is refused: xl passes over keys that it does not know and over values of the wrong type; here both are
//! errors, and so is every known key that cannot be honoured. All errors are told at once, each with line, column, key and
//! reason.
//!
//! The language is that of Xen's tools/libs/util/libxlu_cfg_l.l and libxlu_cfg_y.y, the keys are those of
//! tools/xl/xl_parse.c of Xen 4.17 to 4.20. What is read otherwise than by xl, on purpose:
//! - a comment may end the file without the end of a line;
//! - one character that is no word, at the very end of a file, is an error: xl does not see it;
//! - characters by their number in text are refused: xl leaves them out of the text;
//! - `type` and `builder` must be written out: xl takes any beginning of a name;
//! - text must be UTF-8; comments may be anything.

mod device;
mod disk;
mod guest;
mod keys;
mod reader;
mod syntax;
mod token;
mod vif;

#[cfg(test)]
mod tests;

use crate::Domain;
use crate::source::{Report, SourceErrors};

/// A guest that was read from a configuration of xl.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XlFile {
    /// The guest. Its `kernel` and `ramdisk` are absolute paths of files.
    pub domain: Domain,
    /// What a reader should know: keys that say nothing beside others, and where domb does otherwise than xl by default.
    pub notes: SourceErrors,
}

/// Reads the configuration of one guest.
///
/// `file` is the name that errors show. `host` is the name of the host on which the guest is to run; where xl would make up a
/// UUID, it is made from both names, and Ethernet addresses that are not given are made from the UUID.
///
/// # Errors
/// Every line that is not of the language; else every key that xl does not know or that cannot be honoured, every value that is
/// not accepted, and everything that [`Domain::check`] finds.
pub fn read(bytes: &[u8], file: &str, host: &str) -> Result<XlFile, SourceErrors> {
    let mut report = Report::new(bytes, file);
    let mut notes = Report::new(bytes, file);
    let settings = syntax::parse(bytes, &mut report);
    let domain = (report.count() == 0).then(|| guest::read(&settings, host, &mut report, &mut notes));
    match (domain, report.finish()) {
        (Some(domain), None) => Ok(XlFile {
            domain,
            notes: notes.finish().unwrap_or_default(),
        }),
        (_, errors) => Err(errors.unwrap_or_default()),
    }
}
