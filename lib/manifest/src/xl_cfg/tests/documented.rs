//! What Xen's documentation and its example files show: read, or refused with a reason.

use alloc::format;
use alloc::string::{String, ToString as _};

use super::{domain, error, guest, read_text};
use crate::source::Wrong;
use crate::xl_cfg::keys::{Accepted, KEYS, Rule};
use crate::{Action, Kind, uuid};

/// Why lines are refused, when they are for one reason.
#[track_caller]
fn reason(lines: &str) -> String {
    let error = error(lines);
    match error.split_once(": cannot be honoured: ") {
        Some((_, reason)) => reason.to_string(),
        None => panic!("{error}"),
    }
}

#[test]
fn the_example_of_a_pv_guest() {
    // The settings of Xen's tools/examples/xlexample.pvlinux.
    let guest = domain(
        "name = \"example.pvlinux\"\nkernel = \"/boot/vmlinuz\"\nextra = \"root=/dev/xvda1\"\nmemory = 128\nvcpus = 2\n\
         vif = [ '' ]\ndisk = [ '/dev/vg/guest-volume,raw,xvda,rw' ]\n",
    );
    assert_eq!(guest.name, "example.pvlinux");
    assert_eq!(guest.kind, Kind::Pv);
    assert_eq!(guest.uuid, uuid::derive("h", "example.pvlinux"));
    assert_eq!((guest.kernel.as_str(), guest.ramdisk), ("/boot/vmlinuz", None));
    assert_eq!(guest.command_line, "root=/dev/xvda1");
    assert_eq!((guest.memory_kib, guest.maxmem_kib), (128 << 10, 128 << 10));
    assert_eq!((guest.vcpus, guest.max_vcpus), (2, 2));
    assert_eq!(
        [guest.on_poweroff, guest.on_reboot, guest.on_crash],
        [Action::Destroy, Action::Restart, Action::Destroy]
    );
    assert_eq!((guest.disks.len(), guest.interfaces.len()), (1, 1));
    assert_eq!(guest.disks[0].vdev.number(), 51712);
}

#[test]
fn the_example_of_a_pvh_guest() {
    // The settings of Xen's tools/examples/xlexample.pvhlinux.
    let guest = domain(
        "type = \"pvh\"\nname = \"example.pvhlinux\"\nkernel = \"/boot/vmlinuz\"\nextra = \"root=/dev/xvda1\"\nmemory = 512\nvcpus = 4\n\
         vif = [ '' ]\ndisk = [ '/dev/zvol/tank/guest-volume,raw,xvda,rw' ]\n",
    );
    assert_eq!((guest.kind, guest.vcpus, guest.memory_kib), (Kind::Pvh, 4, 512 << 10));
    assert_eq!(guest.disks[0].target, "/dev/zvol/tank/guest-volume");
}

#[test]
fn the_example_of_an_hvm_guest_is_refused() {
    // The settings of Xen's tools/examples/xlexample.hvm.
    let errors = read_text(
        "type = \"hvm\"\nname = \"example.hvm\"\nmemory = 128\nvcpus = 2\nvif = [ '' ]\n\
         disk = [ '/dev/vg/guest-volume,raw,xvda,rw' ]\nsdl = 1\n",
    );
    assert_eq!(
        errors.unwrap_err().to_string(),
        "g.cfg:1:1: kernel: missing; write the kernel's file, such as kernel = \"/boot/vmlinuz\"\n\
         g.cfg:1:8: type: cannot be honoured: domb builds no HVM guests, which need a device model; accepted: \"pvh\", \"pv\"\n\
         g.cfg:7:7: sdl: cannot be honoured: there are no displays; the guest's console is hvc0; accepted: 0"
    );
}

