//! What a stream says of paths and messages, checked.

use alloc::string::{String, ToString};

use xen::store::wire::{self, MAX_PAYLOAD};

use super::error::{Problem, excerpt};
use crate::Path;

/// A text that cannot be.
pub(super) fn text(field: &'static str, bytes: &[u8], expected: &'static str) -> Problem {
    Problem::Text {
        field,
        found: excerpt(bytes),
        expected,
    }
}

/// A watch's path: absolute, relative to the client's home, or a special name.
pub(crate) fn watch_path(bytes: &[u8]) -> Result<String, Problem> {
    let path = core::str::from_utf8(bytes)
        .ok()
        .filter(|path| match path.bytes().next() {
            None => false,
            Some(b'/' | b'@') => Path::new(path).is_some(),
            Some(_) => {
                let mut absolute = String::with_capacity(path.len() + 1);
                absolute.push('/');
                absolute.push_str(path);
                Path::new(&absolute).is_some()
            }
        });
    match path {
        Some(path) => Ok(path.to_string()),
        None => Err(text("wpath", bytes, "a path or a special name")),
    }
}

/// Output that waits must be whole messages, behind the rest of one.
pub(super) fn whole_messages(output: &[u8], partial: usize) -> Result<(), Problem> {
    let mut rest = output.get(partial..).unwrap_or_default();
    while !rest.is_empty() {
        let ends = |needed, left: &[u8]| Problem::RecordEnds {
            field: "a message in out-data",
            needed,
            left: left.len(),
        };
        let Some((header, payload)) = rest.split_first_chunk::<{ wire::HEADER_BYTES }>() else {
            return Err(ends(wire::HEADER_BYTES, rest));
        };
        let length = wire::Header::decode(header).length as usize;
        if length > MAX_PAYLOAD {
            return Err(Problem::Number {
                field: "length of a message in out-data",
                found: length as u64,
                expected: "at most 4096",
            });
        }
        let Some((_, behind)) = payload.split_at_checked(length) else {
            return Err(ends(length, payload));
        };
        rest = behind;
    }
    Ok(())
}
