//! What is wrong is named, with what is accepted.

use alloc::string::ToString;
use alloc::vec;

use super::*;
use crate::device::{Address, DiskBackend, Format, Mac, Rate};
use crate::{BackendClass, samples};

/// The texts of the problems of the sample manifest, less its policy, after a change to its domain "web".
fn problems(change: fn(&mut Domain)) -> Vec<String> {
    let mut manifest = samples::manifest();
    manifest.policy = crate::Policy::default();
    change(&mut manifest.domains[1]);
    manifest.check().iter().map(ToString::to_string).collect()
}

#[test]
fn the_sample_is_right() {
    assert_eq!(samples::manifest().check(), []);
    assert_eq!(problems(|_| ()), Vec::<String>::new());
}

#[test]
fn each_limit_is_named_with_what_is_accepted() {
    type Change = fn(&mut Domain);
    let cases: [(Change, &str); 34] = [
        (|web| web.vcpus = 0, "domain web: 0 vcpus; accepted: 1 to 64"),
        (|web| web.vcpus = 65, "domain web: 65 vcpus; accepted: 1 to 64"),
        (
            |web| web.max_vcpus = 1,
            "domain web: maxvcpus of 1; accepted: vcpus (2) to 64",
        ),
        (
            |web| web.max_vcpus = 65,
            "domain web: maxvcpus of 65; accepted: vcpus (2) to 64",
        ),
        (
            |web| web.memory_kib = 4092,
            "domain web: memory of 4092 KiB; accepted: 4096 KiB (4 MiB) to 17179869184 KiB (16 TiB), a multiple of 4 KiB",
        ),
        (
            |web| web.memory_kib = 4097,
            "domain web: memory of 4097 KiB; accepted: 4096 KiB (4 MiB) to 17179869184 KiB (16 TiB), a multiple of 4 KiB",
        ),
        (
            |web| web.memory_kib = u64::MAX,
            "domain web: memory of 18446744073709551615 KiB; accepted: 4096 KiB (4 MiB) to 17179869184 KiB (16 TiB), a multiple of 4 KiB",
        ),
        (
            |web| web.maxmem_kib = 4096,
            "domain web: maxmem of 4096 KiB; accepted: the memory (131072 KiB) to 17179869184 KiB (16 TiB), a multiple of 4 KiB",
        ),
        (
            |web| web.maxmem_kib = 1 << 40,
            "domain web: maxmem of 1099511627776 KiB; accepted: the memory (131072 KiB) to 17179869184 KiB (16 TiB), a multiple of 4 KiB",
        ),
        (
            |web| web.command_line = "x".repeat(2048),
            "domain web: command line of 2048 bytes; accepted for pvh: at most 2047",
        ),
        (
            |web| {
                web.kind = Kind::Pv;
                web.command_line = "x".repeat(1024);
            },
            "domain web: command line of 1024 bytes; accepted for pv: at most 1023",
        ),
        (
            |web| web.command_line = "a\0b".into(),
            "domain web: command line: control character '\\0' at byte 1; accepted: none",
        ),
        (
            |web| web.command_line = "\n".into(),
            "domain web: command line: control character '\\n' at byte 0; accepted: none",
        ),
        (
            |web| web.name = "web\n".into(),
            "domain \"web\\n\": name \"web\\n\"; accepted: 1 to 64 characters of A-Z a-z 0-9 _ . -, the first a letter, a digit or _",
        ),
        (
            |web| web.kernel = "linux".into(),
            "domain web: kernel: there is no image \"linux\"",
        ),
        (
            |web| web.ramdisk = Some("rd".into()),
            "domain web: ramdisk: there is no image \"rd\"",
        ),
        (
            |web| web.uuid = [1; 16],
            "domain store: domain \"web\" has the same uuid",
        ),
        (
            |web| web.needs.push("net".into()),
            "domain web: needs \"net\": there is no such domain",
        ),
        (
            |web| web.needs.push("store".into()),
            "domain web: needs: \"store\" stands there twice",
        ),
        (
            |web| web.needs = vec!["store".into(); 65],
            "domain web: needs 65 domains; accepted: at most 64",
        ),
        (
            |web| web.roles.push(Role::Driver),
            "domain web: roles: driver stands there twice",
        ),
        (
            |web| web.roles = vec![Role::Store],
            "domain store: roles: domain \"web\" is the store, too; accepted: one",
        ),
        (
            |web| web.serves.clear(),
            "domain web: serves: nothing, but roles has driver; accepted: at least one class",
        ),
        (
            |web| web.roles.clear(),
            "domain web: serves vif, but roles has no driver",
        ),
        (
            |web| web.serves.push(BackendClass::Vif),
            "domain web: serves: vif stands there twice",
        ),
        (
            |web| web.store_quota.nodes = Some(1_048_577),
            "domain web: quota nodes of 1048577; accepted: 1 to 1048576",
        ),
        (
            |web| web.store_quota.outstanding = Some(0),
            "domain web: quota outstanding of 0; accepted: 1 to 65536",
        ),
        (
            |web| web.store_access = vec![web.store_access[0].clone(); 65],
            "domain web: store-access: 65 entries; accepted: at most 64",
        ),
        (
            |web| web.store_access[0].path = "data".into(),
            "domain web: store-access: path \"data\"; accepted: names of A-Z a-z 0-9 - _ @ or * between slashes, at the end **, at most 2048 bytes; beginning with a slash, and with * for a domain's number, or with of = the name of a domain and no slash at the start, or @introduceDomain or @releaseDomain",
        ),
        (
            |web| web.store_access[1].path = "/data".into(),
            "domain web: store-access: path \"/data\"; accepted: names of A-Z a-z 0-9 - _ @ or * between slashes, at the end **, at most 2048 bytes; beginning with a slash, and with * for a domain's number, or with of = the name of a domain and no slash at the start, or @introduceDomain or @releaseDomain",
        ),
        (
            |web| {
                web.store_access[0].path = "/tool/**".into();
                web.store_access[0].access = StoreRight::Write;
            },
            "domain web: store-access: write \"/tool/**\"; accepted: read, for nobody but the builder writes there",
        ),
        (
            |web| web.store_access[1].of = Some("net".into()),
            "domain web: store-access: of \"net\": there is no such domain",
        ),
        (
            |web| web.store_quota.events = Some(0),
            "domain web: quota events of 0; accepted: 1 to 1048576",
        ),
        (
            |web| web.roles = vec![Role::Driver, Role::Management, Role::Management],
            "domain web: roles: management stands there twice",
        ),
    ];
    for (change, text) in cases {
        assert_eq!(problems(change).first().map(String::as_str), Some(text));
    }
}

