//! The tables `[[access]]`.

use alloc::string::ToString as _;

use crate::source::Report;
use crate::toml::Places;
use crate::toml::keys::{Keys, Value};
use crate::{Access, Request, Scope};

/// Reads one entry.
pub(super) fn read(value: &Value<'_>, report: &mut Report<'_>) -> Option<(Access, Places)> {
    let table = value.table("tables [[access]]", report)?;
    let mut keys = Keys::new(value.path(), table, value.start(), report);
    let domain = keys
        .required("domain", "who asks, such as domain = \"mgmt\"", report)
        .and_then(|value| value.text("the name of a domain", report))
        .unwrap_or_default();
    let class_value = keys.get("class", report);
    let class = class_value
        .as_ref()
        .and_then(|value| value.text("the name of a class", report));
    let host_domain_value = keys.get("host-domain", report);
    let host_domain = host_domain_value
        .as_ref()
        .and_then(|value| value.text("the name of a domain", report));
    if let (Some(_), Some(value)) = (&class_value, &host_domain_value) {
        let accepted = "class, or host-domain, or neither for what is about the host";
        value.wrong_value("beside class".to_string(), accepted, report);
    }
    let may = keys
        .required(
            "may",
            "what it may ask for, such as may = [\"create\", \"list\"]",
            report,
        )
        .map(|value| value.choices(&Request::ALL.map(|request| (request.name(), request)), report))
        .unwrap_or_default();
    let scope = match (class, host_domain) {
        (Some(class), _) => Scope::Class(class.to_string()),
        (None, Some(domain)) => Scope::Domain(domain.to_string()),
        (None, None) => Scope::Host,
    };
    let access = Access {
        domain: domain.to_string(),
        scope,
        may,
    };
    Some((access, keys.finish(report)))
}
