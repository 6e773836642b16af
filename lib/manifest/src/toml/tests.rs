//! Tests of the reader: what it accepts, and each kind of error with its place and the accepted values.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use measure::{Bank, Digests};
use proptest::prelude::*;

use super::*;
use crate::device::{Access, Address, Disk, DiskBackend, Format, Interface, Mac, Rate, Vdev};
use crate::{
    Action, BackendClass, Console, Kind, LogLevel, ManagementSettings, Role, StoreAccess, StoreQuota, StoreRight,
    StoreSettings, uuid,
};

const FULL: &str = r#"
[host]
name = "demo"
banks = ["sha256", "sha384"]
operator-console = true
log-level = "debug"

[image.debian]
file = "../cache/vmlinuz"
sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

[image.initrd]
file = "initrd.img"

[[domain]]
name = "web"
type = "pv"
kernel = "debian"
ramdisk = "initrd"
cmdline = "console=hvc0"
memory = 128
maxmem = "1 GiB"
vcpus = 2
maxvcpus = 4
uuid = "01234567-89AB-cdef-0123-456789abcdef"
autostart = true
needs = ["store"]
on_poweroff = "preserve"
on_reboot = "destroy"
on_crash = "restart"
console = "none"
roles = ["driver", "management"]
serves = ["vbd", "9pfs"]
store-quota = { nodes = 2000, bytes = 1, watches = 2, transactions = 3, operations = 4, permissions = 5, path = 64, node-size = 7, outstanding = 8, events = 9 }
store-access = [
    { path = "/local/domain/*/data", access = "read" },
    { of = "store", path = "**", access = "write" },
]
channels = 3
image-memory = "64 MiB"

[[domain.disk]]
backend = "web"
target = "/srv/web.qcow2"
format = "qcow2"
vdev = "hdc"
cdrom = true
backendtype = "qdisk"
discard = true
direct-io-safe = true
trusted = false

[[domain.disk]]
target = "/dev/vg/web"
vdev = "xvda"

[[domain.interface]]
backend = "web"
bridge = "br-lan"
mac = "02:00:00:01:02:03"
ip = ["192.0.2.1", "2001:db8::/64"]
rate = "10Mb/s"
mtu = 9000
vifname = "web0"
trusted = false

[[domain.interface]]

[[domain]]
name = "store"
kernel = "debian"
memory = "8 MiB"
type = "pv"
roles = ["store"]

[store]
recovery = 16
quota = { nodes = 500, node-size = 1024 }
"#;

/// A right file to which one wrong thing is added: its `[host]` and `[image.debian]`, then `text` from line 6 on.
fn errors(text: &str) -> String {
    let text = ["[host]\nname = \"h\"\n[image.debian]\nfile = \"k\"\n\n", text].concat();
    match read(&text, "h.toml") {
        Err(errors) => errors.to_string(),
        Ok(host_file) => {
            let images = host_file
                .images
                .iter()
                .map(|image| image_of(&host_file, image))
                .collect();
            let problems = host_file.manifest(images).check();
            problems
                .iter()
                .map(|problem| host_file.place(problem).to_string())
                .collect::<Vec<_>>()
                .join("\n")
        }
    }
}

fn image_of(host_file: &HostFile, source: &ImageSource) -> Image {
    Image {
        name: source.name.clone(),
        size: 0,
        digests: Digests::of(&host_file.host.banks, b""),
    }
}

/// A right domain to which `line` is added as line 10.
fn domain_errors(line: &str) -> String {
    errors(
        &[
            "[[domain]]\nname = \"d\"\nkernel = \"debian\"\nmemory = 8\n",
            line,
            "\n",
        ]
        .concat(),
    )
}