#[test]
fn the_installed_examples_are_read_or_refused() {
    let Ok(folder) = std::fs::read_dir("/etc/xen") else {
        // Xen's tools are not installed here; their settings are in the tests above.
        return;
    };
    for entry in folder.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("xlexample.") {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        match crate::xl_cfg::read(&bytes, &name, "h") {
            Ok(file) => assert!(name != "xlexample.hvm" && file.domain.check().is_empty(), "{name}"),
            Err(errors) => assert!(name == "xlexample.hvm", "{errors}"),
        }
    }
}

#[test]
fn pairs_stand_on_lines_or_behind_semicolons() {
    for text in ["name=\"h0\"\ntype=\"hvm\"", "name=\"h0\"; type=\"hvm\""] {
        let errors = read_text(&[text, "; memory=1; kernel='/k'"].concat()).unwrap_err();
        assert!(errors.0.iter().any(|error| error.key == "type"), "{errors}");
    }
}

#[test]
fn every_key_of_a_guest() {
    let guest = guest(
        "name = \"web\"\ntype = \"pvh\"\nuuid = \"01234567-89AB-cdef-0123-456789abcdef\"\nmaxmem = 256\nvcpus = 2\nmaxvcpus = 4\n\
         cpus = \"all\"\ncpus_soft = [ \"all\", 'all' ]\nramdisk = '/boot/initrd'\ncmdline = 'console=hvc0'\non_poweroff = 'preserve'\n\
         on_reboot = 'destroy'\non_crash = 'restart'\non_watchdog = 'restart'\non_soft_reset = 'restart'",
    );
    assert_eq!((guest.name.as_str(), guest.kind), ("web", Kind::Pvh));
    assert_eq!(uuid::text(&guest.uuid), "01234567-89ab-cdef-0123-456789abcdef");
    assert_eq!((guest.memory_kib, guest.maxmem_kib), (64 << 10, 256 << 10));
    assert_eq!((guest.vcpus, guest.max_vcpus), (2, 4));
    assert_eq!(guest.ramdisk.as_deref(), Some("/boot/initrd"));
    assert_eq!(guest.command_line, "console=hvc0");
    assert_eq!(
        [guest.on_poweroff, guest.on_reboot, guest.on_crash],
        [Action::Preserve, Action::Destroy, Action::Restart]
    );
}

#[test]
fn the_type_is_pv_unless_something_says_otherwise() {
    assert_eq!(guest("").kind, Kind::Pv);
    assert_eq!(guest("builder = 'generic'").kind, Kind::Pv);
    assert_eq!(guest("builder = 'generic'\ntype = 'pv'").kind, Kind::Pv);
    assert_eq!(guest("type = 'pvh'").kind, Kind::Pvh);
    assert!(reason("type = 'pvh'\nbuilder = 'generic'").starts_with("it says pv and type says pvh"));
    assert!(reason("builder = 'hvm'").starts_with("domb builds no HVM guests"));
    assert_eq!(error("type = 'p'"), "4:8: type: \"p\"; accepted: \"pvh\", \"pv\"");
    assert_eq!(
        error("builder = 'linux'"),
        "4:11: builder: \"linux\"; accepted: \"generic\"; or type instead"
    );
}

#[test]
fn the_command_line_is_put_together_as_xl_does() {
    for (lines, expected) in [
        ("", ""),
        ("root = '/dev/xvda ro'", "root=/dev/xvda ro"),
        ("extra = 'quiet'", "quiet"),
        ("extra = 'quiet'\nroot = '/dev/xvda'", "root=/dev/xvda quiet"),
        ("extra = 'a'\nextra += ' b'", "a b"),
        ("cmdline = 'c'\nextra = 'quiet'\nroot = '/dev/xvda'", "c"),
        ("cmdline = ''\nextra = 'quiet'", ""),
    ] {
        assert_eq!(guest(lines).command_line, expected, "{lines}");
    }
    let notes = read_text(&super::with("cmdline = 'c'\nextra = 'quiet'\nroot = '/r'"))
        .unwrap()
        .notes;
    assert_eq!(
        notes.to_string(),
        "g.cfg:5:9: extra: note: says nothing beside cmdline, as with xl\n\
         g.cfg:6:8: root: note: says nothing beside cmdline, as with xl"
    );
    assert_eq!(
        error(&format!("extra = '{}'", "x".repeat(1024))),
        "4:9: extra: command line of 1024 bytes; accepted for pv: at most 1023"
    );
}

