//! What can go wrong in the testbed, with the values that help to see why.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A wait for something on the console, and what the console had shown when it ended.
#[derive(Debug)]
pub struct Wait {
    /// The scenario's name.
    pub scenario: String,
    /// What was waited for.
    pub awaited: String,
    /// How long.
    pub waited: Duration,
    /// The console log.
    pub log: PathBuf,
    /// The log's last lines.
    pub tail: String,
}

impl fmt::Display for Wait {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scenario,
            awaited,
            waited,
            log,
            tail,
        } = self;
        write!(
            formatter,
            "{scenario}: waited {waited:.1?} for {awaited}; {} ends with\n{tail}",
            log.display()
        )
    }
}

/// Why the testbed could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file operation failed.
    #[error("{path}: cannot {what}: {source}", path = path.display())]
    File {
        /// What was tried: "read", "write", "create", ...
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A program could not be started at all.
    #[error("cannot start `{command}`: {source}")]
    Start {
        /// The command line.
        command: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A program ended with an error.
    #[error("`{command}` failed ({status}):\n{output}")]
    Command {
        /// The command line.
        command: String,
        /// Its exit status, in words.
        status: String,
        /// The end of what it printed.
        output: String,
    },
    /// The set-up has not been done, or what it made is gone.
    #[error("the testbed is not set up ({reason}): run `make setup`")]
    NotSetUp {
        /// What is missing.
        reason: String,
    },
    /// The set-up cannot go on.
    #[error("set-up: {0}")]
    Setup(String),
    /// A Python package could not be had.
    #[error("Python package {package}: {source}")]
    PythonPackage {
        /// Its name on PyPI.
        package: String,
        /// What failed.
        source: Box<Error>,
    },
    /// A file has content that the testbed cannot use.
    #[error("{path}: {reason}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A pattern is not a regular expression.
    #[error("pattern: {0}")]
    Pattern(#[from] regex::Error),
    /// The console did not show a line in time.
    #[error("{0}")]
    NotSeen(Box<Wait>),
    /// The machine ended while a line was waited for.
    #[error("the machine ended ({status}): {wait}")]
    Ended {
        /// QEMU's exit status or why the testbed ended it.
        status: String,
        /// What was waited for.
        wait: Box<Wait>,
    },
    /// A line appeared that means that the scenario has failed.
    #[error("the console showed `{line}`: {wait}")]
    Fatal {
        /// The line that ended the wait.
        line: String,
        /// What was waited for.
        wait: Box<Wait>,
    },
    /// The machine was still running when it should have ended.
    #[error("the machine is still running: {0}")]
    StillRunning(Box<Wait>),
    /// A kernel module, or one that it depends on, is not in the kernel package.
    #[error("kernel {kernel}: no module `{module}`")]
    NoModule {
        /// The kernel's version.
        kernel: String,
        /// The module's name.
        module: String,
    },
}

impl Error {
    /// Makes the closure for `map_err` on a file operation.
    pub(crate) fn file(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        move |source| Error::File {
            what,
            path: path.to_path_buf(),
            source,
        }
    }
}
