//! The tables `[[domain]]`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::keys::{Keys, Value};
use super::{Places, device, size, store};
use crate::source::Report;
use crate::{Action, BackendClass, Console, Domain, Kind, MAX_CHANNELS, MAX_VCPUS, ManagementSettings, Role, uuid};

const TABLES: &str = "tables [[domain]]";
const KINDS: [(&str, Kind); 2] = [("pvh", Kind::Pvh), ("pv", Kind::Pv)];
const ACTIONS: [(&str, Action); 3] = [
    ("destroy", Action::Destroy),
    ("restart", Action::Restart),
    ("preserve", Action::Preserve),
];
const CONSOLES: [(&str, Console); 2] = [("log", Console::Log), ("none", Console::None)];

/// Reads all domains of the host of this name, in the file's order.
pub(super) fn read_all(value: &Value<'_>, host: &str, report: &mut Report<'_>) -> Vec<(Domain, Places)> {
    value
        .list(TABLES, report)
        .iter()
        .filter_map(|table| read(table, host, report))
        .collect()
}

/// Reads one domain. Where something is wrong the report has it, and the domain has a default there.
fn read(value: &Value<'_>, host: &str, report: &mut Report<'_>) -> Option<(Domain, Places)> {
    let table = value.table(TABLES, report)?;
    let keys = Keys::new(value.path(), table, value.start(), report);
    Some(read_keys(keys, Images::Named, host, report))
}

/// What a domain's kernel and ramdisk are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Images {
    /// Names of images of the manifest.
    Named,
    /// Paths of files.
    Files,
}

impl Images {
    const fn accepted(self) -> &'static str {
        match self {
            Self::Named => "the name of an image",
            Self::Files => "the path of a file",
        }
    }

    const fn example(self) -> &'static str {
        match self {
            Self::Named => "the name of an image, such as kernel = \"debian\"",
            Self::Files => "the path of a file, such as kernel = \"/boot/vmlinuz\"",
        }
    }

    fn read(self, value: Option<Value<'_>>, report: &mut Report<'_>) -> Option<String> {
        let value = value?;
        let text = value.text(self.accepted(), report)?;
        if matches!(self, Self::Files) && !is_path(text) {
            value.wrong_value(format!("{text:?}"), self.accepted(), report);
        }
        Some(text.to_string())
    }
}

/// Whether this can be a file's path.
fn is_path(text: &str) -> bool {
    !text.is_empty() && !text.contains('\0')
}

