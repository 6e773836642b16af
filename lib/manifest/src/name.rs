//! Names of hosts, images and domains.
//!
//! Narrow on purpose: a name stands in log lines, in the paths of a bundle and in events of a measurement log, and must
//! be unable to look like something else there.

use core::fmt;

/// The most characters that a name may have.
pub const MAX_NAME: usize = 64;

/// Whether `name` has 1 to [`MAX_NAME`] characters of `[A-Za-z0-9_.-]` and begins with a letter, a digit or `_`.
pub(crate) fn is_valid(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.len() <= MAX_NAME
        && name.bytes().next().is_some_and(word)
        && name.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

/// A name as it is shown: as it is, or in quotes and with every unusual character escaped if it is none.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_valid(self.0) {
            formatter.write_str(self.0)
        } else {
            write!(formatter, "{:?}", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_the_rule_says() {
        for name in ["a", "web-1", "debian_12.cloud", "_x", "0", &"n".repeat(64)] {
            assert!(is_valid(name), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            "-a",
            ".a",
            "a/b",
            "a b",
            "ä",
            "a\n",
            "a:b",
            &"n".repeat(65),
        ] {
            assert!(!is_valid(name), "{name:?}");
        }
    }
}
