//! Domains that are asked for while the host runs.

use domb_core::host::{ImageError, RequestError, Wish};
use manifest::{Action, Domain};
use measure::{Bank, Digest, Record, record};
use xen::ShutdownReason;

use crate::clock;
use crate::kernel::{Kernel, Like};
use crate::scene::{Scene, domain, image, store};

fn digest(bytes: &[u8]) -> Digest {
    Digest::of(Bank::Sha256, bytes)
}

/// Brings an image; its digest.
#[track_caller]
fn bring(scene: &mut Scene, bytes: &[u8]) -> Digest {
    let held = scene.host.held_images();
    held.limit(64 << 20);
    let digest = digest(bytes);
    let mut arriving = held.begin(digest, bytes.len() as u64).unwrap();
    for part in bytes.chunks(4096) {
        let copied = arriving.take(part.len(), |room| {
            room.copy_from_slice(part);
            Ok::<(), ()>(())
        });
        copied.unwrap().unwrap();
    }
    held.finish(arriving).unwrap();
    digest
}

fn wish(domain: Domain, kernel: &Digest, ramdisk: Option<&Digest>) -> Wish {
    Wish {
        domain,
        kernel: *kernel,
        ramdisk: ramdisk.copied(),
        class: None,
        paused: false,
    }
}

fn kernel() -> Vec<u8> {
    Kernel::new(Like::Linux, 11, 0x3123, 0x8000).elf()
}

fn scene() -> Scene {
    let mut scene = Scene::new(vec![store()]);
    assert_eq!(scene.boot(), ["store"]);
    scene
}

fn names(scene: &Scene) -> Vec<String> {
    scene.host.names(|name| name != "store")
}

#[test]
fn it_runs_like_one_of_the_manifests_and_is_forgotten_when_it_is_gone() {
    let mut scene = scene();
    let before = scene.host.event_log().len();
    let (kernel, ramdisk) = (bring(&mut scene, &kernel()), digest(image("initrd")));
    let domid = scene
        .host
        .create_asked(wish(domain("web"), &kernel, Some(&ramdisk)))
        .unwrap();
    assert_eq!(scene.host.domid("web"), Some(domid));
    assert_eq!(scene.state("web"), "running");
    assert_eq!(scene.store.served(), [(domid.0, "web".to_owned())]);
    let measured = String::from_utf8_lossy(&scene.host.event_log()[before..]).into_owned();
    for event in ["configuration", "command line", "kernel", "ramdisk"] {
        assert!(measured.contains(&format!("web: {event}")), "{event}");
    }
    scene.host.destroy("web").unwrap();
    assert_eq!(names(&scene), [] as [&str; 0]);
    assert_eq!(scene.host.destroy("web"), Err(RequestError::Unknown));
    scene.finish();
}

#[test]
fn what_is_measured_names_each_image_by_its_digest() {
    let mut scene = scene();
    let (kernel, ramdisk) = (digest(image("linux")), digest(image("initrd")));
    scene
        .host
        .create_asked(wish(domain("web"), &kernel, Some(&ramdisk)))
        .unwrap();
    let named = Domain {
        kernel: kernel.to_string(),
        ramdisk: Some(ramdisk.to_string()),
        ..domain("web")
    };
    let expected: Record = record::configuration("web", &measure::Digests::of(&[Bank::Sha256], &named.canonical()));
    let wanted = expected.digests.get(Bank::Sha256).unwrap().bytes();
    let log = scene.host.event_log();
    assert!(log.windows(wanted.len()).any(|window| window == wanted));
    scene.finish();
}

#[test]
fn it_is_started_again_from_what_was_brought() {
    let mut scene = scene();
    let kernel = bring(&mut scene, &kernel());
    let again = Domain {
        on_crash: Action::Restart,
        ramdisk: None,
        ..domain("web")
    };
    scene.host.create_asked(wish(again, &kernel, None)).unwrap();
    // Room is wanted for something else: what a domain is built from stays.
    let budget = scene.host.held_images().room().1;
    assert!(scene.host.held_images().begin(digest(b"x"), budget as u64).is_err());
    scene.end("web", ShutdownReason::Crash);
    assert_eq!(scene.state("web"), "waiting to restart");
    clock::pass(scene.host.next_due().unwrap() - clock::now());
    scene.host.run_due();
    assert_eq!(scene.state("web"), "running");
    scene.end("web", ShutdownReason::Poweroff);
    assert_eq!(names(&scene), [] as [&str; 0]);
    assert!(scene.host.held_images().begin(digest(b"x"), budget as u64).is_ok());
    scene.finish();
}

