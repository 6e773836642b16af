//! Telling a person at a terminal what takes long.

use std::fmt;
use std::io::{self, IsTerminal as _};

/// Where progress is told.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    shown: bool,
}

impl Progress {
    /// On standard error, if that is a terminal.
    #[must_use]
    pub fn on_terminal() -> Self {
        Self {
            shown: io::stderr().is_terminal(),
        }
    }

    /// Nowhere.
    #[must_use]
    pub const fn silent() -> Self {
        Self { shown: false }
    }

    /// Tells one line.
    pub(crate) fn say(self, line: fmt::Arguments<'_>) {
        if self.shown {
            eprintln!("{line}");
        }
    }
}

/// A number of bytes as people read it, in MB of 10^6 bytes, or KB below one.
pub(crate) fn size(bytes: usize) -> String {
    let (unit, name) = if bytes < 1_000_000 {
        (1_000, "KB")
    } else {
        (1_000_000, "MB")
    };
    let tenths = bytes.saturating_mul(10) / unit;
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size(0), "0.0 KB");
        assert_eq!(size(999_999), "999.9 KB");
        assert_eq!(size(65_906_612), "65.9 MB");
    }
}