#[test]
fn every_key_is_read() {
    let host_file = read(FULL, "demo.toml").unwrap();
    assert_eq!(host_file.host.name, "demo");
    assert_eq!(host_file.host.banks, Bank::ALL);
    assert!(host_file.host.operator_console);
    assert_eq!(host_file.host.log_level, LogLevel::Debug);
    let quota = StoreQuota {
        nodes: Some(500),
        node_size: Some(1024),
        ..StoreQuota::default()
    };
    assert_eq!(
        host_file.host.store,
        StoreSettings {
            recovery_mib: 16,
            quota
        }
    );
    let images: Vec<(&str, &str)> = host_file
        .images
        .iter()
        .map(|image| (image.name.as_str(), image.file.as_str()))
        .collect();
    assert_eq!(images, [("debian", "../cache/vmlinuz"), ("initrd", "initrd.img")]);
    assert_eq!(host_file.images[0].sha256, Some(Digest::of(Bank::Sha256, b"abc")));
    assert_eq!(host_file.images[1].sha256, None);
    let [web, store] = host_file.domains.as_slice() else {
        panic!("two domains")
    };
    assert_eq!(
        *web,
        Domain {
            name: "web".into(),
            uuid: uuid::parse("01234567-89ab-cdef-0123-456789abcdef").unwrap(),
            kind: Kind::Pv,
            kernel: "debian".into(),
            ramdisk: Some("initrd".into()),
            command_line: "console=hvc0".into(),
            memory_kib: 128 << 10,
            maxmem_kib: 1 << 20,
            vcpus: 2,
            max_vcpus: 4,
            autostart: true,
            needs: vec!["store".into()],
            on_poweroff: Action::Preserve,
            on_reboot: Action::Destroy,
            on_crash: Action::Restart,
            console: Console::None,
            roles: vec![Role::Driver, Role::Management],
            serves: vec![BackendClass::Vbd, BackendClass::P9fs],
            store_quota: StoreQuota {
                nodes: Some(2000),
                bytes: Some(1),
                watches: Some(2),
                transactions: Some(3),
                operations: Some(4),
                permissions: Some(5),
                path: Some(64),
                node_size: Some(7),
                outstanding: Some(8),
                events: Some(9),
            },
            store_access: vec![
                StoreAccess {
                    of: None,
                    path: "/local/domain/*/data".into(),
                    access: StoreRight::Read,
                },
                StoreAccess {
                    of: Some("store".into()),
                    path: "**".into(),
                    access: StoreRight::Write,
                },
            ],
            disks: vec![
                Disk {
                    backend: Some("web".into()),
                    target: "/srv/web.qcow2".into(),
                    format: Format::Qcow2,
                    vdev: Vdev::parse("hdc").unwrap(),
                    access: Access::ReadOnly,
                    cdrom: true,
                    backend_type: Some(DiskBackend::Qdisk),
                    discard: true,
                    direct_io_safe: true,
                    trusted: false,
                },
                Disk {
                    backend: None,
                    target: "/dev/vg/web".into(),
                    format: Format::Raw,
                    vdev: Vdev::parse("xvda").unwrap(),
                    access: Access::ReadWrite,
                    cdrom: false,
                    backend_type: None,
                    discard: true,
                    direct_io_safe: false,
                    trusted: true,
                },
            ],
            interfaces: vec![
                Interface {
                    backend: Some("web".into()),
                    bridge: "br-lan".into(),
                    mac: Mac([2, 0, 0, 1, 2, 3]),
                    ip: vec![
                        Address::parse("192.0.2.1").unwrap(),
                        Address::parse("2001:db8::/64").unwrap()
                    ],
                    rate: Some(Rate {
                        bytes_per_second: 1_250_000,
                        interval_us: 50_000,
                    }),
                    mtu: Some(9000),
                    vifname: Some("web0".into()),
                    trusted: false,
                },
                Interface {
                    backend: None,
                    bridge: "xenbr0".into(),
                    mac: Mac::derive(&web.uuid, 1),
                    ip: vec![],
                    rate: None,
                    mtu: None,
                    vifname: None,
                    trusted: true,
                },
            ],
            management: ManagementSettings {
                channels: 3,
                image_memory_kib: 64 << 10,
            },
        }
    );
    assert_eq!(
        *store,
        Domain {
            name: "store".into(),
            uuid: uuid::derive("demo", "store"),
            kind: Kind::Pv,
            kernel: "debian".into(),
            ramdisk: None,
            command_line: String::new(),
            memory_kib: 8 << 10,
            maxmem_kib: 8 << 10,
            vcpus: 1,
            max_vcpus: 1,
            autostart: false,
            needs: vec![],
            on_poweroff: Action::Destroy,
            on_reboot: Action::Restart,
            on_crash: Action::Restart,
            console: Console::Log,
            roles: vec![Role::Store],
            serves: vec![],
            store_quota: StoreQuota::default(),
            store_access: vec![],
            disks: vec![],
            interfaces: vec![],
            management: ManagementSettings::default(),
        }
    );
    let images = host_file
        .images
        .iter()
        .map(|image| image_of(&host_file, image))
        .collect();
    let manifest = host_file.manifest(images);
    // A host with one driver, which cannot serve itself.
    let texts: Vec<String> = manifest
        .check()
        .iter()
        .map(|problem| host_file.place(problem).to_string())
        .collect();
    assert_eq!(
        texts,
        [
            "demo.toml:42:1: domain.disk: domain web: disk 0: backend: the domain itself; accepted: another",
            "demo.toml:53:1: domain.disk: domain web: disk 1: backend: none, and no other domain serves vbd",
            "demo.toml:57:1: domain.interface: domain web: interface 0: backend: the domain itself; accepted: another",
            "demo.toml:67:1: domain.interface: domain web: interface 1: backend: none, and no other domain serves vif",
        ]
    );
    assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
}

