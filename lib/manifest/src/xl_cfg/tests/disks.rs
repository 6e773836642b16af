//! `disk`: xl-disk-configuration(5) and Xen's tools/xl/check-xl-disk-parse.

use alloc::format;
use alloc::string::{String, ToString as _};

use super::{error, errors, guest};
use crate::device::{Access, DiskBackend, Format, Vdev};
use crate::{Disk, Error};

#[track_caller]
fn disk(item: &str) -> Disk {
    guest(&format!("disk = [ '{item}' ]")).disks.remove(0)
}

/// What is wrong with an item.
#[track_caller]
fn wrong(item: &str) -> String {
    let error = error(&format!("disk = [ '{item}' ]"));
    error.strip_prefix("4:10: disk: ").unwrap_or(&error).to_string()
}

fn volume(vdev: &str) -> Disk {
    Disk {
        backend: None,
        target: "/dev/vg/guest-volume".into(),
        format: Format::Raw,
        vdev: Vdev::parse(vdev).unwrap(),
        access: Access::ReadWrite,
        cdrom: false,
        backend_type: None,
        discard: true,
        direct_io_safe: false,
        trusted: true,
    }
}

fn image() -> Disk {
    Disk {
        target: "/root/image.iso".into(),
        access: Access::ReadOnly,
        cdrom: true,
        discard: false,
        ..volume("hdc")
    }
}

#[test]
fn the_equivalent_items_of_the_manual_are_equal() {
    for item in [
        "/dev/vg/guest-volume,,hda",
        "/dev/vg/guest-volume,raw,hda,rw",
        "format=raw, vdev=hda, access=rw, target=/dev/vg/guest-volume",
        "raw:/dev/vg/guest-volume,hda,w",
        // And more of the same.
        "vg/guest-volume,,hda",
        "phy:/dev/vg/guest-volume,hda,w",
        "phy:vg/guest-volume,hda",
        "file:/dev/vg/guest-volume,hda:disk,w",
        "tap:aio:raw:/dev/vg/guest-volume,hda,",
        "tap2:tapdisk:ioemu:/dev/vg/guest-volume,hda",
        "vdev=hda,/dev/vg/guest-volume",
        "vdev=hda,,,target=/dev/vg/guest-volume",
        " /dev/vg/guest-volume,\t raw, hda,w,devtype=disk,specification=xen,discard,trusted,no-colo",
        "access=,format=,backend=,vdev=hda,target=/dev/vg/guest-volume",
        "backend=0,vdev=hda,target=/dev/vg/guest-volume",
        "/dev/vg/guest-volume,,hda,,",
    ] {
        assert_eq!(disk(item), volume("hda"), "{item}");
    }
    for item in [
        "/root/image.iso,,hdc,cdrom",
        "/root/image.iso,,hdc,,cdrom",
        "/root/image.iso,raw,hdc,devtype=cdrom",
        "format=raw, vdev=hdc, access=ro, devtype=cdrom, target=/root/image.iso",
        "raw:/root/image.iso,hdc:cdrom,ro",
    ] {
        assert_eq!(disk(item), image(), "{item}");
    }
}

#[test]
fn every_parameter() {
    assert_eq!(
        disk(
            "format=qcow2,vdev=xvdb1,access=r,backend=net1,backendtype=qdisk,direct-io-safe,discard,untrusted,target=/a,b:c d"
        ),
        Disk {
            backend: Some("net1".into()),
            target: "/a,b:c d".into(),
            format: Format::Qcow2,
            vdev: Vdev::parse("xvdb1").unwrap(),
            access: Access::ReadOnly,
            cdrom: false,
            backend_type: Some(DiskBackend::Qdisk),
            discard: true,
            direct_io_safe: true,
            trusted: false,
        }
    );
    assert_eq!(disk("/a,vhd,xvda").format, Format::Vhd);
    assert_eq!(disk("qcow:/a,xvda").format, Format::Qcow);
    assert!(!disk("/a,,xvda,no-discard").discard);
    assert_eq!(disk("/a,,xvda,w,backendtype=phy").backend_type, Some(DiskBackend::Phy));
    assert_eq!(
        disk("/dev/disk/by-path/pci-0000:00:1f.2,,d0p1").vdev.to_string(),
        "xvda1"
    );
    assert_eq!(disk("/a,,51713").vdev.to_string(), "xvda1");
}

