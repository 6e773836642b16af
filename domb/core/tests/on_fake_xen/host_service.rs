//! What a management domain asks for, from the request to what happens.

use domb_core::host::Conversation;
use domb_core::management::{Answer, Done, Guest, Image, ImageState, Request, StateFlags, Subject};
use manifest::{
    Access, BackendClass, CommandLineRule, Console, Domain, GuestBox, GuestClass, ImageRule, Kind, ManagementSettings,
    Manifest, Policy, Request as Right, Role, Scope,
};
use measure::{Bank, Digest};
use xen::grant_table::GrantedBytes;
use xen::{DomId, PAGE_SIZE};

use crate::kernel::{Kernel, Like};
use crate::scene::{Scene, bundle, domain, image, manifest, store};

const ASKER: &str = "mgmt";

fn kernel() -> Vec<u8> {
    Kernel::new(Like::Linux, 11, 0x3123, 0x8000).elf()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Digest::of(Bank::Sha256, bytes).bytes().try_into().unwrap()
}

fn offered(bytes: &[u8]) -> Image {
    Image {
        digest: sha256(bytes),
        size: bytes.len() as u64,
        signatures: Vec::new(),
    }
}

fn policy() -> Policy {
    Policy {
        keys: Vec::new(),
        classes: vec![GuestClass {
            name: "web".into(),
            kinds: vec![Kind::Pv],
            kernels: vec![ImageRule::Sha256(sha256(&kernel()))],
            ramdisks: vec![ImageRule::Image("initrd".into()), ImageRule::None],
            command_lines: vec![CommandLineRule::Beginning("console=hvc0 ".into())],
            memory_max_kib: 8 << 10,
            memory_total_kib: 16 << 10,
            vcpus_max: 2,
            guests_max: 2,
            backends: Vec::new(),
            devices_max: 0,
            guest_box: GuestBox::Open,
        }],
        access: vec![
            Access {
                domain: ASKER.into(),
                scope: Scope::Class("web".into()),
                may: vec![
                    Right::Create,
                    Right::Destroy,
                    Right::List,
                    Right::Info,
                    Right::Pause,
                    Right::Unpause,
                ],
            },
            Access {
                domain: ASKER.into(),
                scope: Scope::Host,
                may: vec![Right::HostInfo, Right::HostLog, Right::PolicyExplain],
            },
        ],
    }
}

fn scene_of(change: impl FnOnce(&mut Manifest)) -> Scene {
    let manager = Domain {
        roles: vec![Role::Management],
        management: ManagementSettings {
            channels: 1,
            image_memory_kib: 1 << 10,
        },
        ..domain(ASKER)
    };
    let mut manifest = manifest(vec![store(), manager], &[Bank::Sha256]);
    manifest.policy = policy();
    change(&mut manifest);
    let mut scene = Scene::from_bundle(bundle(&manifest)).unwrap();
    scene.host.held_images().limit(1 << 20);
    assert_eq!(scene.boot(), ["store", ASKER]);
    scene
}

fn scene() -> Scene {
    scene_of(|_| ())
}

/// A client with one connection.
struct Client {
    scene: Scene,
    conversation: Conversation,
}

impl Client {
    fn new(scene: Scene) -> Self {
        Self {
            scene,
            conversation: Conversation::default(),
        }
    }

    fn ask(&mut self, request: &Request) -> Answer {
        self.scene.host.answer(ASKER, &mut self.conversation, request)
    }