#[test]
fn memory_and_vcpus_stand_for_what_is_not_given() {
    let guest = domain("name='g'\nkernel='/k'\nmaxmem=64\nmaxvcpus=3");
    assert_eq!(
        (guest.memory_kib, guest.maxmem_kib, guest.vcpus, guest.max_vcpus),
        (64 << 10, 64 << 10, 1, 3)
    );
    assert_eq!(
        read_text("name='g'\nkernel='/k'\nmaxmem=1").unwrap_err().to_string(),
        "g.cfg:3:8: maxmem: memory of 1024 KiB; accepted: 4096 KiB (4 MiB) to 17179869184 KiB (16 TiB), a multiple of 4 KiB"
    );
    let errors = read_text("").unwrap_err().to_string();
    assert_eq!(
        errors,
        "g.cfg:1:1: name: missing; write the guest's name, such as name = \"web\"\n\
         g.cfg:1:1: kernel: missing; write the kernel's file, such as kernel = \"/boot/vmlinuz\"\n\
         g.cfg:1:1: memory: missing; write the memory in MiB, such as memory = 128"
    );
    assert_eq!(
        error("vcpus = 2\nmaxvcpus = 1"),
        "5:12: maxvcpus: maxvcpus of 1; accepted: vcpus (2) to 64"
    );
    assert_eq!(error("vcpus = 0"), "4:9: vcpus: 0 vcpus; accepted: 1 to 64");
}

#[test]
fn values_that_the_guest_cannot_have_are_placed() {
    for (lines, expected) in [
        (
            "name = 'a b'",
            "4:8: name: name \"a b\"; accepted: 1 to 64 characters of A-Z a-z 0-9 _ . -, the first a letter, a digit or _",
        ),
        (
            "kernel = 'vmlinuz'",
            "4:10: kernel: \"vmlinuz\"; accepted: an absolute path",
        ),
        ("ramdisk = ''", "4:11: ramdisk: \"\"; accepted: an absolute path"),
        (
            "uuid = '1'",
            "4:8: uuid: \"1\"; accepted: text such as \"01234567-89ab-cdef-0123-456789abcdef\"",
        ),
        (
            "memory = 1",
            "4:10: memory: memory of 1024 KiB; accepted: 4096 KiB (4 MiB) to 17179869184 KiB (16 TiB), a multiple of 4 KiB",
        ),
        (
            "on_crash = 'explode'",
            "4:12: on_crash: \"explode\"; accepted: \"destroy\", \"restart\", \"preserve\"",
        ),
        ("name = [ 'g' ]", "4:8: name: is a list; accepted: text"),
    ] {
        assert_eq!(error(lines), expected);
    }
}

#[test]
fn actions_that_domb_has_not_are_refused() {
    for (lines, expected) in [
        (
            "on_poweroff = 'rename-restart'",
            "domb keeps a guest or starts it again, not both",
        ),
        ("on_crash = 'coredump-destroy'", "a guest's memory is written nowhere"),
        ("on_crash = 'coredump-restart'", "a guest's memory is written nowhere"),
        ("on_soft_reset = 'soft-reset'", "only HVM guests are reset"),
        (
            "on_watchdog = 'restart'",
            "domb takes it for a crash, and on_crash is destroy",
        ),
        (
            "on_crash = 'preserve'\non_soft_reset = 'destroy'",
            "domb takes it for a crash, and on_crash is preserve",
        ),
    ] {
        assert!(reason(lines).starts_with(expected), "{lines}");
    }
    let notes = read_text(&super::with("on_crash = 'restart'")).unwrap().notes;
    assert_eq!(
        notes.to_string(),
        "g.cfg:4:12: on_crash: note: restart also when its watchdog fires, where xl would destroy it"
    );
}