#[test]
fn defaults_of_the_host() {
    let host = read("[host]\nname = \"h\"", "h.toml").unwrap().host;
    let expected = Host {
        name: "h".into(),
        banks: vec![Bank::Sha256],
        operator_console: false,
        log_level: LogLevel::Info,
        store: StoreSettings {
            recovery_mib: 8,
            quota: StoreQuota::default(),
        },
    };
    assert_eq!(host, expected);
}

#[test]
fn nothing_but_the_text_decides() {
    assert_eq!(
        read(FULL, "a.toml").unwrap().domains,
        read(FULL, "b.toml").unwrap().domains
    );
}

#[test]
fn syntax() {
    assert_eq!(
        errors("[[domain]]\nname = \"d\nx = 1"),
        "h.toml:7:10: invalid basic string, expected `\"`"
    );
    assert!(errors("[host]").starts_with("h.toml:6:"), "{}", errors("[host]"));
    assert!(errors("[[domain]]\nname = \"a\"\nname = \"b\"").contains("duplicate key"));
    // Several at once.
    assert_eq!(errors("a = \n[[domain]]\nb = \n").lines().count(), 2);
}

#[test]
fn unknown_keys() {
    assert_eq!(
        errors("[extra]"),
        "h.toml:6:2: extra: unknown key; accepted here: host, store, image, domain, key, class, access"
    );
    assert_eq!(
        domain_errors("vcpu = 2"),
        "h.toml:10:1: domain.vcpu: unknown key; accepted here: name, type, kernel, ramdisk, cmdline, memory, maxmem, vcpus, \
         maxvcpus, uuid, autostart, needs, on_poweroff, on_reboot, on_crash, console, roles, serves, store-quota, store-access, \
         disk, interface, channels, image-memory"
    );
    assert_eq!(
        errors("[image.x]\nfile = \"f\"\n  md5 = \"\""),
        "h.toml:8:3: image.x.md5: unknown key; accepted here: file, sha256"
    );
    let host = read("[host]\nname = \"h\"\nlog_level = \"info\"", "h.toml")
        .unwrap_err()
        .to_string();
    assert_eq!(
        host,
        "h.toml:3:1: host.log_level: unknown key; accepted here: name, banks, operator-console, log-level"
    );
}

