//! The table `[host]`.

use alloc::string::{String, ToString};
use alloc::vec;

use measure::Bank;

use super::Places;
use super::keys::{Keys, Value};
use crate::source::Report;
use crate::{Host, LogLevel, StoreSettings};

const LOG_LEVELS: [(&str, LogLevel); 5] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

/// Reads the table. Where something is wrong the report has it, and the host has a default there.
pub(super) fn read(value: Option<&Value<'_>>, report: &mut Report<'_>) -> (Host, Places) {
    let mut host = Host {
        name: String::new(),
        banks: vec![Bank::Sha256],
        operator_console: false,
        log_level: LogLevel::default(),
        store: StoreSettings::default(),
    };
    let Some(value) = value else {
        return (host, Places::nowhere());
    };
    let Some(table) = value.table("a table [host]", report) else {
        return (host, Places::nowhere());
    };
    let mut keys = Keys::new(value.path(), table, value.start(), report);
    if let Some(name) = keys.required("name", "the host's name, such as name = \"demo\"", report) {
        host.name = name.text("text", report).unwrap_or_default().to_string();
    }
    if let Some(banks) = keys.get("banks", report) {
        host.banks = banks.choices(&Bank::ALL.map(|bank| (bank.name(), bank)), report);
    }
    if let Some(value) = keys.get("operator-console", report) {
        host.operator_console = value.boolean(report).unwrap_or_default();
    }
    if let Some(value) = keys.get("log-level", report) {
        host.log_level = value.choice(&LOG_LEVELS, report).unwrap_or_default();
    }
    (host, keys.finish(report))
}
