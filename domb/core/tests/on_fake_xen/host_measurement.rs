//! What a host writes into its event log: everything that it loads, before it is built, and once.

use domb_core::host::RequestError;
use manifest::{Domain, Manifest};
use measure::{Bank, Digest, Digests, EventLog, Record, record};
use xen::ShutdownReason;

use crate::scene::{self, IDENTITY, Scene, bundle, domain, image, manifest, needing, pvh};

fn digests(banks: &[Bank], bytes: &[u8]) -> Digests {
    Digests::of(banks, bytes)
}

/// What comes before the first domain.
fn of_builder(manifest: &Manifest) -> Vec<Record> {
    let banks = &manifest.host.banks;
    vec![
        record::domb(&digests(banks, b"textdata")),
        record::domb_command_line(&digests(banks, IDENTITY.command_line.as_bytes())),
        record::manifest(&digests(banks, &manifest.encode())),
    ]
}

/// What comes when a domain is built for the first time.
fn of_domain(domain: &Domain, banks: &[Bank]) -> Vec<Record> {
    let mut records = vec![
        record::configuration(&domain.name, &digests(banks, &domain.canonical())),
        record::command_line(&domain.name, &digests(banks, domain.command_line.as_bytes())),
        record::kernel(&domain.name, &digests(banks, image(&domain.kernel))),
    ];
    if let Some(ramdisk) = &domain.ramdisk {
        records.push(record::ramdisk(&domain.name, &digests(banks, image(ramdisk))));
    }
    records
}

/// The records in a log.
fn records(log: &[u8]) -> Vec<Record> {
    measure::parse(log)
        .unwrap()
        .map(|event| {
            let event = event.unwrap();
            Record {
                pcr: event.pcr,
                event_type: event.event_type,
                digests: event.digests,
                data: String::from_utf8(event.data.to_vec()).unwrap(),
            }
        })
        .collect()
}

/// Asserts that the log holds these records, and that a TPM that was told of them has what a replay says.
#[track_caller]
fn assert_log(log: &[u8], banks: &[Bank], expected: &[Record]) {
    assert_eq!(records(log), expected);
    let mut again = EventLog::new(banks).unwrap();
    for record in expected {
        again.record(record).unwrap();
    }
    assert_eq!(log, again.bytes());
    let pcrs = measure::replay(log).unwrap();
    assert_eq!(pcrs.banks().collect::<Vec<_>>(), banks);
    for &bank in banks {
        let mut values = vec![Digest::zero(bank); 16];
        for record in expected {
            let value = &mut values[record.pcr as usize];
            let extension = record.digests.get(bank).unwrap();
            *value = Digest::of(bank, &[value.bytes(), extension.bytes()].concat());
        }
        for (pcr, value) in (0..).zip(&values) {
            assert_eq!(pcrs.get(bank, pcr), Some(value), "{bank} PCR {pcr}");
        }
    }
}

#[test]
fn everything_in_the_order_of_its_use() {
    for banks in [&[Bank::Sha256][..], &Bank::ALL, &[Bank::Sha384, Bank::Sha256]] {
        let bare = Domain {
            kernel: "unikernel".into(),
            ramdisk: None,
            command_line: String::new(),
            ..domain("bare")
        };
        let manifest = manifest(vec![needing("web", &["store"]), pvh("store"), bare], banks);
        let mut scene = Scene::from_bundle(bundle(&manifest)).unwrap();
        let mut expected = of_builder(&manifest);
        assert_log(scene.host.event_log(), banks, &expected);
        assert_eq!(scene.boot(), ["store", "web", "bare"]);
        for index in [1, 0, 2] {
            expected.extend(of_domain(&manifest.domains[index], banks));
        }
        assert_log(scene.host.event_log(), banks, &expected);
        scene.finish();
    }
}

#[test]
fn a_domain_is_measured_once() {
    let manifest = manifest(vec![domain("web"), pvh("other")], &[Bank::Sha256]);
    let mut scene = Scene::from_bundle(bundle(&manifest)).unwrap();
    let mut expected = of_builder(&manifest);
    expected.extend(of_domain(&manifest.domains[0], &[Bank::Sha256]));
    for _ in 0..2 {
        scene.host.create("web").unwrap();
        scene.host.destroy("web").unwrap();
    }
    scene.host.create("web").unwrap();
    scene.end("web", ShutdownReason::Reboot);
    scene.host.run_due();
    assert_eq!(scene.state("web"), "running");
    assert_log(scene.host.event_log(), &[Bank::Sha256], &expected);
    // Of the same images, but another domain.
    scene.host.create("other").unwrap();
    expected.extend(of_domain(&manifest.domains[1], &[Bank::Sha256]));
    assert_log(scene.host.event_log(), &[Bank::Sha256], &expected);
    scene.finish();
}

#[test]
fn a_build_that_fails_was_measured_before() {
    let manifest = manifest(vec![domain("web")], &[Bank::Sha256]);
    let mut scene = Scene::from_bundle(bundle(&manifest)).unwrap();
    let free = scene.xen.machine().free_pages();
    scene.xen.machine_mut().take(free);
    scene.host.create("web").unwrap_err();
    let mut expected = of_builder(&manifest);
    expected.extend(of_domain(&manifest.domains[0], &[Bank::Sha256]));
    assert_log(scene.host.event_log(), &[Bank::Sha256], &expected);
    scene.xen.machine_mut().give_back();
    scene.host.create("web").unwrap();
    assert_log(scene.host.event_log(), &[Bank::Sha256], &expected);
    scene.finish();
}

#[test]
fn what_is_not_built_is_not_measured() {
    let manifest = manifest(
        vec![
            needing("waits", &["changed"]),
            domain("changed"),
            needing("refused", &["nobody"]),
        ],
        &[Bank::Sha256],
    );
    let mut bytes = bundle(&manifest);
    let initrd = scene::place_in(&bytes, "initrd");
    bytes[initrd.start] ^= 0x80;
    let mut scene = Scene::from_bundle(bytes).unwrap();
    assert_eq!(scene.boot(), [] as [&str; 0]);
    scene.host.create("refused").unwrap_err();
    assert!(matches!(scene.host.create("changed"), Err(RequestError::Image(_))));
    assert_log(scene.host.event_log(), &[Bank::Sha256], &of_builder(&manifest));
    scene.finish();
}
