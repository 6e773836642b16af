//! What is true of the host as a whole.

use alloc::string::String;
use alloc::vec::Vec;

use measure::Bank;
use serde::{Deserialize, Serialize};

use crate::store::StoreSettings;

/// The host's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The host's name: as a domain's name, 1 to [`crate::MAX_NAME`] characters.
    pub name: String,
    /// The digests that domb computes of everything that it loads. No bank twice, SHA-256 among them.
    pub banks: Vec<Bank>,
    /// Whether domb obeys commands typed on Xen's serial console.
    pub operator_console: bool,
    /// The least severe lines that domb logs.
    pub log_level: LogLevel,
    /// How the store is set up, if a domain is the store.
    pub store: StoreSettings,
}

/// How much domb logs. Each level includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum LogLevel {
    /// Only what went wrong.
    Error,
    /// What may go wrong.
    Warn,
    /// What was done.
    #[default]
    Info,
    /// What a developer of domb wants to see.
    Debug,
    /// Everything.
    Trace,
}