#[test]
fn the_store_is_one_pv_domain_that_needs_nothing() {
    type Change = fn(&mut Manifest);
    let cases: [(Change, &[&str]); 4] = [
        (
            |manifest| manifest.domains[0].kind = Kind::Pvh,
            &["domain store: type pvh of the store; accepted: pv"],
        ),
        (
            |manifest| manifest.domains[0].needs.push("idle".into()),
            &["domain store: needs \"idle\"; accepted for the store: none, for every other domain needs it"],
        ),
        (
            |manifest| manifest.domains[0].roles.push(Role::Management),
            &["domain store: roles: store beside others; accepted: store alone"],
        ),
        (
            |manifest| manifest.domains[2].roles.push(Role::Store),
            &[
                "domain store: roles: domain \"idle\" is the store, too; accepted: one",
                "domain web: needs \"store\", which is refused",
                "domain idle: roles: domain \"store\" is the store, too; accepted: one",
                "domain idle: needs \"web\"; accepted for the store: none, for every other domain needs it",
            ],
        ),
    ];
    for (change, expected) in cases {
        let mut manifest = samples::manifest();
        change(&mut manifest);
        let texts: Vec<String> = manifest.check().iter().map(ToString::to_string).collect();
        assert_eq!(texts[..expected.len().min(texts.len())], *expected);
    }
}

