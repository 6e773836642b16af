//! What is read, and each kind of error with its place.

mod disks;
mod documented;
mod interfaces;
mod language;

use alloc::string::{String, ToString as _};

use super::*;
use crate::toml;

/// Reads a guest of the host "h".
fn read_text(text: &str) -> Result<XlFile, SourceErrors> {
    read(text.as_bytes(), "g.cfg", "h")
}

/// A guest that is right; asserts that it survives being written as TOML.
#[track_caller]
fn domain(text: &str) -> Domain {
    let domain = read_text(text).unwrap_or_else(|errors| panic!("{errors}")).domain;
    let toml = toml::write_guest(&domain, "h");
    let again = toml::read_guest(&toml, "g.toml", "h").unwrap_or_else(|errors| panic!("{toml}\n{errors}"));
    assert_eq!(again.domain, domain, "{toml}");
    domain
}

/// The lines of a right guest, with `lines` behind them from line 4 on.
fn with(lines: &str) -> String {
    ["name = 'g'\nkernel = '/k'\nmemory = 64\n", lines, "\n"].concat()
}

/// A right guest with these lines.
#[track_caller]
fn guest(lines: &str) -> Domain {
    domain(&with(lines))
}

/// What is wrong with these lines in a guest that is right otherwise.
#[track_caller]
fn errors(lines: &str) -> String {
    match read_text(&with(lines)) {
        Ok(file) => panic!("read: {:?}", file.domain),
        Err(errors) => errors.to_string(),
    }
}

/// The reason in the only error of these lines.
#[track_caller]
fn error(lines: &str) -> String {
    let errors = errors(lines);
    assert_eq!(errors.lines().count(), 1, "{errors}");
    errors.strip_prefix("g.cfg:").unwrap_or(&errors).to_string()
}
