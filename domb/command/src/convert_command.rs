//! `domb convert`: from a guest's configuration for xl to one for domb.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use manifest::toml::SourceErrors;
use manifest::{toml, xl_cfg};

use crate::Error;
use crate::output::write_file;

/// The most bytes that are read: more than any configuration may have, so that the reader says what is wrong.
const MOST_BYTES: u64 = 2 << 20;
/// The host of the guest is not known here. No host has this name, so nothing that is made from it is kept.
const NO_HOST: &str = "";

/// A guest's configuration in the form that domb reads.
#[derive(Debug)]
pub struct Converted {
    /// The configuration in TOML.
    pub toml: String,
    /// What a reader should know: one line for each place.
    pub notes: SourceErrors,
}

/// Reads a configuration of xl and writes it as TOML. `-` is standard input.
///
/// # Errors
/// [`Error::Read`]; [`Error::Manifest`] with everything in the file that cannot be honoured.
pub fn run(path: &Path) -> Result<Converted, Error> {
    let failed = |source| Error::Read {
        path: path.to_path_buf(),
        source,
    };
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        io::stdin().lock().take(MOST_BYTES).read_to_end(&mut bytes)
    } else {
        let file = fs::File::open(path).map_err(failed)?;
        file.take(MOST_BYTES).read_to_end(&mut bytes)
    }
    .map_err(failed)?;
    let file = xl_cfg::read(&bytes, &path.to_string_lossy(), NO_HOST)?;
    Ok(Converted {
        toml: toml::write_guest(&file.domain, NO_HOST),
        notes: file.notes,
    })
}

/// Writes the TOML to a file, which appears whole or not at all.
///
/// # Errors
/// [`Error::Write`].
pub fn write(path: &Path, toml: &str) -> Result<(), Error> {
    write_file(path, |file| {
        file.write_all(toml.as_bytes()).map_err(|source| Error::Write {
            path: path.to_path_buf(),
            source,
        })
    })
}
