//! The nodes of device directories that say what a device is and what it is connected to: what a toolstack writes and
//! neither end does.
//!
//! Taken from what Xen's tools/libs/light writes (`libxl__device_generic_add` and the `set_xenstore_config` of each
//! class) and from public/io/*.h, less what drivers write: Linux' drivers/block/xen-blkback, drivers/net/xen-netback,
//! drivers/xen/xen-pciback and the frontends, QEMU's hw/xen, and the scripts in Xen's tools/hotplug/Linux.

use super::place::{Node, split};

/// Whether a node below `device/CLASS/I` is the builder's.
pub(super) fn in_frontend(class: &str, path: &str) -> bool {
    let (name, below) = split(path);
    matches!(name, "" | "backend" | "backend-id")
        || match class {
            "vbd" => matches!(name, "virtual-device" | "device-type" | "trusted"),
            "vif" => matches!(name, "handle" | "mac" | "mtu" | "trusted"),
            "9pfs" => name == "tag",
            "console" => matches!(name, "name" | "limit" | "type" | "output" | "tty"),
            "vtpm" => name == "handle",
            "vscsi" => in_scsi_devices(name, below),
            "vdispl" => name == "be-alloc" || in_display(name, below),
            "vsnd" => in_sound_card(path),
            _ => false,
        }
}

/// Whether a node below `backend/CLASS/F/I` is the builder's.
pub(super) fn in_backend(class: &str, path: &str) -> bool {
    let (name, below) = split(path);
    matches!(name, "" | "frontend" | "frontend-id" | "online" | "domain")
        || match class {
            "vbd" | "qdisk" => matches!(
                name,
                "params"
                    | "script"
                    | "removable"
                    | "bootable"
                    | "dev"
                    | "type"
                    | "mode"
                    | "device-type"
                    | "direct-io-safe"
                    | "discard-enable"
            ),
            "vif" => matches!(
                name,
                "mac"
                    | "ip"
                    | "gatewaydev"
                    | "rate"
                    | "mtu"
                    | "vlan"
                    | "bridge"
                    | "handle"
                    | "type"
                    | "script"
                    | "vifname"
            ),
            "9pfs" => matches!(
                name,
                "path" | "security_model" | "max-space" | "max-files" | "max-open-files" | "auto-delete"
            ),
            "vfb" => matches!(
                name,
                "vnc"
                    | "vnclisten"
                    | "vncpasswd"
                    | "vncdisplay"
                    | "vncunused"
                    | "sdl"
                    | "opengl"
                    | "xauthority"
                    | "display"
            ),
            "vkbd" => matches!(
                name,
                "unique-id" | "feature-disable-keyboard" | "feature-disable-pointer"
            ),
            "console" => matches!(name, "name" | "connection" | "path"),
            "vusb" | "qusb" => matches!(name, "type" | "usb-ver" | "num-ports" | "port"),
            "pci" => name == "num_devs" || PCI_PREFIXES.iter().any(|prefix| name.starts_with(prefix)),
            "vtpm" => matches!(name, "handle" | "uuid"),
            "vscsi" => in_scsi_devices(name, below),
            _ => false,
        }
}

/// With a number behind them; Linux' pciback writes `vdev-N`, `state-N` and `root-N`.
const PCI_PREFIXES: [&str; 5] = ["key-", "dev-", "vdevfn-", "opts-", "name-"];

/// Which nodes a driver domain writes in its frontends' directories: none but `mtu` of network interfaces, which
/// tools/hotplug/Linux/xen-network-common.sh sets to the bridge's, and `tty` of consoles, which xenconsoled sets.
/// A toolstack makes the backend their owner.
pub(super) fn of_driver(node: Node<'_>) -> Option<&'static str> {
    match node {
        Node::Device {
            class: "vif",
            rest: "mtu",
        } => Some("vif"),
        Node::Console { rest: "tty" }
        | Node::Device {
            class: "console",
            rest: "tty",
        } => Some("console"),
        _ => None,
    }
}

/// `vscsi-devs/dev-N/…` at both ends: state is the ends' (public/io/vscsiif.h).
fn in_scsi_devices(name: &str, below: &str) -> bool {
    let (device, below) = split(below);
    let (node, _) = split(below);
    name == "vscsi-devs" && (device.is_empty() || matches!(node, "" | "p-dev" | "p-devname" | "v-dev"))
}

/// `CONNECTOR/…` (public/io/displif.h).
fn in_display(name: &str, below: &str) -> bool {
    let (node, _) = split(below);
    is_number(name) && matches!(node, "" | "resolution" | "unique-id")
}

/// Parameters at the card, below `DEVICE` and below `DEVICE/STREAM`, and those directories (public/io/sndif.h).
fn in_sound_card(path: &str) -> bool {
    let (device, below) = split(path);
    let (stream, parameter) = split(below);
    match (is_number(device), is_number(stream)) {
        (false, _) => is_sound_parameter(device),
        (true, false) => stream.is_empty() || is_sound_parameter(stream),
        (true, true) => parameter.is_empty() || is_sound_parameter(split(parameter).0),
    }
}

fn is_sound_parameter(name: &str) -> bool {
    matches!(
        name,
        "short-name"
            | "long-name"
            | "name"
            | "type"
            | "unique-id"
            | "channels-min"
            | "channels-max"
            | "sample-rates"
            | "sample-formats"
            | "buffer-size"
    )
}

fn is_number(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit())
}