    #[track_caller]
    fn done(&mut self, request: &Request) -> Done {
        match self.ask(request) {
            Answer::Done { result } => result,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn refused(&mut self, request: &Request) -> String {
        match self.ask(request) {
            Answer::Refused { rule, text } => format!("{rule}: {text}"),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn failed(&mut self, request: &Request) -> String {
        match self.ask(request) {
            Answer::Failed { step, text } => format!("{step}: {text}"),
            other => panic!("{other:?}"),
        }
    }

    /// Grants the pages of bytes, and gives the pieces.
    fn grant(&mut self, bytes: &[u8]) -> Vec<GrantedBytes> {
        let asker = self.scene.domid(ASKER);
        let mut granted = self.scene.consoles.granted.borrow_mut();
        granted.clear();
        (500..)
            .zip(bytes.chunks(PAGE_SIZE))
            .map(|(reference, page)| {
                granted.insert((asker, reference), page.to_vec());
                GrantedBytes {
                    reference,
                    offset: 0,
                    length: u16::try_from(page.len()).unwrap(),
                }
            })
            .collect()
    }

    /// Brings an image in windows of two pages.
    #[track_caller]
    fn bring(&mut self, bytes: &[u8]) {
        let image = offered(bytes);
        let digest = image.digest;
        let offer = self.done(&Request::ImageOffer { image });
        let Done::ImageOffer { state } = offer else {
            panic!("{offer:?}")
        };
        assert!(matches!(state, ImageState::Wanted { received: 0, .. }), "{state:?}");
        let mut offset = 0;
        for window in bytes.chunks(2 * PAGE_SIZE) {
            let pieces = self.grant(window);
            let done = self.done(&Request::ImageWindow { digest, offset, pieces });
            offset += window.len() as u64;
            let held = offset == bytes.len() as u64;
            assert_eq!(done, Done::ImageWindow { received: offset, held });
        }
    }
}

fn create(domain: &Domain) -> Request {
    Request::Create {
        configuration: domain.canonical(),
        class: None,
        kernel: offered(&kernel()),
        ramdisk: Some(offered(image("initrd"))),
        devices: Vec::new(),
        paused: false,
    }
}

fn named(name: &str) -> Guest {
    Guest::Name { name: name.into() }
}

#[test]
fn a_guest_is_created_listed_and_destroyed() {
    let mut client = Client::new(scene());
    client.bring(&kernel());
    // What the bundle has needs not be brought.
    let state = client.done(&Request::ImageOffer {
        image: offered(image("initrd")),
    });
    assert_eq!(
        state,
        Done::ImageOffer {
            state: ImageState::Held
        }
    );
    let Done::Create { domid } = client.done(&create(&domain("web"))) else {
        panic!("no number")
    };
    let Done::List { domains, next: None } = client.done(&Request::List { from: 0 }) else {
        panic!("no list")
    };
    // It may not know of itself and of the store.
    let [entry] = domains.as_slice() else {
        panic!("{domains:?}")
    };
    assert_eq!((entry.name.as_str(), entry.domid), ("web", domid));
    assert_eq!(entry.class.as_deref(), Some("web"));
    assert!(entry.state.has(StateFlags::BLOCKED));
    let Done::Info {
        vcpus, configuration, ..
    } = client.done(&Request::Info { guest: named("web") })
    else {
        panic!("no report")
    };
    assert_eq!(vcpus.len(), 1);
    assert_eq!(Domain::decode(&configuration).unwrap().memory_kib, 8 << 10);
    assert_eq!(
        client.done(&Request::Pause {
            guest: Guest::Id { domid }
        }),
        Done::Nothing
    );
    assert_eq!(client.scene.state("web"), "paused");
    client.done(&Request::Destroy {
        guest: Guest::Uuid {
            uuid: domain("web").uuid,
        },
    });
    let gone = client.failed(&Request::Destroy { guest: named("web") });
    assert_eq!(gone, "find: no domain \"web\"");
    client.scene.finish();
}

#[test]
fn one_that_is_asked_for_paused_waits() {
    let mut client = Client::new(scene());
    client.bring(&kernel());
    let Request::Create {
        configuration,
        class,
        kernel,
        ramdisk,
        devices,
        ..
    } = create(&domain("web"))
    else {
        unreachable!("made above")
    };
    client.done(&Request::Create {
        configuration,
        class,
        kernel,
        ramdisk,
        devices,
        paused: true,
    });
    assert_eq!(client.scene.state("web"), "paused");
    let domid = client.scene.domid("web");
    assert_eq!(client.scene.xen.machine().domains[&domid].pauses, 1);
    client.done(&Request::Unpause { guest: named("web") });
    assert_eq!(client.scene.state("web"), "running");
    assert_eq!(client.scene.xen.machine().domains[&domid].pauses, 0);
    client.scene.finish();
}

#[test]
fn what_the_policy_does_not_allow_is_refused_by_its_rule_and_explained() {
    let mut client = Client::new(scene());
    client.bring(&kernel());
    let large = Domain {
        maxmem_kib: 9 << 10,
        ..domain("web")
    };
    let other_command_line = Domain {
        command_line: "init=/bin/sh".into(),
        ..domain("web")
    };
    let refused = client.refused(&create(&large));
    assert!(refused.starts_with("class web: memory-max: "), "{refused}");
    let refused = client.refused(&create(&other_command_line));
    assert!(refused.starts_with("class web: command-lines: "), "{refused}");
    let refused = client.refused(&Request::Destroy { guest: named("store") });
    assert_eq!(refused, "access: no access entry lets mgmt do destroy to domain store");
    let refused = client.refused(&Request::XenLog { index: 0, clear: false });
    assert!(refused.starts_with("access: "), "{refused}");
    let subject = Subject::new(create(&large)).unwrap();
    let explained = client.done(&Request::PolicyExplain { subject });
    assert!(
        matches!(&explained, Done::PolicyExplain { allowed: false, rule, .. } if rule == "class web: memory-max"),
        "{explained:?}"
    );
    let subject = Subject::new(create(&domain("web"))).unwrap();
    let explained = client.done(&Request::PolicyExplain { subject });
    assert!(
        matches!(explained, Done::PolicyExplain { allowed: true, .. }),
        "{explained:?}"
    );
    assert_eq!(client.scene.host.names(|name| name == "web"), [] as [&str; 0]);
    client.scene.finish();
}

#[test]
fn a_guest_has_no_privilege_whatever_is_asked_for() {
    let mut client = Client::new(scene());
    client.bring(&kernel());
    let privileged = Domain {
        roles: vec![Role::Driver],
        serves: vec![BackendClass::Vbd],
        ..domain("web")
    };
    let failed = client.failed(&create(&privileged));
    assert!(failed.contains("can have no roles"), "{failed}");
    client.scene.finish();
}

#[test]
fn an_image_comes_in_order_or_not_at_all() {
    let mut client = Client::new(scene());
    let bytes = kernel();
    let digest = sha256(&bytes);
    let window = |offset, pieces| Request::ImageWindow { digest, offset, pieces };
    let pieces = client.grant(&bytes[..PAGE_SIZE]);
    let failed = client.failed(&window(0, pieces.clone()));
    assert!(failed.contains("was not offered"), "{failed}");
    client.done(&Request::ImageOffer { image: offered(&bytes) });
    let failed = client.failed(&window(4096, pieces.clone()));
    assert!(failed.contains("expected: from 0 on"), "{failed}");
    client.done(&window(0, pieces));
    // Nobody granted these.
    let nobodys = vec![GrantedBytes {
        reference: 9,
        offset: 0,
        length: 10,
    }];
    let failed = client.failed(&window(4096, nobodys));
    assert!(failed.contains("grant 9"), "{failed}");
    // What it has it keeps, for the client that offers it again.
    let state = client.done(&Request::ImageOffer { image: offered(&bytes) });
    assert!(
        matches!(
            state,
            Done::ImageOffer {
                state: ImageState::Wanted { received: 4096, .. }
            }
        ),
        "{state:?}"
    );
    // The connection ends: so does what arrived.
    client.conversation = Conversation::default();
    assert_eq!(client.scene.host.held_images().room().0, 0);
    client.scene.finish();
}

#[test]
fn an_image_that_is_another_one_is_not_held() {
    let mut client = Client::new(scene());
    let (bytes, mut evil) = (kernel(), kernel());
    evil[100] ^= 1;
    client.done(&Request::ImageOffer { image: offered(&bytes) });
    let pieces = client.grant(&evil);
    let failed = client.failed(&Request::ImageWindow {
        digest: sha256(&bytes),
        offset: 0,
        pieces,
    });
    assert!(failed.contains("announced was"), "{failed}");
    let failed = client.failed(&create(&domain("web")));
    assert!(failed.contains("has to be sent first"), "{failed}");
    client.scene.finish();
}

#[test]
fn logs_are_read_by_who_may() {
    let mut client = Client::new(scene_of(|manifest| {
        manifest.policy.access[1].may.push(Right::XenLog);
    }));
    let Done::HostLog { lines, next } = client.done(&Request::HostLog { sequence: 1 }) else {
        panic!("no lines")
    };
    assert_eq!((lines.len(), lines[0].sequence, next), (2, 1, 3));
    let Done::XenLog { text, next } = client.done(&Request::XenLog { index: 6, clear: false }) else {
        panic!("no log")
    };
    assert!(text.starts_with(b"Xen version"));
    let end = client.done(&Request::XenLog {
        index: next,
        clear: false,
    });
    assert!(matches!(end, Done::XenLog { text, .. } if text.is_empty()));
    let Done::MeasurementLog { total, bytes } = client.done(&Request::MeasurementLog { guest: None, offset: 0 }) else {
        panic!("no log")
    };
    assert_eq!(
        (total, bytes.as_slice()),
        (bytes.len() as u64, client.scene.host.event_log())
    );
    let Done::HostInfo { host } = client.done(&Request::HostInfo) else {
        panic!("no report")
    };
    assert_eq!(
        (host.name.as_str(), DomId(host.asker)),
        ("demo", client.scene.domid(ASKER))
    );
    client.scene.finish();
}

#[test]
fn a_configuration_that_cannot_be_is_not_even_logged() {
    let mut client = Client::new(scene());
    client.bring(&kernel());
    let unbounded = Domain {
        name: "x".repeat(40_000),
        ..domain("web")
    };
    let failed = client.failed(&create(&unbounded));
    assert!(failed.starts_with("configuration: "), "{failed}");
    client.scene.finish();
}

#[test]
fn a_closed_box_has_no_console() {
    let mut client = Client::new(scene_of(|manifest| {
        manifest.policy.classes[0].guest_box = GuestBox::Closed;
        manifest.policy.access[0].may = vec![Right::Create, Right::Destroy, Right::List];
    }));
    client.bring(&kernel());
    let failed = client.failed(&create(&domain("web")));
    assert!(failed.contains("closed box"), "{failed}");
    let silent = Domain {
        console: Console::None,
        ..domain("web")
    };
    client.done(&create(&silent));
    assert_eq!(client.scene.consoles.names(), [ASKER]);
    client.scene.finish();
}
