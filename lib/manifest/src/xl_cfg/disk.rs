//! The items of `disk` (xl-disk-configuration(5), Xen's tools/libs/util/libxlu_disk_l.l).

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use super::device::{backend, refused, unaccepted};
use crate::device::{Access, Disk, DiskBackend, Format, Vdev};
use crate::source::Wrong;

/// What must not stand in an item, by name, and why.
const REFUSED: [(&str, &str); 9] = [
    (
        "script",
        "scripts of Xen's toolstack run in domain 0; the backend's domain opens block devices and files itself",
    ),
    ("colo", COLO),
    ("colo-host", COLO),
    ("colo-port", COLO),
    ("colo-export", COLO),
    ("active-disk", COLO),
    ("hidden-disk", COLO),
    ("grant_usage", VIRTIO),
    ("transport", VIRTIO),
];
const COLO: &str = "no guest runs on two hosts at once";
const VIRTIO: &str = "disks are Xen's own, not virtio's";
/// Prefixes that xl strips and ignores.
const IGNORED_PREFIXES: [&str; 7] = ["tapdisk", "tap", "tap2", "aio", "ioemu", "file", "phy"];
/// Prefixes that stand for a script.
const SCRIPT_PREFIXES: [&str; 4] = ["iscsi", "nbd", "enbd", "drbd"];

/// Reads an item, or says everything that is wrong with it.
pub(super) fn read(item: &str) -> Result<Disk, Vec<Wrong>> {
    let mut parser = Parser::default();
    parser.read(item);
    parser.finish()
}

/// What was read so far.
#[derive(Default)]
struct Parser<'a> {
    target: Option<&'a str>,
    format: Option<&'a str>,
    vdev: Option<&'a str>,
    access: Option<&'a str>,
    backend: Option<&'a str>,
    backend_type: Option<&'a str>,
    cdrom: bool,
    discard: Option<bool>,
    direct_io_safe: bool,
    trusted: Option<bool>,
    /// Whether a deprecated prefix stood there: then the format is not positional.
    prefixed: bool,
    wrong: Vec<Wrong>,
}

impl<'a> Parser<'a> {
    fn read(&mut self, item: &'a str) {
        let mut rest = item;
        loop {
            rest = rest.trim_start_matches([' ', '\t', '\n']);
            if rest.is_empty() {
                return;
            }
            if let Some(behind) = self.prefix(rest) {
                rest = behind;
                continue;
            }
            // It may hold commas, so it is the last.
            if let Some(target) = rest.strip_prefix("target=") {
                let target = target.strip_suffix(',').unwrap_or(target);
                set(&mut self.target, "target", target, &mut self.wrong);
                return;
            }
            let (parameter, behind) = rest.split_once(',').unwrap_or((rest, ""));
            match parameter.split_once('=') {
                Some((name, value)) => self.named(name, value),
                None => self.flag_or_positional(parameter),
            }
            rest = behind;
        }
    }

