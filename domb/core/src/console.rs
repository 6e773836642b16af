//! What a domain prints, as lines for Xen's log under the domain's name.
//!
//! The domain is not trusted: a line is bounded, and nothing in it can move a terminal's cursor, forge another line or
//! another domain's name.

use alloc::string::String;
use alloc::vec::Vec;

/// The longest line. A longer one is cut into several.
pub const MAX_LINE: usize = 512;

/// Gathers a domain's output into lines.
#[derive(Debug, Default)]
pub struct Lines {
    line: Vec<u8>,
    escape: Escape,
}

/// Where in a terminal's escape sequence the output is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    /// After the escape character.
    Begun,
    /// In its parameters.
    Parameters,
}

impl Lines {
    /// Takes output; calls `line` with each line that is complete.
    pub fn push(&mut self, bytes: &[u8], mut line: impl FnMut(&str)) {
        for &byte in bytes {
            self.escape = match (self.escape, byte) {
                (_, 0x1b) => Escape::Begun,
                (Escape::Begun, b'[') => Escape::Parameters,
                (Escape::Parameters, 0x20..=0x3f) => Escape::Parameters,
                (Escape::Begun | Escape::Parameters, 0x20..=0x7e) => Escape::None,
                (_, b'\n') => {
                    self.flush(&mut line);
                    Escape::None
                }
                (_, b'\r') => Escape::None,
                (_, other) => {
                    if self.line.len() >= MAX_LINE {
                        self.flush(&mut line);
                    }
                    self.line.push(match other {
                        b'\t' => b' ',
                        0x20..=0x7e | 0x80.. => other,
                        _ => b'?',
                    });
                    Escape::None
                }
            };
        }
    }

    /// Gives out what is left: the domain prints no more.
    pub fn finish(&mut self, line: impl FnMut(&str)) {
        if !self.line.is_empty() {
            self.flush(line);
        }
    }

    fn flush(&mut self, mut line: impl FnMut(&str)) {
        let text: String = String::from_utf8_lossy(&self.line)
            .chars()
            .map(|c| if c.is_control() { '?' } else { c })
            .collect();
        line(&text);
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut out = Vec::new();
        let mut lines = Lines::default();
        for chunk in chunks {
            lines.push(chunk, |line| out.push(line.into()));
        }
        lines.finish(|line| out.push(line.into()));
        out
    }

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        assert_eq!(lines(&[b"one\r\ntw", b"o\n", b"three"]), ["one", "two", "three"]);
    }

    #[test]
    fn nothing_reaches_the_terminal() {
        assert_eq!(lines(&[b"\x1b[2J\x1b[1;31mred\x1b[0m \x07\x00bell\n"]), ["red ??bell"]);
        assert_eq!(lines(&[b"\x1b", b"[3", b"1mx\n"]), ["x"]);
        assert_eq!(lines(&["\u{9b}31m\n".as_bytes()]), ["?31m"]);
        assert_eq!(lines(&[b"\xff\xfe\n"]), ["\u{fffd}\u{fffd}"]);
    }

    #[test]
    fn a_line_without_an_end_is_cut() {
        let out = lines(&[&[b'a'; 3 * MAX_LINE]]);
        assert_eq!(out.len(), 3);
        assert!(out.iter().all(|line| line.len() == MAX_LINE));
        let out = lines(&[&[7; 3 * MAX_LINE]]);
        assert_eq!(out.len(), 3);
        assert!(out.iter().all(|line| line.len() == MAX_LINE));
    }
}