#[test]
fn missing_keys() {
    assert_eq!(
        read("", "h.toml").unwrap_err().to_string(),
        "h.toml:1:1: host: missing; write a table [host]"
    );
    assert_eq!(
        read("\n[host]", "h.toml").unwrap_err().to_string(),
        "h.toml:2:1: host.name: missing; write the host's name, such as name = \"demo\""
    );
    assert_eq!(
        errors("[image.x]"),
        "h.toml:6:1: image.x.file: missing; write file = \"PATH\""
    );
    assert_eq!(
        errors("[[domain]]"),
        "h.toml:6:1: domain.name: missing; write the domain's name, such as name = \"web\"\n\
         h.toml:6:1: domain.kernel: missing; write the name of an image, such as kernel = \"debian\"\n\
         h.toml:6:1: domain.memory: missing; write the memory in MiB, such as memory = 128"
    );
}

#[test]
fn wrong_types() {
    let memory = "a whole number of MiB, or text such as \"5 GiB\", \"8 MiB\", \"4096 KiB\"";
    for (line, error) in [
        ("cmdline = 1", "cmdline: is a whole number; accepted: text"),
        ("type = 1", "type: is a whole number; accepted: \"pvh\", \"pv\""),
        ("autostart = \"yes\"", "autostart: is text; accepted: true, false"),
        ("vcpus = 1.5", "vcpus: is a number with a fraction; accepted: 1 to 64"),
        ("vcpus = \"1\"", "vcpus: is text; accepted: 1 to 64"),
        (
            "maxmem = true",
            &["maxmem: is true or false; accepted: ", memory].concat(),
        ),
        (
            "needs = \"store\"",
            "needs: is text; accepted: a list of names of domains",
        ),
        (
            "needs = [1]",
            "needs: is a whole number; accepted: a list of names of domains",
        ),
        (
            "uuid = 2026-01-01",
            "uuid: is a date or time; accepted: text such as \"01234567-89ab-cdef-0123-456789abcdef\"",
        ),
        ("console = {}", "console: is a table; accepted: \"log\", \"none\""),
        ("ramdisk = []", "ramdisk: is a list; accepted: the name of an image"),
        (
            "roles = \"store\"",
            "roles: is text; accepted: a list of \"store\", \"driver\", \"management\"",
        ),
        (
            "serves = [1]",
            "serves: is a whole number; accepted: \"vbd\", \"qdisk\", \"vif\", \"9pfs\", \"vfb\", \"vkbd\", \"vdispl\", \"vsnd\", \
             \"pvcalls\", \"vscsi\", \"vusb\", \"qusb\", \"pci\", \"console\", \"vtpm\"",
        ),
        (
            "store-quota = 5",
            "store-quota: is a whole number; accepted: a table of quotas, such as { nodes = 2000 }",
        ),
        (
            "store-quota = { nodes = \"5\" }",
            "store-quota.nodes: is text; accepted: 1 to 1048576",
        ),
        (
            "store-access = [1]",
            "store-access: is a whole number; accepted: a list of tables, such as { path = \"/local/domain/*/data\", access = \
             \"read\" }",
        ),
        (
            "store-access = [{ of = 7, path = \"data\", access = \"read\" }]",
            "store-access.of: is a whole number; accepted: the name of a domain",
        ),
    ] {
        let errors = domain_errors(line);
        let (place, message) = errors.split_once(": domain.").unwrap_or_else(|| panic!("{errors}"));
        assert!(place.starts_with("h.toml:10:"), "{place}");
        assert_eq!(message, error);
    }
    for (text, error) in [
        (
            "host = 1",
            "h.toml:1:8: host: is a whole number; accepted: a table [host]",
        ),
        (
            "host.name = \"h\"\nimage = 1",
            "h.toml:2:9: image: is a whole number; accepted: tables [image.NAME]",
        ),
        (
            "host.name = \"h\"\nimage.x = 1",
            "h.toml:2:11: image.x: is a whole number; accepted: tables [image.NAME]",
        ),
        (
            "host.name = \"h\"\n[domain]",
            "h.toml:2:1: domain: is a table; accepted: tables [[domain]]",
        ),
        (
            "host.name = \"h\"\ndomain = [1]",
            "h.toml:2:11: domain: is a whole number; accepted: tables [[domain]]",
        ),
        (
            "host.name = 1",
            "h.toml:1:13: host.name: is a whole number; accepted: text",
        ),
        (
            "host.name = \"h\"\nhost.banks = \"sha256\"",
            "h.toml:2:14: host.banks: is text; accepted: a list of \"sha256\", \"sha384\"",
        ),
        (
            "host.name = \"h\"\nhost.operator-console = 1",
            "h.toml:2:25: host.operator-console: is a whole number; accepted: true, false",
        ),
    ] {
        assert_eq!(read(text, "h.toml").unwrap_err().to_string(), error);
    }
}

