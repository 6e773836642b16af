//! Which domains a host starts, in which order, and which it refuses: the others start all the same.

use domb_core::build::{BuildError, Step};
use domb_core::host::{ImageError, RequestError};
use manifest::device::Mac;
use manifest::{BackendClass, Domain, Error, Interface, Role};
use measure::Bank;

use crate::scene::{self, MIB_IN_KIB, Scene, bundle, domain, manifest, needing, pvh};

/// Asserts that exactly these run, that they can be destroyed, and that nothing is left then.
#[track_caller]
fn assert_run(mut scene: Scene, names: &[&str]) {
    assert_eq!(scene.boot(), names);
    assert_eq!(scene.consoles.names(), names);
    scene.finish();
}

fn off(domain: Domain) -> Domain {
    Domain {
        autostart: false,
        ..domain
    }
}

#[test]
fn needs_come_first_and_the_rest_as_written() {
    let domains = vec![
        needing("web", &["net", "store"]),
        off(domain("idle")),
        domain("first"),
        off(needing("net", &["store"])),
        off(domain("store")),
        domain("last"),
    ];
    assert_run(Scene::new(domains), &["store", "net", "web", "first", "last"]);
}

#[test]
fn a_domain_whose_need_is_down_is_not_started() {
    let mut scene = Scene::new(vec![needing("web", &["store"]), off(domain("store"))]);
    let needs_store = Err(RequestError::Needs("store".into()));
    assert_eq!(scene.host.create("web"), needs_store);
    assert_eq!(scene.state("web"), "failed (needs store, which does not run)");
    scene.host.create("store").unwrap();
    scene.host.create("web").unwrap();
    scene.host.destroy("web").unwrap();
    scene.host.pause("store").unwrap();
    scene.host.create("web").unwrap();
    scene.host.destroy("web").unwrap();
    scene.host.destroy("store").unwrap();
    assert_eq!(scene.host.create("web"), needs_store);
    scene.finish();
}

#[test]
fn the_failure_of_a_need_stops_only_those_that_need_it() {
    let domains = vec![
        Domain {
            kernel: "initrd".into(),
            ..domain("store")
        },
        needing("web", &["store"]),
        domain("other"),
    ];
    let mut scene = Scene::new(domains);
    assert_eq!(scene.boot(), ["other"]);
    assert!(
        scene.state("store").starts_with("failed (kernel: "),
        "{}",
        scene.state("store")
    );
    assert_eq!(scene.state("web"), "failed (needs store, which does not run)");
    scene.finish();
}

#[test]
fn what_the_manifest_has_against_a_domain_is_said() {
    let missing = |key, name: &str| Error::MissingImage {
        key,
        image: name.into(),
    };
    let domains = vec![
        domain("twice"),
        needing("a", &["b"]),
        needing("b", &["c"]),
        needing("c", &["a"]),
        Domain {
            uuid: [9; 16],
            ..domain("twice")
        },
        needing("d", &["a"]),
        Domain {
            kernel: "none".into(),
            ..domain("no-kernel")
        },
        Domain {
            ramdisk: Some("none".into()),
            ..domain("no-ramdisk")
        },
        needing("alone", &["nobody"]),
        Domain {
            memory_kib: 100,
            ..domain("small")
        },
        Domain {
            vcpus: 0,
            ..domain("no-vcpu")
        },
        domain("good"),
    ];
    let mut scene = Scene::new(domains);
    let refused = [
        ("twice", Error::DuplicateDomain("twice".into())),
        ("a", Error::Cycle(["a", "b", "c", "a"].map(String::from).to_vec())),
        ("no-kernel", missing("kernel", "none")),
        ("no-ramdisk", missing("ramdisk", "none")),
        ("alone", Error::UnknownNeed("nobody".into())),
        ("d", Error::NeedsRefused("a".into())),
        ("small", Error::Memory(100)),
        ("no-vcpu", Error::Vcpus(0)),
    ];
    for (name, why) in refused {
        assert_eq!(
            scene.host.create(name),
            Err(RequestError::Refused(why.clone())),
            "{name}"
        );
        assert_eq!(scene.state(name), format!("refused ({why})"));
        assert_eq!(scene.host.destroy(name), Err(RequestError::NotRunning));
    }
    for name in ["b", "c"] {
        let problem = scene.host.create(name).unwrap_err();
        assert!(matches!(problem, RequestError::Refused(Error::Cycle(_))), "{problem}");
    }
    let lines = scene.host.list();
    assert_eq!(lines.iter().filter(|line| line.starts_with("domain=twice ")).count(), 2);
    assert_eq!(lines.iter().filter(|line| line.contains("state=refused")).count(), 11);
    assert_run(scene, &["good"]);
}

