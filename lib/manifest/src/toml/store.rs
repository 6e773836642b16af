//! The table `[store]`, and the keys of a domain that are about the store.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::Places;
use super::keys::{Keys, Value};
use crate::source::Report;
use crate::{MAX_RECOVERY_MIB, StoreAccess, StoreQuota, StoreRight, StoreSettings};

const RIGHTS: [(&str, StoreRight); 2] = [("read", StoreRight::Read), ("write", StoreRight::Write)];

/// Reads the table `[store]`. Where something is wrong the report has it, and the settings have a default there.
pub(super) fn read_settings(value: Option<&Value<'_>>, report: &mut Report<'_>) -> (StoreSettings, Places) {
    let mut settings = StoreSettings::default();
    let Some(value) = value else {
        return (settings, Places::nowhere());
    };
    let Some(table) = value.table("a table [store]", report) else {
        return (settings, Places::nowhere());
    };
    let mut keys = Keys::new(value.path(), table, value.start(), report);
    if let Some(value) = keys.get("recovery", report) {
        let accepted = format!("0 (none) to {MAX_RECOVERY_MIB} (MiB)");
        settings.recovery_mib = value.number(&accepted, report).unwrap_or_default();
    }
    if let Some(value) = keys.get("quota", report) {
        settings.quota = read_quota(&value, report);
    }
    (settings, keys.finish(report))
}

/// Reads a table of quotas.
pub(super) fn read_quota(value: &Value<'_>, report: &mut Report<'_>) -> StoreQuota {
    let mut quota = StoreQuota::default();
    let limits = quota.values();
    let Some(table) = value.table("a table of quotas, such as { nodes = 2000 }", report) else {
        return quota;
    };
    let mut keys = Keys::new(value.path(), table, value.start(), report);
    for (limit, field) in limits.iter().zip(quota.fields()) {
        *field = keys
            .get(limit.name, report)
            .and_then(|value| value.number(&format!("{} to {}", limit.least, limit.most), report));
    }
    keys.finish(report);
    quota
}

/// Reads the list of what a domain may do in the store.
pub(super) fn read_access(value: &Value<'_>, report: &mut Report<'_>) -> Vec<StoreAccess> {
    const ACCEPTED: &str = "a list of tables, such as { path = \"/local/domain/*/data\", access = \"read\" }";
    let entries = value.list(ACCEPTED, report);
    let read = |entry: &Value<'_>| {
        let table = entry.table(ACCEPTED, report)?;
        let mut keys = Keys::new(entry.path(), table, entry.start(), report);
        let of = keys
            .get("of", report)
            .and_then(|value| value.text("the name of a domain", report));
        let path = keys
            .required("path", "the nodes, such as path = \"/local/domain/*/data\"", report)
            .and_then(|value| value.text("text", report));
        let access = keys
            .required("access", "access = \"read\" or access = \"write\"", report)
            .and_then(|value| value.choice(&RIGHTS, report));
        keys.finish(report);
        Some(StoreAccess {
            of: of.map(ToString::to_string),
            path: path?.to_string(),
            access: access?,
        })
    };
    entries.iter().filter_map(read).collect()
}