#[test]
fn values_that_are_not_accepted() {
    let memory = "a whole number of MiB, or text such as \"5 GiB\", \"8 MiB\", \"4096 KiB\"";
    for (line, error) in [
        (
            "type = \"hvm\"",
            "10:8: domain.type: \"hvm\"; accepted: \"pvh\", \"pv\"",
        ),
        (
            "on_crash = \"coredump\"",
            "10:12: domain.on_crash: \"coredump\"; accepted: \"destroy\", \"restart\", \"preserve\"",
        ),
        (
            "console = \"pty\"",
            "10:11: domain.console: \"pty\"; accepted: \"log\", \"none\"",
        ),
        ("vcpus = -1", "10:9: domain.vcpus: -1; accepted: 1 to 64"),
        ("vcpus = 0x10000", "10:9: domain.vcpus: 0x10000; accepted: 1 to 64"),
        (
            "maxvcpus = 99999999999999999999",
            "10:12: domain.maxvcpus: 99999999999999999999; accepted: 1 to 64",
        ),
        (
            "maxmem = \"8 MB\"",
            &["10:10: domain.maxmem: \"8 MB\"; accepted: ", memory].concat(),
        ),
        (
            "maxmem = 36028797018963968",
            &["10:10: domain.maxmem: 36028797018963968 MiB; accepted: ", memory].concat(),
        ),
        (
            "roles = [\"dom0\"]",
            "10:10: domain.roles: \"dom0\"; accepted: \"store\", \"driver\", \"management\"",
        ),
        (
            "store-quota = { nodes = -1 }",
            "10:25: domain.store-quota.nodes: -1; accepted: 1 to 1048576",
        ),
        (
            "store-quota = { node_size = 1 }",
            "10:17: domain.store-quota.node_size: unknown key; accepted here: nodes, bytes, watches, transactions, operations, \
             permissions, path, node-size, outstanding, events",
        ),
        (
            "store-access = [{ path = \"/x\" }]",
            "10:17: domain.store-access.access: missing; write access = \"read\" or access = \"write\"",
        ),
        (
            "store-access = [{ path = \"/x\", access = \"all\" }]",
            "10:41: domain.store-access.access: \"all\"; accepted: \"read\", \"write\"",
        ),
        (
            "uuid = \"0123\"",
            "10:8: domain.uuid: \"0123\"; accepted: text such as \"01234567-89ab-cdef-0123-456789abcdef\"",
        ),
    ] {
        assert_eq!(domain_errors(line), ["h.toml:", error].concat());
    }
    for (text, error) in [
        (
            "[image.x]\nfile = \"\"",
            "7:8: image.x.file: \"\"; accepted: the path of a file, from the folder of this file on",
        ),
        (
            "[image.x]\nfile = \"f\"\nsha256 = \"00\"",
            "8:10: image.x.sha256: \"00\"; accepted: 64 hexadecimal digits",
        ),
        (
            "[image.\"a/b\"]\nfile = \"f\"",
            "6:8: image: name \"a/b\"; accepted: 1 to 64 characters of A-Z a-z 0-9 _ . -, the first a letter, a digit or _",
        ),
    ] {
        assert_eq!(errors(text), ["h.toml:", error].concat());
    }
    for (line, error) in [
        (
            "banks = [\"sha256\", \"sha1\"]",
            "3:20: host.banks: \"sha1\"; accepted: \"sha256\", \"sha384\"",
        ),
        (
            "log-level = \"loud\"",
            "3:13: host.log-level: \"loud\"; accepted: \"error\", \"warn\", \"info\", \"debug\", \"trace\"",
        ),
    ] {
        let text = ["[host]\nname = \"h\"\n", line].concat();
        assert_eq!(
            read(&text, "h.toml").unwrap_err().to_string(),
            ["h.toml:", error].concat()
        );
    }
}