#[test]
fn one_that_waits_can_be_given_up() {
    let mut scene = scene();
    let again = Domain {
        on_crash: Action::Restart,
        ..domain("web")
    };
    let (kernel, ramdisk) = (digest(image("linux")), digest(image("initrd")));
    scene.host.create_asked(wish(again, &kernel, Some(&ramdisk))).unwrap();
    scene.end("web", ShutdownReason::Crash);
    scene.host.destroy("web").unwrap();
    assert_eq!(names(&scene), [] as [&str; 0]);
    assert_eq!(scene.host.next_due(), None);
    scene.finish();
}

#[test]
fn what_cannot_be_is_refused_and_leaves_nothing() {
    let mut scene = Scene::new(vec![store(), domain("db")]);
    scene.boot();
    let (kernel, ramdisk) = (digest(image("linux")), digest(image("initrd")));
    let mut refusal = |domain: Domain, kernel: &Digest, ramdisk: &Digest| {
        scene
            .host
            .create_asked(wish(domain, kernel, Some(ramdisk)))
            .unwrap_err()
    };
    let of_nobody = digest(b"nobody brought it");
    let same_uuid = Domain {
        uuid: domain("db").uuid,
        ..domain("web")
    };
    let no_vcpus = Domain {
        vcpus: 0,
        ..domain("web")
    };
    let too_large = Domain {
        memory_kib: 1 << 20,
        maxmem_kib: 1 << 20,
        ..domain("web")
    };
    assert_eq!(
        refusal(domain("web"), &of_nobody, &ramdisk),
        RequestError::Image(ImageError::NotHeld(of_nobody))
    );
    assert!(matches!(
        refusal(domain("db"), &kernel, &ramdisk),
        RequestError::Refused(_)
    ));
    assert!(matches!(
        refusal(same_uuid, &kernel, &ramdisk),
        RequestError::Refused(_)
    ));
    assert!(matches!(refusal(no_vcpus, &kernel, &ramdisk), RequestError::Refused(_)));
    assert!(matches!(refusal(too_large, &kernel, &ramdisk), RequestError::Build(_)));
    // A ramdisk is no kernel.
    assert!(matches!(
        refusal(domain("web"), &ramdisk, &ramdisk),
        RequestError::Build(_)
    ));
    assert_eq!(names(&scene), ["db"]);
    scene.finish();
}

#[test]
fn one_whose_store_dies_waits_for_it() {
    let mut scene = scene();
    let (kernel, ramdisk) = (digest(image("linux")), digest(image("initrd")));
    scene.end("store", ShutdownReason::Crash);
    let waits = scene.host.create_asked(wish(domain("web"), &kernel, Some(&ramdisk)));
    assert!(matches!(waits, Err(RequestError::StoreRestarts(_))), "{waits:?}");
    assert_eq!(scene.state("web"), "waiting to restart");
    clock::pass(scene.host.next_due().unwrap().saturating_sub(clock::now()));
    scene.host.run_due();
    assert_eq!(scene.state("web"), "running");
    scene.finish();
}

#[test]
fn many_come_and_go() {
    let mut scene = scene();
    let (kernel, ramdisk) = (digest(image("linux")), digest(image("initrd")));
    for round in 0..50 {
        let name = format!("guest-{round}");
        scene
            .host
            .create_asked(wish(domain(&name), &kernel, Some(&ramdisk)))
            .unwrap();
        if round % 3 == 0 {
            scene.host.destroy(&name).unwrap();
        } else {
            scene.end(&name, ShutdownReason::Poweroff);
        }
    }
    assert_eq!(names(&scene), [] as [&str; 0]);
    scene.finish();
}
