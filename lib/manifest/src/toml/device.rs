//! The tables `[[domain.disk]]` and `[[domain.interface]]`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::keys::{Keys, Value};
use crate::device::{
    Access, Address, DEFAULT_BRIDGE, Disk, DiskBackend, Format, Interface, MAX_MTU, MIN_MTU, Mac, Rate, Vdev,
};
use crate::source::Report;

const BACKEND: &str = "the name of a domain";
const VDEV: &str = "text such as \"xvda\", \"xvdb1\", \"hdc\", \"sda\"";
const MAC: &str = "text such as \"00:16:3e:01:23:45\"";
const RATE: &str = "text such as \"10MB/s\", \"100Mb/s@50ms\"";
const ADDRESSES: &str = "a list of addresses, such as [\"192.0.2.1\", \"2001:db8::/64\"]";

/// Reads the list of a domain's disks.
pub(super) fn read_disks(value: &Value<'_>, report: &mut Report<'_>) -> Vec<Disk> {
    const TABLES: &str = "tables [[domain.disk]]";
    value
        .list(TABLES, report)
        .iter()
        .filter_map(|value| read_disk(value, TABLES, report))
        .collect()
}

fn read_disk(value: &Value<'_>, tables: &str, report: &mut Report<'_>) -> Option<Disk> {
    let table = value.table(tables, report)?;
    let mut keys = Keys::new(value.path(), table, value.start(), report);
    let backend = read_text(keys.get("backend", report), BACKEND, report);
    let target = keys.required("target", "the device or file, such as target = \"/dev/vg/web\"", report);
    let target = read_text(target, "text", report);
    let format = keys
        .get("format", report)
        .and_then(|value| value.choice(&Format::ALL.map(|format| (format.name(), format)), report))
        .unwrap_or_default();
    let vdev = keys
        .required("vdev", "what it is to the guest, such as vdev = \"xvda\"", report)
        .and_then(|value| parsed(&value, VDEV, Vdev::parse, report));
    let cdrom = read_flag(&mut keys, "cdrom", false, report);
    let access = keys
        .get("access", report)
        .and_then(|value| value.choice(&Access::ALL.map(|access| (access.name(), access)), report))
        .unwrap_or(if cdrom { Access::ReadOnly } else { Access::ReadWrite });
    let backend_type = keys
        .get("backendtype", report)
        .and_then(|value| value.choice(&DiskBackend::ALL.map(|backend| (backend.name(), backend)), report));
    let discard = read_flag(&mut keys, "discard", access != Access::ReadOnly, report);
    let direct_io_safe = read_flag(&mut keys, "direct-io-safe", false, report);
    let trusted = read_flag(&mut keys, "trusted", true, report);
    keys.finish(report);
    Some(Disk {
        backend,
        target: target?,
        format,
        vdev: vdev?,
        access,
        cdrom,
        backend_type,
        discard,
        direct_io_safe,
        trusted,
    })
}

/// Reads the list of the interfaces of the domain with this UUID.
pub(super) fn read_interfaces(value: &Value<'_>, uuid: &[u8; 16], report: &mut Report<'_>) -> Vec<Interface> {
    const TABLES: &str = "tables [[domain.interface]]";
    value
        .list(TABLES, report)
        .iter()
        .enumerate()
        .filter_map(|(index, value)| read_interface(value, TABLES, Mac::derive(uuid, index), report))
        .collect()
}

fn read_interface(value: &Value<'_>, tables: &str, default: Mac, report: &mut Report<'_>) -> Option<Interface> {
    let table = value.table(tables, report)?;
    let mut keys = Keys::new(value.path(), table, value.start(), report);
    let interface = Interface {
        backend: read_text(keys.get("backend", report), BACKEND, report),
        bridge: read_text(keys.get("bridge", report), "the name of a bridge", report)
            .unwrap_or_else(|| DEFAULT_BRIDGE.into()),
        mac: keys
            .get("mac", report)
            .and_then(|value| parsed(&value, MAC, Mac::parse, report))
            .unwrap_or(default),
        ip: keys
            .get("ip", report)
            .map(|value| value.list(ADDRESSES, report))
            .unwrap_or_default()
            .iter()
            .filter_map(|value| parsed(value, ADDRESSES, Address::parse, report))
            .collect(),
        rate: keys
            .get("rate", report)
            .and_then(|value| parsed(&value, RATE, Rate::parse, report)),
        mtu: keys
            .get("mtu", report)
            .and_then(|value| value.number(&format!("{MIN_MTU} to {MAX_MTU}"), report)),
        vifname: read_text(keys.get("vifname", report), "text", report),
        trusted: read_flag(&mut keys, "trusted", true, report),
    };
    keys.finish(report);
    Some(interface)
}

fn read_text(value: Option<Value<'_>>, accepted: &str, report: &mut Report<'_>) -> Option<String> {
    Some(value?.text(accepted, report)?.to_string())
}

fn read_flag(keys: &mut Keys<'_>, key: &'static str, default: bool, report: &mut Report<'_>) -> bool {
    keys.get(key, report)
        .and_then(|value| value.boolean(report))
        .unwrap_or(default)
}

/// A value that its text stands for.
fn parsed<T>(
    value: &Value<'_>,
    accepted: &str,
    parse: impl Fn(&str) -> Option<T>,
    report: &mut Report<'_>,
) -> Option<T> {
    let text = value.text(accepted, report)?;
    let parsed = parse(text);
    if parsed.is_none() {
        value.wrong_value(format!("{text:?}"), accepted, report);
    }
    parsed
}