#[test]
fn what_the_check_finds_is_placed() {
    for (line, error) in [
        (
            "vcpus = 65",
            "10:9: domain.vcpus: domain d: 65 vcpus; accepted: 1 to 64",
        ),
        (
            "maxvcpus = 0",
            "10:12: domain.maxvcpus: domain d: maxvcpus of 0; accepted: vcpus (1) to 64",
        ),
        (
            "maxmem = 4",
            "10:10: domain.maxmem: domain d: maxmem of 4096 KiB; accepted: the memory (8192 KiB) to 17179869184 KiB (16 TiB), a \
             multiple of 4 KiB",
        ),
        (
            "ramdisk = \"rd\"",
            "10:11: domain.ramdisk: domain d: ramdisk: there is no image \"rd\"",
        ),
        (
            "needs = [\"x\"]",
            "10:9: domain.needs: domain d: needs \"x\": there is no such domain",
        ),
        (
            "needs = [\"d\"]",
            "10:9: domain.needs: domain d: dependency cycle: \"d\" -> \"d\"",
        ),
        (
            "roles = [\"driver\"]",
            "10:9: domain.roles: domain d: serves: nothing, but roles has driver; accepted: at least one class",
        ),
        (
            "serves = [\"vbd\"]",
            "10:10: domain.serves: domain d: serves vbd, but roles has no driver",
        ),
        (
            "store-quota = { path = 3073 }",
            "10:15: domain.store-quota: domain d: quota path of 3073; accepted: 64 to 3072",
        ),
        (
            "channels = 8",
            "10:12: domain.channels: domain d: channels, but roles has no management",
        ),
        (
            "roles = [\"management\"]\nchannels = 65",
            "11:12: domain.channels: domain d: channels: 65; accepted: 1 to 64",
        ),
        (
            "roles = [\"management\"]\nimage-memory = \"65 GiB\"",
            "11:16: domain.image-memory: domain d: image-memory of 68157440 KiB; accepted: 0 to 67108864 KiB (64 GiB), a multiple of 4 KiB",
        ),
        (
            "store-access = [{ of = \"x\", path = \"data\", access = \"read\" }]",
            "10:16: domain.store-access: domain d: store-access: of \"x\": there is no such domain",
        ),
        (
            "type = \"pvh\"\nroles = [\"store\"]",
            "10:8: domain.type: domain d: type pvh of the store; accepted: pv",
        ),
        (
            "cmdline = \"a\\nb\"",
            "10:11: domain.cmdline: domain d: command line: control character '\\n' at byte 1; accepted: none",
        ),
        (
            "[[domain]]\nname = \"d\"\nkernel = \"debian\"\nmemory = 1",
            "7:8: domain.name: domain d: two domains have the name \"d\"\n\
             h.toml:11:8: domain.name: domain d: two domains have the name \"d\"\n\
             h.toml:13:10: domain.memory: domain d: memory of 1024 KiB; accepted: 4096 KiB (4 MiB) to 17179869184 KiB (16 TiB), a \
             multiple of 4 KiB",
        ),
        (
            "[[domain]]\nname = \"e\"\nkernel = \"linux\"\nmemory = 8\nneeds = [\"d\"]",
            "12:10: domain.kernel: domain e: kernel: there is no image \"linux\"",
        ),
    ] {
        assert_eq!(domain_errors(line), ["h.toml:", error].concat());
    }
    for (line, error) in [
        (
            "recovery = 257",
            "4:12: store.recovery: host h: recovery of 257 MiB; accepted: 0 (none) to 256",
        ),
        (
            "quota = { path = 1 }",
            "4:9: store.quota: host h: quota path of 1; accepted: 64 to 3072",
        ),
    ] {
        let text = ["[host]\nname = \"h\"\n[store]\n", line].concat();
        let host_file = read(&text, "h.toml").unwrap();
        let problems = host_file.manifest(vec![]).check();
        assert_eq!(host_file.place(&problems[0]).to_string(), ["h.toml:", error].concat());
    }
    let text = "[host]\nname = \"h\"\nbanks = [\"sha384\"]";
    let host_file = read(text, "h.toml").unwrap();
    let problems = host_file.manifest(vec![]).check();
    assert_eq!(
        host_file.place(&problems[0]).to_string(),
        "h.toml:3:9: host.banks: host h: banks: sha256 is missing; accepted: sha256, and sha384 beside it"
    );
}