#[test]
fn the_limits_themselves_are_accepted() {
    let cases: [fn(&mut Domain); 5] = [
        |web| (web.vcpus, web.max_vcpus) = (1, 64),
        |web| (web.vcpus, web.max_vcpus) = (64, 64),
        |web| (web.memory_kib, web.maxmem_kib) = (4096, 17_179_869_184),
        |web| web.command_line = "x".repeat(2047),
        |web| (web.kind, web.command_line) = (Kind::Pv, "x".repeat(1023)),
    ];
    for change in cases {
        assert_eq!(problems(change), Vec::<String>::new());
    }
}

#[test]
fn every_problem_of_every_domain_is_told() {
    let mut manifest = samples::manifest();
    manifest.domains[0].vcpus = 0;
    manifest.domains[0].memory_kib = 0;
    manifest.host.banks.clear();
    let texts: Vec<String> = manifest.check().iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "host demo: banks: sha256 is missing; accepted: sha256, and sha384 beside it",
            "domain store: memory of 0 KiB; accepted: 4096 KiB (4 MiB) to 17179869184 KiB (16 TiB), a multiple of 4 KiB",
            "domain store: 0 vcpus; accepted: 1 to 64",
            "domain web: needs \"store\", which is refused",
            "domain idle: needs \"web\", which is refused",
        ]
    );
}

#[test]
fn both_of_two_domains_of_one_name_are_refused() {
    let mut manifest = samples::manifest();
    manifest.policy = crate::Policy::default();
    manifest.domains[0].name = "web".into();
    let domains: Vec<Option<usize>> = manifest.check().iter().map(|problem| problem.domain).collect();
    assert_eq!(domains, [Some(0), Some(1), Some(1), Some(2)]);
    assert_eq!(manifest.check()[0].error, Error::DuplicateDomain("web".into()));
    assert_eq!(manifest.check()[1].error, Error::DuplicateDomain("web".into()));
    assert_eq!(manifest.check()[2].error, Error::UnknownNeed("store".into()));
}

