//! Log lines on standard error: `error: ` or `warning: ` where it is one, then what happened.

use std::io::{self, Write as _};

use log::{Level, LevelFilter, Log, Metadata, Record};

struct StandardError;

static LOGGER: StandardError = StandardError;

/// Begins to log. The second call of a process does nothing but set the level.
pub fn start(level: LevelFilter) {
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(level);
}

impl Log for StandardError {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let kind = match record.level() {
            Level::Error => "error: ",
            Level::Warn => "warning: ",
            Level::Info => "",
            Level::Debug => "debug: ",
            Level::Trace => "trace: ",
        };
        // One write for each line. Nobody is left to be told that it failed.
        let _ = io::stderr().write_all(format!("{kind}{}\n", record.args()).as_bytes());
    }

    fn flush(&self) {}
}