#[test]
fn the_other_examples_of_the_manual_are_refused_with_a_reason() {
    for (lines, expected) in [
        ("cpus = \"0-3,5,^1\"", "domb pins no vCPUs"),
        ("cpus = \"nodes:0-3,^node:2\"", "domb pins no vCPUs"),
        ("cpus = [\"2\", \"3-8,^5\"]", "domb pins no vCPUs"),
        ("cpus_soft = \"all,^5-8\"", "domb pins no vCPUs"),
        (
            "vnuma = [ [\"pnode=0\",\"size=512\",\"vcpus=0-4\",\"vdistances=10,20\"] ]",
            "domb gives guests one memory node",
        ),
        ("pool = \"other\"", "there is one CPU pool"),
        ("cpu_weight = 512", "domb leaves Xen's scheduler at its defaults"),
        ("cap = 50", "domb leaves Xen's scheduler at its defaults"),
        (
            "bootloader = \"pygrub\"",
            "domb runs no program on a guest's disk; give kernel and ramdisk, or the file of a pvgrub",
        ),
        ("bootloader_args = [ \"-q\" ]", "domb runs no program on a guest's disk"),
        ("firmware = \"pvgrub64\"", "domb knows no directory of firmware"),
        ("pvshim = 1", "domb starts no shim"),
        (
            "seclabel = \"system_u:system_r:domU_t\"",
            "domb runs on Xen without FLASK",
        ),
        ("max_grant_frames = 64", "domb sets Xen's limits itself"),
        ("driver_domain = 1", "driver domains stand in the host's manifest"),
        ("passthrough = \"share_pt\"", "domb gives guests no hardware yet"),
        (
            "pci = [ '0000:01:00.0', '02:00.0,permissive=1' ]",
            "domb gives guests no hardware yet",
        ),
        ("pci_permissive = 1", "domb gives guests no hardware yet"),
        (
            "rdm = \"strategy=host,policy=strict\"",
            "domb gives guests no hardware yet",
        ),
        (
            "ioports = [ \"2f8-2ff\", \"3f8\" ]",
            "domb gives guests no hardware yet",
        ),
        ("iomem = [ \"fe000,2@c0000\" ]", "domb gives guests no hardware yet"),
        ("irqs = [ 5 ]", "domb gives guests no hardware yet"),
        ("e820_host = 1", "domb gives guests no hardware yet"),
        ("vtpm = [ \"backend=vtpm\" ]", "its backends are TPM 1.2"),
        ("vfb = [ 'vnc=1,vnclisten=0.0.0.0' ]", "there are no displays"),
        ("vnc = 1", "there are no displays"),
        ("vncpasswd = 'x'", "there are no displays"),
        (
            "p9 = [ 'tag=share,path=/srv,security_model=none' ]",
            "domb connects disks and network interfaces only",
        ),
        (
            "pvcalls = [ 'backend=0' ]",
            "domb connects disks and network interfaces only",
        ),
        (
            "channel = [ 'connection=pty,name=org.mydomain.guestagent.1' ]",
            "domb connects disks",
        ),
        (
            "usbctrl=[\"version=1,ports=4\", \"version=2,ports=8\"]",
            "domb connects disks",
        ),
        ("usbdev = [ 'hostbus=1,hostaddr=3' ]", "domb connects disks"),
        (
            "vdispl = [ 'backend=0,connectors=id0:1920x1080;id1:800x600;id2:640x480' ]",
            "domb connects disks",
        ),
        ("vkb = [ 'backend=0,backend-type=qemu' ]", "domb connects disks"),
        (
            "virtio = [ 'type=virtio,device22,transport=mmio' ]",
            "domb connects disks",
        ),
        (
            "vsnd = [\n['CARD, short-name=Main, sample-formats=s16_le;s8;u32_be',\n'PCM, name=Main',\n'STREAM, id=0, type=p',\n\
             'STREAM, id=1, type=c, channels-max=2'\n],\n['CARD, short-name=Second',\n'PCM, name=Second, buffer-size=1024'\n]\n]",
            "domb connects disks",
        ),
        (
            "cpuid = \"host,tm=0,sse3=0\"",
            "every guest has the processor that Xen's default policy gives it",
        ),
        (
            "cpuid = [ \"1:ecx=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx0,edx=xx0xxxxxxxxxxxxxxxxxxxxxxxxxxxxx\" ]",
            "every guest has the processor that Xen's default policy gives it",
        ),
        ("tsc_mode = \"native\"", "every guest has the processor"),
        ("viridian = [ \"all\", \"!freq\" ]", "only HVM guests have it"),
        ("usbdevice = [ 'tablet' ]", "only HVM guests have it"),
        ("boot = 'cd'", "only HVM guests have it"),
        ("serial = 'pty'", "PVH and PV guests have no serial port"),
        ("device_model_args = [ '-k' ]", "it configures a device model"),
        ("llc_colors = [ \"0-3\" ]", "only guests on Arm have it"),
        ("vif2 = [ '' ]", "xl does not know these interfaces either"),
        ("vifscript = 'x'", "it is a key of xl.conf"),
    ] {
        let reason = reason(lines);
        assert!(reason.starts_with(expected), "{lines}: {reason}");
    }
}