/// Reads the keys of one domain. Where something is wrong the report has it, and the domain has a default there.
pub(super) fn read_keys(mut keys: Keys<'_>, images: Images, host: &str, report: &mut Report<'_>) -> (Domain, Places) {
    let name = keys
        .required("name", "the domain's name, such as name = \"web\"", report)
        .and_then(|value| value.text("text", report))
        .unwrap_or_default();
    let kind = keys
        .get("type", report)
        .and_then(|value| value.choice(&KINDS, report))
        .unwrap_or_default();
    let kernel = keys.required("kernel", images.example(), report);
    let kernel = images.read(kernel, report).unwrap_or_default();
    let ramdisk = keys.get("ramdisk", report);
    let ramdisk = images.read(ramdisk, report);
    let command_line = keys
        .get("cmdline", report)
        .and_then(|value| value.text("text", report))
        .unwrap_or_default();
    let memory_kib = keys
        .required("memory", "the memory in MiB, such as memory = 128", report)
        .and_then(|value| size::read(&value, report))
        .unwrap_or_default();
    let maxmem_kib = keys
        .get("maxmem", report)
        .and_then(|value| size::read(&value, report))
        .unwrap_or(memory_kib);
    let vcpus = read_vcpus(keys.get("vcpus", report), report).unwrap_or(1);
    let max_vcpus = read_vcpus(keys.get("maxvcpus", report), report).unwrap_or(vcpus);
    let uuid = keys.get("uuid", report).and_then(|value| read_uuid(&value, report));
    let autostart = keys
        .get("autostart", report)
        .and_then(|value| value.boolean(report))
        .unwrap_or_default();
    let needs = keys
        .get("needs", report)
        .map(|value| read_needs(&value, report))
        .unwrap_or_default();
    let mut action = |key| keys.get(key, report).and_then(|value| value.choice(&ACTIONS, report));
    let on_poweroff = action("on_poweroff").unwrap_or(Action::Destroy);
    let on_reboot = action("on_reboot").unwrap_or(Action::Restart);
    let on_crash = action("on_crash");
    let console = keys
        .get("console", report)
        .and_then(|value| value.choice(&CONSOLES, report))
        .unwrap_or_default();
    let roles = keys
        .get("roles", report)
        .map(|value| value.choices(&Role::ALL.map(|role| (role.name(), role)), report))
        .unwrap_or_default();
    let serves = keys
        .get("serves", report)
        .map(|value| value.choices(&BackendClass::ALL.map(|class| (class.name(), class)), report))
        .unwrap_or_default();
    let store_quota = keys
        .get("store-quota", report)
        .map(|value| store::read_quota(&value, report))
        .unwrap_or_default();
    let store_access = keys
        .get("store-access", report)
        .map(|value| store::read_access(&value, report))
        .unwrap_or_default();
    let uuid = uuid.unwrap_or_else(|| uuid::derive(host, name));
    let disks = keys
        .get("disk", report)
        .map(|value| device::read_disks(&value, report))
        .unwrap_or_default();
    let interfaces = keys
        .get("interface", report)
        .map(|value| device::read_interfaces(&value, &uuid, report))
        .unwrap_or_default();
    let management = read_management(&mut keys, roles.contains(&Role::Management), report);
    let places = keys.finish(report);
    let on_crash = on_crash.unwrap_or_else(|| default_on_crash(&roles));
    let domain = Domain {
        name: name.to_string(),
        uuid,
        kind,
        kernel,
        ramdisk,
        command_line: command_line.to_string(),
        memory_kib,
        maxmem_kib,
        vcpus,
        max_vcpus,
        autostart,
        needs,
        on_poweroff,
        on_reboot,
        on_crash,
        console,
        roles,
        serves,
        store_quota,
        store_access,
        disks,
        interfaces,
        management,
    };
    (domain, places)
}

/// What happens when a domain of these roles crashes and its manifest does not say: without the store nothing else runs.
pub(super) fn default_on_crash(roles: &[Role]) -> Action {
    if roles.contains(&Role::Store) {
        Action::Restart
    } else {
        Action::Destroy
    }
}

/// What domb offers a domain that manages others.
fn read_management(keys: &mut Keys<'_>, has_role: bool, report: &mut Report<'_>) -> ManagementSettings {
    let mut settings = if has_role {
        ManagementSettings::DEFAULT_OF_ROLE
    } else {
        ManagementSettings::default()
    };
    if let Some(value) = keys.get("channels", report) {
        let accepted = format!("1 to {MAX_CHANNELS}");
        settings.channels = value.number(&accepted, report).unwrap_or(settings.channels);
    }
    if let Some(value) = keys.get("image-memory", report) {
        settings.image_memory_kib = size::read(&value, report).unwrap_or(settings.image_memory_kib);
    }
    settings
}

fn read_vcpus(value: Option<Value<'_>>, report: &mut Report<'_>) -> Option<u16> {
    value?.number(&format!("1 to {MAX_VCPUS}"), report)
}

fn read_uuid(value: &Value<'_>, report: &mut Report<'_>) -> Option<[u8; 16]> {
    const ACCEPTED: &str = "text such as \"01234567-89ab-cdef-0123-456789abcdef\"";
    let text = value.text(ACCEPTED, report)?;
    let uuid = uuid::parse(text);
    if uuid.is_none() {
        value.wrong_value(format!("{text:?}"), ACCEPTED, report);
    }
    uuid
}

fn read_needs(value: &Value<'_>, report: &mut Report<'_>) -> Vec<String> {
    const ACCEPTED: &str = "a list of names of domains";
    value
        .list(ACCEPTED, report)
        .iter()
        .filter_map(|name| name.text(ACCEPTED, report))
        .map(ToString::to_string)
        .collect()
}
