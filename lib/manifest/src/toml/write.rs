//! Writing a guest's configuration.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Display;

use super::domain::default_on_crash;
use crate::device::{Access, DEFAULT_BRIDGE, Disk, Format, Interface, Mac};
use crate::{Action, Console, Domain, ManagementSettings, Role, StoreAccess, StoreQuota, StoreRight, uuid};

/// Writes a guest so that [`super::read_guest`] with the same `host` gives it again. What is the default for that host is left
/// out, but for the type: so a UUID that was made from the names is made again where the file is read.
#[must_use]
pub fn write_guest(domain: &Domain, host: &str) -> String {
    let mut lines = Lines::default();
    lines.text("name", &domain.name);
    lines.text("type", &domain.kind.to_string());
    if domain.uuid != uuid::derive(host, &domain.name) {
        lines.text("uuid", &uuid::text(&domain.uuid));
    }
    lines.text("kernel", &domain.kernel);
    lines.optional("ramdisk", domain.ramdisk.as_deref());
    if !domain.command_line.is_empty() {
        lines.text("cmdline", &domain.command_line);
    }
    lines.put("memory", size(domain.memory_kib));
    if domain.maxmem_kib != domain.memory_kib {
        lines.put("maxmem", size(domain.maxmem_kib));
    }
    lines.unless("vcpus", domain.vcpus, 1);
    lines.unless("maxvcpus", domain.max_vcpus, domain.vcpus);
    lines.unless("autostart", domain.autostart, false);
    lines.list("needs", domain.needs.iter());
    let actions = [
        ("on_poweroff", domain.on_poweroff, Action::Destroy),
        ("on_reboot", domain.on_reboot, Action::Restart),
        ("on_crash", domain.on_crash, default_on_crash(&domain.roles)),
    ];
    for (key, action, default) in actions {
        if action != default {
            lines.text(key, &action.to_string());
        }
    }
    if domain.console == Console::None {
        lines.text("console", "none");
    }
    lines.list("roles", domain.roles.iter());
    lines.list("serves", domain.serves.iter());
    if domain.store_quota != StoreQuota::default() {
        let quotas = domain.store_quota.values().into_iter();
        let quotas = quotas.filter_map(|quota| Some(format!("{} = {}", quota.name, quota.value?)));
        lines.put(
            "store-quota",
            format!("{{ {} }}", quotas.collect::<Vec<_>>().join(", ")),
        );
    }
    if !domain.store_access.is_empty() {
        let entries: Vec<String> = domain.store_access.iter().map(access).collect();
        lines.put("store-access", format!("[{}]", entries.join(", ")));
    }
    let management = if domain.has(Role::Management) {
        ManagementSettings::DEFAULT_OF_ROLE
    } else {
        ManagementSettings::default()
    };
    lines.unless("channels", domain.management.channels, management.channels);
    if domain.management.image_memory_kib != management.image_memory_kib {
        lines.put("image-memory", size(domain.management.image_memory_kib));
    }
    for disk in &domain.disks {
        write_disk(disk, &mut lines);
    }
    for (index, interface) in domain.interfaces.iter().enumerate() {
        write_interface(interface, Mac::derive(&domain.uuid, index), &mut lines);
    }
    lines.0
}

fn write_disk(disk: &Disk, lines: &mut Lines) {
    lines.table("disk");
    lines.optional("backend", disk.backend.as_deref());
    lines.text("target", &disk.target);
    if disk.format != Format::default() {
        lines.text("format", disk.format.name());
    }
    lines.text("vdev", &disk.vdev.to_string());
    lines.unless("cdrom", disk.cdrom, false);
    let default = if disk.cdrom {
        Access::ReadOnly
    } else {
        Access::ReadWrite
    };
    if disk.access != default {
        lines.text("access", disk.access.name());
    }
    lines.optional("backendtype", disk.backend_type.map(crate::device::DiskBackend::name));
    lines.unless("discard", disk.discard, disk.access != Access::ReadOnly);
    lines.unless("direct-io-safe", disk.direct_io_safe, false);
    lines.unless("trusted", disk.trusted, true);
}

fn write_interface(interface: &Interface, default: Mac, lines: &mut Lines) {
    lines.table("interface");
    lines.optional("backend", interface.backend.as_deref());
    if interface.bridge != DEFAULT_BRIDGE {
        lines.text("bridge", &interface.bridge);
    }
    if interface.mac != default {
        lines.text("mac", &interface.mac.to_string());
    }
    lines.list("ip", interface.ip.iter());
    lines.optional("rate", interface.rate.map(|rate| rate.to_string()).as_deref());
    if let Some(mtu) = interface.mtu {
        lines.put("mtu", mtu);
    }
    lines.optional("vifname", interface.vifname.as_deref());
    lines.unless("trusted", interface.trusted, true);
}

fn access(access: &StoreAccess) -> String {
    let of = access.of.as_ref().map(|of| format!("of = {}, ", quoted(of)));
    let right = match access.access {
        StoreRight::Read => "read",
        StoreRight::Write => "write",
    };
    format!(
        "{{ {}path = {}, access = \"{right}\" }}",
        of.unwrap_or_default(),
        quoted(&access.path)
    )
}

/// An amount of memory as a number of MiB, or as text where it is not whole MiB.
fn size(kib: u64) -> String {
    if kib.is_multiple_of(1 << 10) {
        (kib >> 10).to_string()
    } else {
        format!("\"{kib} KiB\"")
    }
}

/// A basic string (TOML 1.0, section String).
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            control if control.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// The text that is being written.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn put(&mut self, key: &str, value: impl Display) {
        self.0.push_str(&format!("{key} = {value}\n"));
    }

    fn text(&mut self, key: &str, text: &str) {
        self.put(key, quoted(text));
    }

    fn optional(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    fn unless<T: Copy + PartialEq + Display>(&mut self, key: &str, value: T, default: T) {
        if value != default {
            self.put(key, value);
        }
    }

    fn list<T: Display>(&mut self, key: &str, items: impl Iterator<Item = T>) {
        let items: Vec<String> = items.map(|item| quoted(&item.to_string())).collect();
        if !items.is_empty() {
            self.put(key, format!("[{}]", items.join(", ")));
        }
    }

    fn table(&mut self, name: &str) {
        self.0.push_str(&format!("\n[[{name}]]\n"));
    }
}