#[test]
fn keys_that_say_what_is_so_anyway_are_accepted() {
    assert!(reason("nx += 1").starts_with("every guest can mark pages"));
    for (key, rule) in KEYS {
        let Rule::Only(accepted, _) = rule else {
            continue;
        };
        let values: &[&str] = match accepted {
            Accepted::Off => &["0", "'0'"],
            Accepted::On => &["1", "2"],
            Accepted::Flag => &["0", "1"],
            Accepted::Number(256) => &["256", "0x100"],
            Accepted::Number(_) => &["0"],
            Accepted::Texts(_) | Accepted::EmptyList => &[],
        };
        for value in values {
            assert_eq!(guest(&format!("{key} = {value}")), guest(""), "{key} = {value}");
        }
        if let Accepted::Texts(texts) = accepted {
            for text in *texts {
                assert_eq!(guest(&format!("{key} = \"{text}\"")), guest(""), "{key} = {text}");
            }
        }
        let empty = read_text(&super::with(&format!("{key} = []")));
        assert_eq!(empty.is_ok(), *accepted == Accepted::EmptyList, "{key} = []");
        let other = read_text(&super::with(&format!("{key} = 'something else'"))).unwrap_err();
        assert!(matches!(other.0[0].wrong, Wrong::Refused { .. }), "{other}");
    }
}

#[test]
fn keys_that_are_refused_are_refused_with_each_value() {
    for (key, rule) in KEYS {
        let Rule::Refused(reason) = rule else {
            continue;
        };
        for value in ["0", "''", "[]"] {
            assert_eq!(
                error(&format!("{key} = {value}")),
                format!("4:1: {key}: cannot be honoured: {reason}")
            );
        }
    }
}

#[test]
fn the_documentation_names_every_key() {
    let text = include_str!("../../../../../docs/xl-cfg.md");
    for (key, rule) in KEYS {
        let name = format!("`{key}`");
        let line = text.lines().find(|line| line.contains(&name));
        let line = line.unwrap_or_else(|| panic!("{key} is not in docs/xl-cfg.md"));
        if let Rule::Only(_, reason) | Rule::Refused(reason) = rule {
            assert!(line.contains(reason), "{key}: {reason}");
        }
    }
}