#[test]
fn what_is_wrong_is_named() {
    for (item, expected) in [
        ("vdev=xvda", "no target; accepted: target=PATH"),
        ("/a", "no vdev; accepted: xvda, xvdb1, hdc, sda, d0p1, or a number"),
        (
            "/a,,vda",
            "vdev \"vda\"; accepted: xvda, xvdb1, hdc, sda, d0p1, or a number",
        ),
        ("/a,aio,xvda", "format \"aio\"; accepted: raw, qcow, qcow2, vhd, qed"),
        (
            "/a,empty,xvda",
            "format \"empty\"; accepted: raw, qcow, qcow2, vhd, qed",
        ),
        ("/a,,xvda,w!", "access \"w!\"; accepted: r, ro, w, rw"),
        (
            "/a,,xvda,w,x",
            "parameter \"x\" behind the others; accepted: target, format, vdev, access, then names and flags",
        ),
        (
            "/a,,xvda,size=5",
            "parameter \"size\"; accepted: target, format, vdev, access, devtype, backend, backendtype, specification",
        ),
        (
            "/a,,xvda,format=raw,format=qcow",
            "format \"raw\" and \"qcow\"; accepted: one of them",
        ),
        (
            "vdev=xvda,vdev=xvdb,target=/a",
            "vdev \"xvda\" and \"xvdb\"; accepted: one of them",
        ),
        (
            "vdev=xvda,vdev=xvda,target=/a",
            "vdev \"xvda\" and \"xvda\"; accepted: one of them",
        ),
        ("/a,,,w", "no vdev; accepted: xvda, xvdb1, hdc, sda, d0p1, or a number"),
        ("/a,,xvda,devtype=floppy", "devtype \"floppy\"; accepted: disk, cdrom"),
        ("raw:/a,xvda:floppy", "type \"floppy\"; accepted: disk, cdrom"),
        (
            "foo:/a,xvda",
            "prefix foo:; accepted: raw:, qcow:, qcow2:, vhd:, file:, phy:, tap:, tap2:, tapdisk:, aio:, ioemu:",
        ),
        (
            "/a,,xvda,backendtype=fast",
            "backendtype \"fast\"; accepted: phy, qdisk",
        ),
    ] {
        assert_eq!(wrong(item), expected, "{item}");
    }
}

#[test]
fn what_cannot_be_had_has_a_reason() {
    for (item, part) in [
        (
            ",hdc:cdrom,r",
            "an empty drive: only an HVM guest's can be filled later",
        ),
        ("format=empty,vdev=hdc,cdrom", "an empty drive"),
        (
            "/a,,xvda,script=block-x",
            "script: scripts of Xen's toolstack run in domain 0",
        ),
        ("iscsi:iqn.x,xvda", "iscsi: stands for script=block-iscsi"),
        ("drbd:r0,xvda", "drbd: stands for script=block-drbd"),
        ("/a,,xvda,backendtype=tap", "backendtype=tap: no domain serves it"),
        (
            "/a,,xvda,backendtype=standalone",
            "backendtype=standalone: disks are Xen's own",
        ),
        (
            "/a,,xvda,specification=virtio",
            "specification=virtio: disks are Xen's own",
        ),
        (
            "/a,,xvda,specification=xen,grant_usage=1",
            "grant_usage: disks are Xen's own",
        ),
        ("/a,,xvda,colo", "colo: no guest runs on two hosts"),
        ("/a,,xvda,colo-port=9000", "colo-port: no guest runs on two hosts"),
        ("/a,,xvda,backend=3", "backend=3: domains have another number"),
        (
            "vdev=xvda,target=rbd:pool/x",
            "target \"rbd:pool/x\": QEMU's protocols are not served",
        ),
    ] {
        let wrong = wrong(item);
        assert!(
            wrong.starts_with("cannot be honoured: ") && wrong.contains(part),
            "{item}: {wrong}"
        );
    }
}

#[test]
fn an_item_can_have_several_errors_and_each_has_its_line() {
    assert_eq!(
        errors("disk = [\n '/a,foo,vda',\n '/b,,xvda',\n ['/c'],\n]\nvif = 'x'"),
        "g.cfg:5:2: disk: format \"foo\"; accepted: raw, qcow, qcow2, vhd, qed\n\
         g.cfg:5:2: disk: vdev \"vda\"; accepted: xvda, xvdb1, hdc, sda, d0p1, or a number\n\
         g.cfg:7:2: disk: is a list; accepted: text\n\
         g.cfg:9:7: vif: is text; accepted: a list of texts"
    );
}

#[test]
fn the_check_of_the_guest_is_placed() {
    assert_eq!(
        error("disk = [ '/a,,xvda',\n'/b,,51712' ]"),
        "5:1: disk: disk 1: vdev xvda: a disk before it is that, too"
    );
    assert_eq!(
        error("disk = [ '/a,qcow2,xvda,backendtype=phy' ]"),
        "4:10: disk: disk 0: format qcow2 with backendtype phy; accepted: raw"
    );
    let many: String = (0..65).map(|disk| format!("'/a,,d{disk}p0',")).collect();
    assert_eq!(
        error(&format!("disk = [{many}]")),
        "4:8: disk: disk: 65 of them; accepted: at most 64"
    );
    assert!(matches!(
        super::read_text(&super::with("disk = [ '/a\\tb,,xvda' ]"))
            .unwrap_err()
            .0[0]
            .wrong,
        crate::source::Wrong::Name(Error::Device { .. })
    ));
}
