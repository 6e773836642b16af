//! One thing that is wrong with a text, and all of them.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::{Error, Problem};

/// One thing that is wrong: `FILE:LINE:COLUMN: KEY: what, and which values are accepted`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {}{wrong}", prefix(key))]
pub struct SourceError {
    /// The file's name, as it was given to the reader.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// The key with its table (`domain.memory`); empty for an error of syntax.
    pub key: String,
    /// What is wrong.
    pub wrong: Wrong,
}

/// What is wrong at a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Wrong {
    /// The text is not of its format: TOML, or xl's language.
    #[error("{0}")]
    Syntax(String),
    /// The table has no such key.
    #[error("unknown key; accepted here: {accepted}")]
    UnknownKey {
        /// The keys that the table may have.
        accepted: String,
    },
    /// A key that must be there is not.
    #[error("missing; write {accepted}")]
    Missing {
        /// What to write.
        accepted: String,
    },
    /// The value has a type that the key does not take.
    #[error("is {found}; accepted: {accepted}")]
    Type {
        /// The type of the value.
        found: &'static str,
        /// What the key takes.
        accepted: String,
    },
    /// The value has a right type and is not accepted.
    #[error("{found}; accepted: {accepted}")]
    Value {
        /// The value.
        found: String,
        /// What the key takes.
        accepted: String,
    },
    /// Something that [`crate::Manifest::check`] found.
    #[error("{0}")]
    Manifest(Problem),
    /// Something that [`crate::Manifest::check`] found, which two places do not agree about.
    #[error("{problem} ({file}:{line}:{column})")]
    Contradiction {
        /// What is wrong.
        problem: Problem,
        /// The file's name.
        file: String,
        /// The line of the other place, counted from 1.
        line: usize,
        /// Its column in characters, counted from 1.
        column: usize,
    },
    /// An image's name is none, or something that [`crate::Domain::check`] found.
    #[error("{0}")]
    Name(Error),
    /// The key is known and what it asks for cannot be had.
    #[error("cannot be honoured: {reason}")]
    Refused {
        /// Why, and what to write instead.
        reason: String,
    },
    /// The key says nothing here, and that is as its format defines it. Not an error.
    #[error("note: {0}")]
    Note(String),
    /// A file that the manifest names cannot be used.
    #[error("{0}")]
    File(String),
}

/// Everything that is wrong with a text, in the order of the lines. Displayed one a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceErrors(pub Vec<SourceError>);

impl fmt::Display for SourceErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            write!(formatter, "{}{error}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl core::error::Error for SourceErrors {}

fn prefix(key: &str) -> String {
    if key.is_empty() {
        String::new()
    } else {
        alloc::format!("{key}: ")
    }
}
