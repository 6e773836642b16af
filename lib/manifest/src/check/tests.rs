//! What is wrong is named, with what is accepted.

use alloc::string::ToString;
use alloc::vec;

use super::*;
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