#[test]
fn errors_about_images_are_placed() {
    let host_file = read(FULL, "demo.toml").unwrap();
    let error = host_file.image_error(&host_file.images[1], "initrd.img: not found".into());
    assert_eq!(
        error.to_string(),
        "demo.toml:13:8: image.initrd.file: initrd.img: not found"
    );
    let error = host_file.pin_error(&host_file.images[0], Digest::zero(Bank::Sha256));
    assert_eq!(
        error.to_string(),
        "demo.toml:10:10: image.debian.sha256: ../cache/vmlinuz has 0000000000000000000000000000000000000000000000000000000000000000, \
         not ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}

#[test]
fn errors_about_a_domains_kernel_are_placed() {
    let host_file = read(FULL, "demo.toml").unwrap();
    let error = host_file.domain_error(1, "kernel", "no ELF file".into());
    assert_eq!(error.to_string(), "demo.toml:71:10: domain.kernel: no ELF file");
    // A key that is not written: the table's place.
    let error = host_file.domain_error(1, "ramdisk", "empty".into());
    assert_eq!(error.to_string(), "demo.toml:69:1: domain.ramdisk: empty");
}

#[test]
fn columns_count_characters() {
    assert_eq!(
        read("[host]\nname = \"h\"\nlog-level = [\"äöü\", 1]", "h.toml")
            .unwrap_err()
            .to_string(),
        "h.toml:3:13: host.log-level: is a list; accepted: \"error\", \"warn\", \"info\", \"debug\", \"trace\""
    );
    assert_eq!(
        read("[host]\nname = \"h\"\nbanks = [\"äöü\", 1]", "h.toml")
            .unwrap_err()
            .to_string(),
        "h.toml:3:10: host.banks: \"äöü\"; accepted: \"sha256\", \"sha384\"\n\
         h.toml:3:17: host.banks: is a whole number; accepted: \"sha256\", \"sha384\""
    );
}

const GUEST: &str = r#"
name = "web"
kernel = "/boot/vmlinuz"
ramdisk = "initrd.img"
memory = 128

[[disk]]
target = "/dev/vg/web"
vdev = "xvda"

[[interface]]
bridge = "br0"
"#;

/// What is wrong with a guest's file with `line` in its line 6.
fn guest_errors(line: &str) -> String {
    let text = GUEST.replacen("memory = 128\n", &["memory = 128\n", line, "\n"].concat(), 1);
    read_guest(&text, "g.toml", "h").unwrap_err().to_string()
}

#[test]
fn a_guest_has_a_file_of_its_own() {
    let guest = read_guest(GUEST, "g.toml", "h").unwrap().domain;
    let uuid = uuid::derive("h", "web");
    assert_eq!((guest.name.as_str(), guest.uuid), ("web", uuid));
    assert_eq!(guest.kernel, "/boot/vmlinuz");
    assert_eq!(guest.ramdisk.as_deref(), Some("initrd.img"));
    assert_eq!(guest.disks[0].vdev.number(), 51712);
    assert_eq!(guest.interfaces[0].mac, Mac::derive(&uuid, 0));
    // It is another guest on another host.
    let other = read_guest(GUEST, "g.toml", "i").unwrap().domain;
    assert_ne!((other.uuid, other.interfaces[0].mac), (uuid, guest.interfaces[0].mac));
}

#[test]
fn what_is_wrong_with_a_guest_is_placed() {
    for (line, error) in [
        ("vcpus = 65", "g.toml:6:9: vcpus: 65 vcpus; accepted: 1 to 64"),
        (
            "host = 1",
            "g.toml:6:1: host: unknown key; accepted here: name, type, kernel, ramdisk, cmdline, memory, maxmem, vcpus, maxvcpus, uuid, \
             autostart, needs, on_poweroff, on_reboot, on_crash, console, roles, serves, store-quota, store-access, disk, interface, channels, image-memory",
        ),
        ("cmdline = 1", "g.toml:6:11: cmdline: is a whole number; accepted: text"),
        (
            "[[disk]]\ntarget = \"x\"\nvdev = \"xvda\"",
            "g.toml:6:1: disk: disk 0: target \"x\"; accepted: an absolute path without control characters, at most 1024 bytes\n\
             g.toml:10:1: disk: disk 1: vdev xvda: a disk before it is that, too",
        ),
        (
            "[[disk]]\nmode = \"w\"\nvdev = \"vda\"",
            "g.toml:6:1: disk.target: missing; write the device or file, such as target = \"/dev/vg/web\"\n\
             g.toml:7:1: disk.mode: unknown key; accepted here: backend, target, format, vdev, cdrom, access, backendtype, discard, \
             direct-io-safe, trusted\n\
             g.toml:8:8: disk.vdev: \"vda\"; accepted: text such as \"xvda\", \"xvdb1\", \"hdc\", \"sda\"",
        ),
        (
            "[[interface]]\nmac = \"x\"\nrate = 5\nip = [\"x\"]\nmtu = -1",
            "g.toml:7:7: interface.mac: \"x\"; accepted: text such as \"00:16:3e:01:23:45\"\n\
             g.toml:8:8: interface.rate: is a whole number; accepted: text such as \"10MB/s\", \"100Mb/s@50ms\"\n\
             g.toml:9:7: interface.ip: \"x\"; accepted: a list of addresses, such as [\"192.0.2.1\", \"2001:db8::/64\"]\n\
             g.toml:10:7: interface.mtu: -1; accepted: 68 to 65517",
        ),
    ] {
        assert_eq!(guest_errors(line), error);
    }
    assert_eq!(
        read_guest("name = \"g\"\nkernel = \"\"\nmemory = 8", "g.toml", "h")
            .unwrap_err()
            .to_string(),
        "g.toml:2:10: kernel: \"\"; accepted: the path of a file"
    );
}

#[test]
fn a_written_guest_has_no_defaults() {
    let guest = read_guest(GUEST, "g.toml", "h").unwrap().domain;
    assert_eq!(
        write_guest(&guest, "h"),
        "name = \"web\"\ntype = \"pvh\"\nkernel = \"/boot/vmlinuz\"\nramdisk = \"initrd.img\"\nmemory = 128\n\n\
         [[disk]]\ntarget = \"/dev/vg/web\"\nvdev = \"xvda\"\n\n[[interface]]\nbridge = \"br0\"\n"
    );
}

proptest! {
    #[test]
    fn each_guest_that_is_right_is_read_as_it_was_written(manifest in crate::samples::any_manifest(), host in "[a-z]{1,3}") {
        for domain in manifest.domains.iter().filter(|domain| domain.check().is_empty()) {
            let text = write_guest(domain, &host);
            let read = read_guest(&text, "g.toml", &host);
            prop_assert_eq!(read.map(|guest| guest.domain), Ok(domain.clone()), "{}", text);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = read(&text, "h.toml");
    }

    #[test]
    fn no_change_to_a_right_text_makes_it_panic(at in any::<prop::sample::Index>(), length in 0..20_usize, with in "[ -~\n]{0,5}") {
        let at = at.index(FULL.len());
        let rest = FULL.get(at.saturating_add(length)..).unwrap_or_default();
        let text = [&FULL[..at], &with, rest].concat();
        match read(&text, "h.toml") {
            Ok(host_file) => {
                for problem in host_file.manifest(vec![]).check() {
                    prop_assert!(!host_file.place(&problem).to_string().is_empty());
                }
            }
            Err(errors) => prop_assert!(!errors.0.is_empty()),
        }
    }
}