    /// Takes a deprecated prefix and gives what is behind it.
    fn prefix(&mut self, rest: &'a str) -> Option<&'a str> {
        let (prefix, behind) = rest.split_once(':')?;
        let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_word = prefix.starts_with(|first: char| first.is_ascii_lowercase()) && prefix.bytes().all(word);
        if !is_word {
            return None;
        }
        if matches!(prefix, "raw" | "qcow" | "qcow2" | "vhd") {
            set(&mut self.format, "format", prefix, &mut self.wrong);
        } else if SCRIPT_PREFIXES.contains(&prefix) {
            self.wrong.push(refused(format!(
                "{prefix}: stands for script=block-{prefix}: {}",
                REFUSED[0].1
            )));
        } else if !IGNORED_PREFIXES.contains(&prefix) {
            // Text with a colon, such as a device with a type behind it.
            if behind.bytes().next().is_some_and(word) {
                return None;
            }
            let accepted = "raw:, qcow:, qcow2:, vhd:, file:, phy:, tap:, tap2:, tapdisk:, aio:, ioemu:";
            self.wrong.push(unaccepted(format!("prefix {prefix}:"), accepted));
        }
        self.prefixed = true;
        Some(behind)
    }

    fn named(&mut self, name: &str, value: &'a str) {
        let wrong = &mut self.wrong;
        match name {
            "format" => set(&mut self.format, "format", or(value, "raw"), wrong),
            "vdev" => set(&mut self.vdev, "vdev", value, wrong),
            "access" => set(&mut self.access, "access", or(value, "rw"), wrong),
            "backend" => set(&mut self.backend, "backend", value, wrong),
            "backendtype" => set(&mut self.backend_type, "backendtype", value, wrong),
            "devtype" if value == "cdrom" => self.cdrom = true,
            "devtype" if value == "disk" => self.cdrom = false,
            "devtype" => wrong.push(unaccepted(format!("devtype {value:?}"), "disk, cdrom")),
            "specification" if value == "xen" => {}
            "specification" => wrong.push(refused(format!("specification={value}: {VIRTIO}; accepted: xen"))),
            _ => match REFUSED.iter().find(|(refused, _)| *refused == name) {
                Some((_, reason)) => wrong.push(refused(format!("{name}: {reason}"))),
                None => wrong.push(unaccepted(
                    format!("parameter {name:?}"),
                    "target, format, vdev, access, devtype, backend, backendtype, specification",
                )),
            },
        }
    }

    fn flag_or_positional(&mut self, parameter: &'a str) {
        match parameter {
            "cdrom" => self.cdrom = true,
            "direct-io-safe" => self.direct_io_safe = true,
            "discard" => self.discard = Some(true),
            "no-discard" => self.discard = Some(false),
            "trusted" => self.trusted = Some(true),
            "untrusted" => self.trusted = Some(false),
            "no-colo" => {}
            "colo" => self.named(parameter, ""),
            _ => self.positional(parameter),
        }
    }

    /// A parameter goes to the first place that is not taken yet: target, format, vdev, access.
    fn positional(&mut self, parameter: &'a str) {
        if self.target.is_none() {
            self.target = Some(parameter);
        } else if !self.prefixed && self.format.is_none() {
            // `,hdc:cdrom,r`: xend's empty drive, without a format.
            if self.target == Some("") && self.vdev_with_type(parameter) {
                self.format = Some("empty");
            } else {
                self.format = Some(or(parameter, "raw"));
            }
        } else if self.vdev.is_none() {
            if !self.vdev_with_type(parameter) {
                self.vdev = Some(parameter);
            }
        } else if self.access.is_none() {
            self.access = Some(or(parameter, "rw"));
        } else {
            self.wrong.push(unaccepted(
                format!("parameter {parameter:?} behind the others"),
                "target, format, vdev, access, then names and flags",
            ));
        }
    }

    /// Takes `hdc:cdrom` and says whether it was that.
    fn vdev_with_type(&mut self, parameter: &'a str) -> bool {
        let Some((vdev, kind)) = parameter.rsplit_once(':') else {
            return false;
        };
        set(&mut self.vdev, "vdev", vdev, &mut self.wrong);
        match kind {
            "cdrom" => self.cdrom = true,
            "disk" => self.cdrom = false,
            _ => self.wrong.push(unaccepted(format!("type {kind:?}"), "disk, cdrom")),
        }
        true
    }

    fn finish(mut self) -> Result<Disk, Vec<Wrong>> {
        let target = self.read_target();
        let format = self.read_format();
        let vdev = self.read_vdev();
        let access = match self.access {
            None | Some("rw" | "w") if self.cdrom => Access::ReadOnly,
            None | Some("rw" | "w") => Access::ReadWrite,
            Some("r" | "ro") => Access::ReadOnly,
            Some(other) => {
                self.wrong.push(unaccepted(format!("access {other:?}"), "r, ro, w, rw"));
                Access::ReadOnly
            }
        };
        let backend_type = self.read_backend_type();
        let backend = backend(self.backend, &mut self.wrong);
        match (target, format, vdev) {
            (Some(target), Some(format), Some(vdev)) if self.wrong.is_empty() => Ok(Disk {
                backend,
                target,
                format,
                vdev,
                access,
                cdrom: self.cdrom,
                backend_type,
                discard: self.discard.unwrap_or(access != Access::ReadOnly),
                direct_io_safe: self.direct_io_safe,
                trusted: self.trusted.unwrap_or(true),
            }),
            _ => Err(self.wrong),
        }
    }

    /// The target as a path: xl looks in /dev for what does not begin with a slash.
    fn read_target(&mut self) -> Option<String> {
        const ACCEPTED: &str = "target=PATH";
        match self.target {
            None | Some("") if self.cdrom => {
                self.wrong.push(refused(
                    "an empty drive: only an HVM guest's can be filled later; give the CD's file or leave the drive out".into(),
                ));
                None
            }
            None | Some("") => {
                self.wrong.push(unaccepted("no target".into(), ACCEPTED));
                None
            }
            Some(target) if target.starts_with('/') => Some(target.to_string()),
            Some(target) if target.contains(':') => {
                self.wrong.push(refused(format!(
                    "target {target:?}: QEMU's protocols are not served; accepted: the path of a block device or a file"
                )));
                None
            }
            Some(target) => Some(["/dev/", target].concat()),
        }
    }

    fn read_format(&mut self) -> Option<Format> {
        let name = self.format.unwrap_or("raw");
        let format = Format::ALL.into_iter().find(|format| format.name() == name);
        // The empty drive is told with the target.
        if format.is_none() && !(name == "empty" && self.cdrom && self.target.is_none_or(str::is_empty)) {
            self.wrong
                .push(unaccepted(format!("format {name:?}"), "raw, qcow, qcow2, vhd, qed"));
        }
        format
    }

    fn read_vdev(&mut self) -> Option<Vdev> {
        const ACCEPTED: &str = "xvda, xvdb1, hdc, sda, d0p1, or a number";
        let Some(name) = self.vdev.filter(|name| !name.is_empty()) else {
            self.wrong.push(unaccepted("no vdev".into(), ACCEPTED));
            return None;
        };
        let vdev = Vdev::parse(name);
        if vdev.is_none() {
            self.wrong.push(unaccepted(format!("vdev {name:?}"), ACCEPTED));
        }
        vdev
    }

    fn read_backend_type(&mut self) -> Option<DiskBackend> {
        let name = self.backend_type?;
        let found = DiskBackend::ALL.into_iter().find(|backend| backend.name() == name);
        match name {
            _ if found.is_some() => {}
            "tap" => self.wrong.push(refused(
                "backendtype=tap: no domain serves it; accepted: phy, qdisk".into(),
            )),
            "standalone" => self.wrong.push(refused(format!(
                "backendtype=standalone: {VIRTIO}; accepted: phy, qdisk"
            ))),
            _ => self
                .wrong
                .push(unaccepted(format!("backendtype {name:?}"), "phy, qdisk")),
        }
        found
    }
}

/// A value, or what an empty one stands for.
fn or<'a>(value: &'a str, default: &'a str) -> &'a str {
    if value.is_empty() { default } else { value }
}

/// Keeps a parameter that was not given before, or was given empty; one of a few values may be given again.
fn set<'a>(place: &mut Option<&'a str>, name: &str, value: &'a str, wrong: &mut Vec<Wrong>) {
    match *place {
        Some(before) if !before.is_empty() && (before != value || matches!(name, "target" | "vdev" | "backend")) => {
            wrong.push(unaccepted(format!("{name} {before:?} and {value:?}"), "one of them"));
        }
        _ => *place = Some(value),
    }
}
