//! The `log` crate's lines, one a message: seconds since Xen started, level, text.

use alloc::format;
use alloc::string::String;
use core::fmt::Write;

use log::{Level, LevelFilter, Metadata, Record};

use crate::{console, time};

struct ConsoleLog;

static LOG: ConsoleLog = ConsoleLog;

impl log::Log for ConsoleLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let now = time::now() / 1000;
        let level = match record.level() {
            Level::Error => "error: ",
            Level::Warn => "warning: ",
            Level::Info => "",
            Level::Debug => "debug: ",
            Level::Trace => "trace: ",
        };
        let mut line = String::new();
        let _ = write!(
            line,
            "[{:5}.{:06}] {level}{}",
            now / 1_000_000,
            now % 1_000_000,
            record.args()
        );
        // One line a message, whatever it holds: nobody forges a line of the log with a newline in a name.
        let line: String = line.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        console::write(format!("{line}\n").as_bytes());
    }

    fn flush(&self) {}
}

/// Starts logging. The level is that of `loglvl=` on the command line, else "info".
pub(crate) fn start(level: Option<&str>) {
    // Set twice only by a defect; the first logger stays.
    let _ = log::set_logger(&LOG);
    log::set_max_level(level.and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::Info));
}
