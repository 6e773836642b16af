//! What an operator types on the machine's own console, where the manifest allows it: one request a line.
//!
//! Whoever can type there can also reset the machine. Lines are read as bytes, checked and bounded; a name may end in
//! `*` and stands for all domains of the manifest that begin so, in its order.

use alloc::string::String;
use alloc::vec::Vec;

/// The longest line. What is typed beyond is dropped with the line.
pub const MAX_LINE: usize = 256;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Start domains.
    Create(Pattern),
    /// End domains at once.
    Destroy(Pattern),
    /// End domains at once, as if they had crashed.
    Crash(Pattern),
    /// Stop domains for the time being.
    Pause(Pattern),
    /// Let them go on.
    Unpause(Pattern),
    /// Ask guests, through the store, to switch themselves off.
    Shutdown(Pattern),
    /// Ask guests, through the store, to restart.
    Restart(Pattern),
    /// List all domains.
    List,
    /// Say where the store runs and what it says of itself.
    Store,
    /// Say how much memory is free.
    Memory,
    /// Print the event log.
    EventLog,
    /// Restart the machine.
    Reboot,
    /// Stop the machine.
    Halt,
    /// Name the requests.
    Help,
}

/// What [`Request::Help`] answers.
pub const HELP: &str = "create NAME | destroy NAME | crash NAME | pause NAME | unpause NAME | shutdown NAME | restart NAME | list | \
                        store | memory | eventlog | reboot | halt | help; a NAME may end in *";

/// A domain's name, or the beginning of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Whether a name is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == self.0,
        }
    }

    /// As it was typed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// Why a line is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The first word is none of them.
    #[error("{0:?}: not a request; try: {HELP}")]
    Unknown(String),
    /// A name is missing, or there is something after the request.
    #[error("{request}: {problem}")]
    Arguments {
        /// The request.
        request: String,
        /// What is wrong.
        problem: &'static str,
    },
}

/// Reads one request.
///
/// # Errors
/// [`RequestError`].
pub fn parse(line: &str) -> Result<Request, RequestError> {
    let mut words = line.split_ascii_whitespace();
    let first = words.next().unwrap_or_default();
    let wrong = |problem| RequestError::Arguments {
        request: first.into(),
        problem,
    };
    let argument = words.next();
    if words.next().is_some() {
        return Err(wrong("too many words"));
    }
    let named = |make: fn(Pattern) -> Request| {
        argument
            .map(|name| make(Pattern(name.into())))
            .ok_or(wrong("which domain? a name, or the beginning of several and *"))
    };
    let plain = |request: Request| match argument {
        Some(_) => Err(wrong("takes no name")),
        None => Ok(request),
    };
    match first {
        "create" => named(Request::Create),
        "destroy" => named(Request::Destroy),
        "crash" => named(Request::Crash),
        "pause" => named(Request::Pause),
        "unpause" => named(Request::Unpause),
        "shutdown" => named(Request::Shutdown),
        "restart" => named(Request::Restart),
        "list" => plain(Request::List),
        "store" => plain(Request::Store),
        "memory" => plain(Request::Memory),
        "eventlog" => plain(Request::EventLog),
        "reboot" => plain(Request::Reboot),
        "halt" => plain(Request::Halt),
        "help" => plain(Request::Help),
        other => Err(RequestError::Unknown(other.into())),
    }
}

/// Gathers what is typed into lines.
#[derive(Debug, Default)]
pub struct LineReader {
    line: Vec<u8>,
    overflowed: bool,
}

impl LineReader {
    /// Takes one byte; a line when it ends one.
    pub fn push(&mut self, byte: u8) -> Option<String> {
        match byte {
            b'\r' | b'\n' => {
                let line = core::mem::take(&mut self.line);
                if core::mem::take(&mut self.overflowed) || line.is_empty() {
                    return None;
                }
                Some(String::from_utf8_lossy(&line).into_owned())
            }
            0x08 | 0x7f => {
                self.line.pop();
                None
            }
            0x20..=0x7e if self.line.len() < MAX_LINE => {
                self.line.push(byte);
                None
            }
            0x20..=0x7e => {
                self.overflowed = true;
                None
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(bytes: &[u8]) -> Vec<String> {
        let mut reader = LineReader::default();
        bytes.iter().filter_map(|&byte| reader.push(byte)).collect()
    }

    #[test]
    fn lines_end_with_either_key_and_can_be_corrected() {
        assert_eq!(typed(b"lisx\x7ft\r\nmemory\n"), ["list", "memory"]);
        assert_eq!(typed(b"\x1b\x00\xfflist\r"), ["list"]);
    }

    #[test]
    fn a_line_that_is_too_long_is_dropped_whole() {
        let mut bytes = alloc::vec![b'a'; MAX_LINE + 1];
        bytes.extend_from_slice(b"\nlist\n");
        assert_eq!(typed(&bytes), ["list"]);
    }

    #[test]
    fn requests_are_read_and_wrong_ones_say_why() {
        assert_eq!(parse("create web"), Ok(Request::Create(Pattern("web".into()))));
        assert_eq!(parse("  list "), Ok(Request::List));
        assert_eq!(parse("shutdown web"), Ok(Request::Shutdown(Pattern("web".into()))));
        assert_eq!(parse("restart web"), Ok(Request::Restart(Pattern("web".into()))));
        assert_eq!(parse("crash web"), Ok(Request::Crash(Pattern("web".into()))));
        assert_eq!(parse("store"), Ok(Request::Store));
        assert!(matches!(parse("shutdown"), Err(RequestError::Arguments { .. })));
        assert!(matches!(parse("store web"), Err(RequestError::Arguments { .. })));
        assert!(matches!(parse("create"), Err(RequestError::Arguments { .. })));
        assert!(matches!(parse("list web"), Err(RequestError::Arguments { .. })));
        assert!(matches!(parse("create a b"), Err(RequestError::Arguments { .. })));
        assert!(matches!(parse("format"), Err(RequestError::Unknown(_))));
    }

    #[test]
    fn patterns_name_one_or_all_that_begin_so() {
        let Ok(Request::Create(pattern)) = parse("create tiny-*") else {
            panic!("a pattern")
        };
        assert!(pattern.matches("tiny-1") && !pattern.matches("tin"));
        let Ok(Request::Create(name)) = parse("create tiny") else {
            panic!("a name")
        };
        assert!(name.matches("tiny") && !name.matches("tiny-1"));
    }
}