#[test]
fn a_changed_image_stops_those_made_of_it() {
    let domains = || {
        vec![
            domain("linux"),
            Domain {
                kernel: "unikernel".into(),
                ..domain("both")
            },
            Domain {
                kernel: "unikernel".into(),
                ramdisk: None,
                ..domain("unikernel")
            },
        ]
    };
    let cases: [(&str, &[&str]); 4] = [
        ("linux", &["both", "unikernel"]),
        ("initrd", &["unikernel"]),
        ("unikernel", &["linux"]),
        ("huge", &["linux", "both", "unikernel"]),
    ];
    for (changed, starts) in cases {
        let mut bytes = bundle(&manifest(domains(), &Bank::ALL));
        let image = scene::place_in(&bytes, changed);
        bytes[image.end - 1] ^= 1;
        let mut scene = Scene::from_bundle(bytes).unwrap();
        for name in scene.host.autostart() {
            let result = scene.host.create(&name);
            if starts.contains(&name.as_str()) {
                result.unwrap();
                continue;
            }
            match result.unwrap_err() {
                RequestError::Image(ImageError::Digest(mismatch)) => {
                    assert_eq!((mismatch.name.as_str(), mismatch.bank), (changed, Bank::Sha256));
                }
                other => panic!("{changed}: {name}: {other}"),
            }
            let state = scene.state(&name);
            assert!(state.contains(changed) && state.contains("sha256 digest"), "{state}");
            // Nor does it get better.
            scene.host.create(&name).unwrap_err();
        }
        scene.finish();
    }
}

#[test]
fn a_guest_larger_than_free_memory() {
    let large = |domain: Domain| Domain {
        memory_kib: 128 * MIB_IN_KIB,
        maxmem_kib: 128 * MIB_IN_KIB,
        ..domain
    };
    let mut scene = Scene::new(vec![large(domain("pv")), large(pvh("pvh")), domain("good")]);
    for name in ["pv", "pvh"] {
        match scene.host.create(name) {
            Err(RequestError::Build(failure)) => {
                assert_eq!(failure.step, Step::Create);
                assert!(
                    matches!(failure.error, BuildError::NotEnoughMemory { free_kib: 0x1_0000, wanted_kib } if wanted_kib >= 128 * MIB_IN_KIB),
                    "{failure}"
                );
            }
            other => panic!("{other:?}"),
        }
        let state = scene.state(name);
        assert!(state.contains("the machine has 65536 KiB free"), "{state}");
    }
    assert_run(scene, &["good"]);
}

#[test]
fn images_that_are_no_kernel_or_too_large() {
    let domains = vec![
        Domain {
            kernel: "huge".into(),
            ..pvh("no-elf")
        },
        Domain {
            ramdisk: Some("huge".into()),
            ..domain("large-ramdisk")
        },
        Domain {
            ramdisk: Some("huge".into()),
            ..pvh("large-ramdisk-pvh")
        },
        domain("good"),
    ];
    let mut scene = Scene::new(domains);
    for (name, step, said) in [
        ("no-elf", Step::Kernel, "ELF"),
        ("large-ramdisk", Step::Layout, "the ramdisk"),
        ("large-ramdisk-pvh", Step::Layout, "the ramdisk"),
    ] {
        let Err(RequestError::Build(failure)) = scene.host.create(name) else {
            panic!("{name}");
        };
        assert_eq!(failure.step, step);
        assert!(failure.to_string().contains(said), "{failure}");
    }
    assert_run(scene, &["good"]);
}

#[test]
fn a_machine_without_hardware_virtualisation() {
    let mut scene = Scene::new(vec![pvh("pvh"), domain("pv")]);
    scene.xen.machine_mut().hvm = false;
    match scene.host.create("pvh") {
        Err(RequestError::Build(failure)) => {
            assert_eq!(failure.error, BuildError::NoHardwareVirtualisation);
        }
        other => panic!("{other:?}"),
    }
    assert_run(scene, &["pv"]);
}

#[test]
fn requests_that_make_no_sense() {
    let mut scene = Scene::new(vec![domain("web"), off(domain("idle"))]);
    let domid = scene.host.create("web").unwrap();
    assert_eq!(scene.host.create("web"), Err(RequestError::Running(domid)));
    assert_eq!(scene.host.create("nobody"), Err(RequestError::Unknown));
    assert_eq!(scene.host.destroy("nobody"), Err(RequestError::Unknown));
    assert_eq!(scene.host.destroy("idle"), Err(RequestError::NotRunning));
    assert_eq!(scene.host.pause("idle"), Err(RequestError::NotRunning));
    assert_eq!(scene.host.unpause("web"), Err(RequestError::NotRunning));
    scene.host.pause("web").unwrap();
    assert_eq!(scene.host.pause("web"), Err(RequestError::NotRunning));
    assert_eq!(scene.host.create("web"), Err(RequestError::Running(domid)));
    assert_eq!(scene.state("idle"), "off");
    scene.finish();
}

#[test]
fn a_domain_with_devices_is_not_started() {
    let interface = Interface {
        backend: None,
        bridge: "xenbr0".into(),
        mac: Mac([2; 6]),
        ip: Vec::new(),
        rate: None,
        mtu: None,
        vifname: None,
        trusted: true,
    };
    let driver = Domain {
        roles: vec![Role::Driver],
        serves: vec![BackendClass::Vif],
        ..domain("net")
    };
    let web = Domain {
        interfaces: vec![interface],
        ..domain("web")
    };
    let mut scene = Scene::new(vec![driver, web]);
    let problem = RequestError::Devices {
        disks: 0,
        interfaces: 1,
    };
    assert_eq!(scene.host.create("web"), Err(problem));
    assert!(
        scene
            .state("web")
            .contains("0 disks and 1 interfaces: domb cannot connect devices")
    );
    assert_run(scene, &["net"]);
}

#[test]
fn a_domain_without_a_console_reader() {
    let silent = Domain {
        console: manifest::Console::None,
        ..domain("silent")
    };
    let mut scene = Scene::new(vec![silent]);
    scene.host.create("silent").unwrap();
    assert_eq!(scene.consoles.names(), [] as [&str; 0]);
    scene.finish();
}