#[test]
fn each_limit_of_a_device_is_named() {
    type Change = fn(&mut Domain);
    let cases: [(Change, &str); 26] = [
        (
            |idle| idle.disks[0].backend = Some("none".into()),
            "disk 0: backend \"none\": there is no such domain",
        ),
        (
            |idle| idle.disks[0].backend = Some("idle".into()),
            "disk 0: backend: the domain itself; accepted: another",
        ),
        (
            |idle| idle.disks[0].backend = Some("store".into()),
            "disk 0: backend \"store\": it serves no vbd",
        ),
        (
            |idle| {
                idle.disks[0].backend_type = Some(DiskBackend::Qdisk);
            },
            "disk 0: backend \"web\": it serves no qdisk",
        ),
        (
            |idle| {
                idle.disks[0].backend = None;
                idle.disks[0].backend_type = None;
                idle.disks[0].format = Format::Qcow2;
            },
            "disk 0: backend: none, and no other domain serves qdisk",
        ),
        (
            |idle| idle.interfaces[0].backend = Some("store".into()),
            "interface 0: backend \"store\": it serves no vif",
        ),
        (
            |idle| idle.disks[0].target = "vg/x".into(),
            "disk 0: target \"vg/x\"; accepted: an absolute path without control characters, at most 1024 bytes",
        ),
        (
            |idle| idle.disks[0].target = "/a\nb".into(),
            "disk 0: target \"/a\\nb\"; accepted: an absolute path without control characters, at most 1024 bytes",
        ),
        (
            |idle| idle.disks[0].cdrom = true,
            "disk 0: access of a cdrom; accepted: r",
        ),
        (
            |idle| idle.disks[0].format = Format::Vhd,
            "disk 0: format vhd with backendtype phy; accepted: raw",
        ),
        (
            |idle| idle.disks.push(idle.disks[0].clone()),
            "disk 1: vdev xvdb2: a disk before it is that, too",
        ),
        (
            |idle| idle.disks = vec![idle.disks[0].clone(); 65],
            "disk: 65 of them; accepted: at most 64",
        ),
        (
            |idle| idle.interfaces = vec![idle.interfaces[0].clone(); 65],
            "interface: 65 of them; accepted: at most 64",
        ),
        (
            |idle| idle.interfaces.push(idle.interfaces[0].clone()),
            "interface 1: mac 02:00:00:01:02:03: an interface before it has it, too",
        ),
        (
            |idle| idle.interfaces[0].mac = Mac([1, 0, 0, 0, 0, 1]),
            "interface 0: mac 01:00:00:00:00:01; accepted: not zero, and an even first byte",
        ),
        (
            |idle| idle.interfaces[0].bridge = "a/b".into(),
            "interface 0: bridge \"a/b\"; accepted: 1 to 15 characters of A-Z a-z 0-9 _ . -, the first a letter, a digit or _",
        ),
        (
            |idle| idle.interfaces[0].vifname = Some("-v".into()),
            "interface 0: vifname \"-v\"; accepted: 1 to 15 characters of A-Z a-z 0-9 _ . -, the first a letter, a digit or _",
        ),
        (
            |idle| idle.interfaces[0].mtu = Some(67),
            "interface 0: mtu of 67; accepted: 68 to 65517",
        ),
        (
            |idle| idle.interfaces[0].mtu = Some(65518),
            "interface 0: mtu of 65518; accepted: 68 to 65517",
        ),
        (
            |idle| {
                idle.interfaces[0].rate = Some(Rate {
                    bytes_per_second: 0,
                    interval_us: 1000,
                });
            },
            "interface 0: rate 0GB/s@1ms; accepted: 1B/s to 1000GB/s, at least a byte in each interval",
        ),
        (
            |idle| idle.interfaces[0].ip[0].prefix = 33,
            "interface 0: ip 192.0.2.1/33: the prefix is longer than the address",
        ),
        (
            |idle| idle.interfaces[0].ip = vec![idle.interfaces[0].ip[0]; 2],
            "interface 0: ip: 192.0.2.1 stands there twice",
        ),
        (
            |idle| idle.interfaces[0].ip = vec![Address::parse("::1").unwrap(); 65],
            "interface 0: ip: 65 addresses; accepted: at most 64",
        ),
        (
            |idle| {
                idle.roles = vec![Role::Driver];
                idle.serves = vec![BackendClass::Vif];
                idle.interfaces[0].backend = Some("idle".into());
            },
            "interface 0: backend: the domain itself; accepted: another",
        ),
        (
            |idle| idle.disks[0].target = ["/", &"x".repeat(1024)].concat(),
            "disk 0: target",
        ),
        (|idle| idle.interfaces[0].bridge.clear(), "interface 0: bridge \"\""),
    ];
    for (change, text) in cases {
        let mut manifest = samples::manifest();
        change(&mut manifest.domains[2]);
        let problems = manifest.check();
        let first = problems.first().map(ToString::to_string).unwrap_or_default();
        let first = first
            .split_once("domain idle: ")
            .map_or(first.as_str(), |(_, error)| error);
        assert!(first.starts_with(text), "{first}");
    }
}

#[test]
fn a_backend_that_is_not_named_must_be_the_only_one() {
    let mut manifest = samples::manifest();
    let store = &mut manifest.domains[0];
    store.roles = vec![Role::Driver];
    store.serves = vec![BackendClass::Vif];
    assert_eq!(
        manifest.check().first().map(ToString::to_string).as_deref(),
        Some("domain idle: interface 0: backend: none, and 2 other domains serve vif; accepted: the name of one")
    );
}

#[test]
fn the_store_has_no_devices() {
    let mut manifest = samples::manifest();
    manifest.domains[0].disks = manifest.domains[2].disks.clone();
    assert_eq!(
        manifest.check().first().map(ToString::to_string).as_deref(),
        Some("domain store: disk: of the store; accepted: none, for what serves devices needs the store")
    );
}

#[test]
fn a_guest_alone_is_checked_without_what_it_names() {
    let mut guest = samples::manifest().domains.remove(2);
    guest.kernel = "/boot/vmlinuz".into();
    assert_eq!(guest.check(), []);
    guest.vcpus = 0;
    assert_eq!(guest.check(), [Error::Vcpus(0)]);
}
