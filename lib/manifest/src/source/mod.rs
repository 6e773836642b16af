//! What is wrong with a text that people wrote, and where: for every reader of this crate.

mod error;

use alloc::borrow::ToOwned as _;
use alloc::vec::Vec;

pub use error::{SourceError, SourceErrors, Wrong};

/// A line and a column, both counted from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// What was found to be wrong so far.
pub(crate) struct Report<'a> {
    text: &'a [u8],
    file: &'a str,
    /// The byte at which each line begins.
    lines: Vec<usize>,
    /// The byte in the text with each error, to order them by.
    errors: Vec<(usize, SourceError)>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(text: &'a [u8], file: &'a str) -> Self {
        let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let lines = core::iter::once(0)
            .chain(ends.map(|(at, _)| at.saturating_add(1)))
            .collect();
        Self {
            text,
            file,
            lines,
            errors: Vec::new(),
        }
    }

    pub(crate) fn file(&self) -> &'a str {
        self.file
    }

    /// Adds an error about the byte `at` of the text.
    pub(crate) fn add(&mut self, at: usize, key: &str, wrong: Wrong) {
        let Place { line, column } = self.place(at);
        self.errors.push((
            at,
            SourceError {
                file: self.file.to_owned(),
                line,
                column,
                key: key.to_owned(),
                wrong,
            },
        ));
    }

    /// Line and column of the byte `at` of the text.
    pub(crate) fn place(&self, at: usize) -> Place {
        let line = self.lines.partition_point(|start| *start <= at);
        let start = line
            .checked_sub(1)
            .and_then(|index| self.lines.get(index))
            .copied()
            .unwrap_or_default();
        let before = self.text.get(start..at).unwrap_or_default();
        // Bytes that continue a character of UTF-8 begin with the bits 10.
        let characters = before.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
        Place {
            line,
            column: characters.saturating_add(1),
        }
    }

    /// How many errors there are so far.
    pub(crate) fn count(&self) -> usize {
        self.errors.len()
    }

    /// Whether there is an error about this key.
    pub(crate) fn is_about(&self, key: &str) -> bool {
        self.errors.iter().any(|(_, error)| error.key == key)
    }

    /// All errors in the order of the text, or `None` if there are none.
    pub(crate) fn finish(mut self) -> Option<SourceErrors> {
        self.errors.sort_by_key(|(at, _)| *at);
        let errors: Vec<SourceError> = self.errors.into_iter().map(|(_, error)| error).collect();
        (!errors.is_empty()).then_some(SourceErrors(errors))
    }
}
