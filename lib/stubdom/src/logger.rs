//! The `log` crate's lines, one a message: seconds since Xen started, level, text.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use log::{Level, LevelFilter, Metadata, Record};

use crate::cell::Global;
use crate::{console, time};

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number; they begin with 0 and have no gaps.
    pub number: u64,
    /// Xen's system time in nanoseconds.
    pub time_ns: u64,
    /// How severe it is.
    pub level: Level,
    /// The text, without control characters.
    pub text: String,
}

/// The last lines, if an image asked for them.
struct Kept {
    /// Bytes of texts to keep at most.
    most: usize,
    bytes: usize,
    lines: VecDeque<Line>,
    next: u64,
}

static KEPT: Global<Kept> = Global::new(Kept {
    most: 0,
    bytes: 0,
    lines: VecDeque::new(),
    next: 0,
});

/// What a line costs beside its text.
const LINE_COST: usize = 64;

impl Kept {
    fn keep(&mut self, level: Level, time_ns: u64, text: String) {
        let number = self.next;
        self.next += 1;
        self.bytes += text.len() + LINE_COST;
        self.lines.push_back(Line {
            number,
            time_ns,
            level,
            text,
        });
        while self.bytes > self.most
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.text.len() + LINE_COST;
        }
    }
}

/// Keeps the last lines from now on, `bytes` of memory at most.
pub fn keep_lines(bytes: usize) {
    KEPT.borrow().most = bytes;
}

/// Lines that are kept, from a number on and of so many bytes at most, and the number that comes next.
#[must_use]
pub fn lines(from: u64, bytes: usize) -> (Vec<Line>, u64) {
    let kept = KEPT.borrow();
    let mut room = bytes;
    let lines: Vec<Line> = kept
        .lines
        .iter()
        .filter(|line| line.number >= from)
        .take_while(|line| {
            let cost = line.text.len() + LINE_COST;
            let fits = cost <= room;
            room = room.saturating_sub(cost);
            fits
        })
        .cloned()
        .collect();
    let next = lines.last().map_or(kept.next, |line| line.number + 1);
    (lines, next)
}

struct ConsoleLog;

static LOG: ConsoleLog = ConsoleLog;

impl log::Log for ConsoleLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let time = time::now();
        let now = time / 1000;
        let level = match record.level() {
            Level::Error => "error: ",
            Level::Warn => "warning: ",
            Level::Info => "",
            Level::Debug => "debug: ",
            Level::Trace => "trace: ",
        };
        let mut text = String::new();
        let _ = write!(text, "{}", record.args());
        // One line a message, whatever it holds: nobody forges a line of the log with a newline in a name.
        let text: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        console::write(format!("[{:5}.{:06}] {level}{text}\n", now / 1_000_000, now % 1_000_000).as_bytes());
        KEPT.borrow().keep(record.level(), time, text);
    }

    fn flush(&self) {}
}

/// Starts logging. The level is that of `loglvl=` on the command line, else "info".
pub(crate) fn start(level: Option<&str>) {
    // Set twice only by a defect; the first logger stays.
    let _ = log::set_logger(&LOG);
    log::set_max_level(level.and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::Info));
}
