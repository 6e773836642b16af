//! The serial console of a running machine: bytes in, lines with the time since power-on out.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use regex::Regex;

/// A line longer than this many bytes is split.
const LONGEST_LINE: usize = 64 * 1024;

/// One line of the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When its end was seen, since power-on.
    pub at: Duration,
    /// The text without its line end and without terminal control sequences.
    pub text: String,
}

/// A line that matched a pattern.
#[derive(Clone, Debug)]
pub struct Match {
    /// The whole line.
    pub line: Line,
    groups: Vec<Option<String>>,
}

impl Match {
    /// What the pattern's group `number` matched (0: the whole match).
    pub fn group(&self, number: usize) -> Option<&str> {
        self.groups.get(number)?.as_deref()
    }

    pub(crate) fn of(pattern: &Regex, line: &Line) -> Option<Self> {
        let captures = pattern.captures(&line.text)?;
        let groups = captures
            .iter()
            .map(|group| group.map(|found| found.as_str().to_owned()))
            .collect();
        Some(Self {
            line: line.clone(),
            groups,
        })
    }
}

/// What a wait looks at.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The finished lines.
    pub(crate) lines: Vec<Line>,
    /// The line that has no end yet.
    unfinished: Vec<u8>,
    /// Why no more lines come.
    pub(crate) ended: Option<String>,
}

impl State {
    /// The line that has no end yet, as it would look if it ended now.
    pub(crate) fn unfinished(&self) -> String {
        clean(&self.unfinished)
    }
}

/// A handle to the console; clones share it. It can be read after the machine has ended.
#[derive(Clone, Debug)]
pub struct Console {
    shared: Arc<(Mutex<State>, Condvar)>,
    power_on: Instant,
}

impl Console {
    pub(crate) fn new(power_on: Instant) -> Self {
        Self {
            shared: Arc::default(),
            power_on,
        }
    }

    /// Time since power-on.
    pub fn now(&self) -> Duration {
        self.power_on.elapsed()
    }

    /// Every finished line so far.
    pub fn lines(&self) -> Vec<Line> {
        self.state().lines.clone()
    }

    /// The last `count` lines, and what stands on an unfinished one, one a line with their times.
    pub fn tail(&self, count: usize) -> String {
        let state = self.state();
        let from = state.lines.len().saturating_sub(count);
        let last = state.lines.get(from..).unwrap_or_default();
        let mut text: Vec<String> = last.iter().map(stamped).collect();
        if !state.unfinished.is_empty() {
            text.push(format!("[   unfinished] {}", state.unfinished()));
        }
        text.join("\n")
    }

    /// Takes bytes of the serial line in; gives the lines that they finish.
    pub(crate) fn take_in(&self, bytes: &[u8]) -> Vec<Line> {
        let at = self.now();
        let mut state = self.state();
        let before = state.lines.len();
        for &byte in bytes {
            if byte == b'\n' || state.unfinished.len() >= LONGEST_LINE {
                let text = clean(&state.unfinished);
                state.unfinished.clear();
                state.lines.push(Line { at, text });
            }
            if byte != b'\n' {
                state.unfinished.push(byte);
            }
        }
        let finished = state.lines.get(before..).unwrap_or_default().to_vec();
        drop(state);
        self.shared.1.notify_all();
        finished
    }

    /// No more lines will come. Gives the last line where it had no end.
    pub(crate) fn end(&self, why: String) -> Option<Line> {
        let at = self.now();
        let mut state = self.state();
        let rest = (!state.unfinished.is_empty()).then(|| Line {
            at,
            text: state.unfinished(),
        });
        state.unfinished.clear();
        state.lines.extend(rest.clone());
        state.ended.get_or_insert(why);
        drop(state);
        self.shared.1.notify_all();
        rest
    }

    /// Asks `look` after each change until it answers, or `timeout` has passed, or the console has ended.
    pub(crate) fn wait<T>(&self, timeout: Duration, mut look: impl FnMut(&State) -> Option<T>) -> Option<T> {
        let start = Instant::now();
        let mut state = self.state();
        loop {
            if let Some(answer) = look(&state) {
                return Some(answer);
            }
            let left = timeout.checked_sub(start.elapsed()).filter(|left| !left.is_zero())?;
            if state.ended.is_some() {
                return None;
            }
            state = self
                .shared
                .1
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Why the console ended, if it has.
    pub fn ended(&self) -> Option<String> {
        self.state().ended.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line as it stands in the log file.
pub(crate) fn stamped(line: &Line) -> String {
    format!("[{:>13.6}] {}", line.at.as_secs_f64(), line.text)
}

/// Text without carriage returns, terminal control sequences and other control characters.
fn clean(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut kept = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => skip_sequence(&mut characters),
            '\t' => kept.push('\t'),
            other if other.is_control() => {}
            other => kept.push(other),
        }
    }
    kept
}

/// Skips what follows an escape character (ECMA-48: a control sequence ends with a character from `@` to `~`).
fn skip_sequence(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match characters.peek() {
        Some('[') => {
            characters.next();
            while characters.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
        }
        Some(']') => while characters.next().is_some_and(|c| c != '\u{7}' && c != '\u{1b}') {},
        _ => {
            characters.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(console: &Console) -> Vec<String> {
        console.lines().into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn lines_come_whole_however_the_bytes_are_cut() {
        let console = Console::new(Instant::now());
        assert!(console.take_in(b"(XEN) on").is_empty());
        assert_eq!(console.take_in(b"e\r\ntwo\nthr").len(), 2);
        console.end("done".into());
        assert_eq!(texts(&console), ["(XEN) one", "two", "thr"]);
        assert_eq!(console.ended().as_deref(), Some("done"));
    }

    #[test]
    fn terminal_control_is_dropped() {
        let console = Console::new(Instant::now());
        console.take_in(b"\x1b[0;32m  OK  \x1b[0m Started \x1b]0;title\x07x\x1b(B\n");
        assert_eq!(texts(&console), ["  OK   Started xB"]);
    }

    #[test]
    fn a_flood_without_line_ends_is_split() {
        let console = Console::new(Instant::now());
        console.take_in(&vec![b'x'; LONGEST_LINE * 2 + 1]);
        assert_eq!(console.lines().len(), 2);
    }

    #[test]
    fn a_wait_ends_with_the_console() {
        let console = Console::new(Instant::now());
        let writer = console.clone();
        let thread = std::thread::spawn(move || writer.end("gone".into()));
        assert_eq!(console.wait(Duration::from_secs(60), |_| None::<()>), None);
        thread.join().unwrap();
    }

    #[test]
    fn a_match_gives_its_groups() {
        let line = Line {
            at: Duration::ZERO,
            text: "GUEST-READY web nproc=4".into(),
        };
        let found = Match::of(&Regex::new(r"nproc=(\d+)( x)?").unwrap(), &line).unwrap();
        assert_eq!(
            (found.group(1), found.group(2), found.group(3)),
            (Some("4"), None, None)
        );
    }
}
