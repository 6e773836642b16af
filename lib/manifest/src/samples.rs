//! Manifests for this crate's tests.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use measure::{Bank, Digests};
use proptest::prelude::*;

use crate::device::{Access, Address, DiskBackend, Format, Mac, Rate, Vdev};
use crate::{
    Action, BackendClass, CommandLineRule, Console, Disk, Domain, GuestBox, GuestClass, Host, Image, ImageRule,
    Interface, Kind, LogLevel, ManagementSettings, Manifest, Policy, Request, Role, Scope, SigningKey, StoreAccess,
    StoreQuota, StoreRight, StoreSettings, policy,
};

/// The digest of [`manifest`]'s encoding.
pub(crate) const MANIFEST_SHA256: &str = "sha256:b9fe55643ab5bf4b36bff3c470e23870cc342b6c45d8d732b94ed765f81192db";
/// The digest of the encoding of the domain "web" of [`manifest`].
pub(crate) const WEB_SHA256: &str = "sha256:c1c1184bbf563ca72d6364cdeb715ec5f7a9e08c8144cf84a789ebd1b4687c70";

/// The digest of the encoding of the domain "idle" of [`manifest`].
pub(crate) const IDLE_SHA256: &str = "sha256:041e4535d7eda1e9b48d83ae950391f1f8888b185120a92c3d2c1982aab3aa45";

/// "store"; "web" with every field but the devices set, needing it; "idle" with devices, needing "web".
pub(crate) fn manifest() -> Manifest {
    let digests = |data: &[u8]| Digests::of(&Bank::ALL, data);
    Manifest {
        host: Host {
            name: "demo".into(),
            banks: Bank::ALL.to_vec(),
            operator_console: true,
            log_level: LogLevel::Info,
            store: StoreSettings::default(),
        },
        images: vec![
            Image {
                name: "debian".into(),
                size: 6,
                digests: digests(b"kernel"),
            },
            Image {
                name: "initrd".into(),
                size: 7,
                digests: digests(b"ramdisk"),
            },
        ],
        domains: vec![
            Domain {
                uuid: [1; 16],
                roles: vec![Role::Store],
                ..domain("store", &[])
            },
            Domain {
                uuid: [2; 16],
                kind: Kind::Pvh,
                ramdisk: Some("initrd".into()),
                command_line: "console=hvc0".into(),
                memory_kib: 128 << 10,
                maxmem_kib: 256 << 10,
                vcpus: 2,
                max_vcpus: 4,
                autostart: true,
                on_crash: Action::Preserve,
                console: Console::None,
                roles: vec![Role::Driver, Role::Management],
                serves: vec![BackendClass::Vif, BackendClass::Vbd],
                store_quota: StoreQuota {
                    nodes: Some(2000),
                    events: Some(100),
                    ..StoreQuota::default()
                },
                management: ManagementSettings {
                    channels: 3,
                    image_memory_kib: 64 << 10,
                },
                store_access: vec![
                    StoreAccess {
                        of: None,
                        path: "/local/domain/*/data".into(),
                        access: StoreRight::Read,
                    },
                    StoreAccess {
                        of: Some("idle".into()),
                        path: "control/**".into(),
                        access: StoreRight::Write,
                    },
                ],
                ..domain("web", &["store"])
            },
            Domain {
                uuid: [3; 16],
                disks: vec![disk()],
                interfaces: vec![interface()],
                ..domain("idle", &["web"])
            },
        ],
        policy: policy(),
    }
}

/// A disk with every field set, served by "web".
pub(crate) fn disk() -> Disk {
    Disk {
        backend: Some("web".into()),
        target: "/dev/vg/idle".into(),
        format: Format::Raw,
        vdev: Vdev::parse("xvdb2").unwrap(),
        access: Access::Shared,
        cdrom: false,
        backend_type: Some(DiskBackend::Phy),
        discard: true,
        direct_io_safe: false,
        trusted: true,
    }
}

/// An interface with every field set but the backend.
pub(crate) fn interface() -> Interface {
    Interface {
        backend: None,
        bridge: "xenbr1".into(),
        mac: Mac([2, 0, 0, 1, 2, 3]),
        ip: vec![
            Address::parse("192.0.2.1").unwrap(),
            Address::parse("2001:db8::/64").unwrap(),
        ],
        rate: Rate::parse("10MB/s@20ms"),
        mtu: Some(1400),
        vifname: Some("idle0".into()),
        trusted: false,
    }
}

/// Two classes, and access of "web" to the first, to "idle" and to the host.
fn policy() -> Policy {
    Policy {
        keys: vec![SigningKey {
            name: "release".into(),
            ed25519: [0x5a; 32],
        }],
        classes: vec![
            GuestClass {
                name: "small".into(),
                kinds: vec![Kind::Pvh],
                kernels: vec![
                    ImageRule::Sha256([7; 32]),
                    ImageRule::SignedBy("release".into()),
                    ImageRule::Image("debian".into()),
                ],
                ramdisks: vec![ImageRule::None],
                command_lines: vec![
                    CommandLineRule::Exact("quiet".into()),
                    CommandLineRule::Beginning("console=hvc0 ".into()),
                ],
                memory_max_kib: 2 << 20,
                memory_total_kib: 8 << 20,
                vcpus_max: 4,
                guests_max: 16,
                backends: vec!["web".into()],
                devices_max: 8,
                guest_box: GuestBox::Open,
            },
            GuestClass {
                name: "sealed".into(),
                kinds: vec![Kind::Pvh, Kind::Pv],
                kernels: vec![ImageRule::Image("debian".into())],
                ramdisks: vec![],
                command_lines: vec![],
                memory_max_kib: 64 << 10,
                memory_total_kib: 64 << 10,
                vcpus_max: 1,
                guests_max: 1,
                backends: vec![],
                devices_max: 0,
                guest_box: GuestBox::Closed,
            },
        ],
        access: vec![
            policy::Access {
                domain: "web".into(),
                scope: Scope::Class("small".into()),
                may: vec![Request::Create, Request::Destroy, Request::Console],
            },
            policy::Access {
                domain: "web".into(),
                scope: Scope::Domain("idle".into()),
                may: vec![Request::Shutdown],
            },
            policy::Access {
                domain: "web".into(),
                scope: Scope::Host,
                may: vec![Request::HostInfo, Request::XenLog],
            },
        ],
    }
}

/// Domains of these names and needs, in this order, without a policy.
pub(crate) fn manifest_with_needs(domains: &[(&str, &[&str])]) -> Manifest {
    Manifest {
        domains: domains.iter().map(|(name, needs)| domain(name, needs)).collect(),
        policy: Policy::default(),
        ..manifest()
    }
}

/// A small PV domain.
fn domain(name: &str, needs: &[&str]) -> Domain {
    Domain {
        name: name.into(),
        uuid: crate::uuid::derive("demo", name),
        kind: Kind::Pv,
        kernel: "debian".into(),
        ramdisk: None,
        command_line: String::new(),
        memory_kib: 8 << 10,
        maxmem_kib: 8 << 10,
        vcpus: 1,
        max_vcpus: 1,
        autostart: false,
        needs: needs.iter().map(ToString::to_string).collect(),
        on_poweroff: Action::Destroy,
        on_reboot: Action::Restart,
        on_crash: Action::Destroy,
        console: Console::Log,
        roles: Vec::new(),
        serves: Vec::new(),
        store_quota: StoreQuota::default(),
        store_access: Vec::new(),
        disks: Vec::new(),
        interfaces: Vec::new(),
        management: ManagementSettings::default(),
    }
}

/// An image of its own name and content.
pub(crate) fn image(number: usize) -> Image {
    let name = format!("image{number}");
    Image {
        size: 0,
        digests: Digests::of(&Bank::ALL, name.as_bytes()),
        name,
    }
}

/// Manifests with up to eight domains of few names, so that there are duplicates, cycles and missing images, and some
/// values beyond the limits.
pub(crate) fn any_manifest() -> impl Strategy<Value = Manifest> {
    let name = || "[a-e]|[a-z]{1,3}|-x";
    let texts = (
        name(),
        prop::option::of("initrd|debian|none"),
        "[ -~]{0,20}",
        prop::collection::vec(name(), 0..3),
    );
    let numbers = (any::<[u8; 16]>(), 0_u64..100_000, 0_u64..100_000, 0_u16..70, 0_u16..70);
    let choices = (any::<[bool; 3]>(), 0..3_usize);
    let store = (
        prop::collection::vec(prop::sample::select(Role::ALL.to_vec()), 0..3),
        prop::collection::vec(prop::sample::select(BackendClass::ALL.to_vec()), 0..3),
        prop::option::of(0_u32..2_000_000),
        prop::option::of((prop::option::of(name()), "[/a*]{0,6}")),
        prop::option::of((any_disk(), any_interface())),
    );
    let domain =
        (texts, numbers, choices, store).prop_map(|(texts, numbers, ([pv, autostart, log], action), store)| {
            let actions = [Action::Destroy, Action::Restart, Action::Preserve];
            Domain {
                name: texts.0,
                ramdisk: texts.1,
                command_line: texts.2,
                needs: texts.3,
                uuid: numbers.0,
                memory_kib: numbers.1 * 4,
                maxmem_kib: (numbers.1 + numbers.2) * 4,
                vcpus: numbers.3,
                max_vcpus: numbers.3 + numbers.4,
                kind: if pv { Kind::Pv } else { Kind::Pvh },
                autostart,
                console: if log { Console::Log } else { Console::None },
                on_poweroff: actions[action],
                on_reboot: actions[(action + 1) % 3],
                on_crash: actions[(action + 2) % 3],
                roles: store.0,
                serves: store.1,
                store_quota: StoreQuota {
                    nodes: store.2,
                    ..StoreQuota::default()
                },
                management: ManagementSettings {
                    channels: numbers.3,
                    image_memory_kib: numbers.1,
                },
                store_access: store.3.map_or(vec![], |(of, path)| {
                    vec![StoreAccess {
                        of,
                        path,
                        access: if log { StoreRight::Read } else { StoreRight::Write },
                    }]
                }),
                disks: store.4.iter().map(|(disk, _)| disk.clone()).collect(),
                interfaces: store.4.into_iter().map(|(_, interface)| interface).collect(),
                ..domain("", &[])
            }
        });
    let domains: BoxedStrategy<Vec<Domain>> = prop::collection::vec(domain, 0..8).boxed();
    (domains, any_policy(), any::<[bool; 2]>()).prop_map(|(domains, policy, [small, two_banks])| {
        let mut manifest = Manifest {
            domains,
            policy,
            ..manifest()
        };
        if small {
            // Values within the limits, so that dependencies decide.
            for domain in &mut manifest.domains {
                (domain.memory_kib, domain.maxmem_kib, domain.vcpus, domain.max_vcpus) = (8192, 8192, 1, 1);
                domain.roles.retain(|role| *role == Role::Store);
                domain.serves.clear();
                domain.store_access.clear();
                domain.store_quota = StoreQuota::default();
                domain.disks.clear();
                domain.interfaces.clear();
                domain.management = ManagementSettings::default();
            }
        }
        if !two_banks {
            manifest.host.banks.truncate(1);
        }
        manifest
    })
}

/// Disks, some beyond the limits.
fn any_disk() -> impl Strategy<Value = Disk> {
    let formats = prop::sample::select(Format::ALL.to_vec());
    let accesses = prop::sample::select(Access::ALL.to_vec());
    let texts = (prop::option::of("[a-e]"), "/[ -~]{0,8}|x");
    let number = 0_u32..2 << 28;
    (texts, number, formats, accesses, any::<[bool; 5]>()).prop_map(
        |((backend, target), number, format, access, [phy, cdrom, discard, safe, trusted])| Disk {
            backend,
            target,
            format,
            vdev: Vdev::from_number(number).unwrap(),
            access,
            cdrom,
            backend_type: phy.then_some(DiskBackend::Phy),
            discard,
            direct_io_safe: safe,
            trusted,
        },
    )
}

/// Interfaces, some beyond the limits.
fn any_interface() -> impl Strategy<Value = Interface> {
    let texts = (
        prop::option::of("[a-e]"),
        "[a-z0-9]{0,17}",
        prop::option::of("[a-z.]{1,4}"),
    );
    let ip = prop::collection::vec((any::<core::net::IpAddr>(), any::<u8>()), 0..3);
    let rate = prop::option::of((any::<u64>(), any::<u32>()));
    let rest = (any::<[u8; 6]>(), prop::option::of(any::<u16>()), any::<bool>());
    (texts, ip, rate, rest).prop_map(
        |((backend, bridge, vifname), ip, rate, (mac, mtu, trusted))| Interface {
            backend,
            bridge,
            mac: Mac(mac),
            ip: ip.into_iter().map(|(ip, prefix)| Address { ip, prefix }).collect(),
            rate: rate.map(|(bytes_per_second, interval_us)| Rate {
                bytes_per_second,
                interval_us,
            }),
            mtu,
            vifname,
            trusted,
        },
    )
}

/// Policies, half of them empty, with few names, so that some of them are right.
fn any_policy() -> impl Strategy<Value = Policy> {
    let rule = prop_oneof![
        any::<[u8; 32]>().prop_map(ImageRule::Sha256),
        "release|other".prop_map(ImageRule::SignedBy),
        "debian|other".prop_map(ImageRule::Image),
        Just(ImageRule::None),
    ];
    let rules = || prop::collection::vec(rule.clone(), 0..3);
    let limits = (0_u64..10_000, 0_u64..10_000, 0_u16..70, any::<u16>(), 0_u16..300);
    let class = ("[a-c]", rules(), rules(), "[ -~]{0,9}", limits, any::<[bool; 3]>());
    let class = class.prop_map(
        |(name, kernels, ramdisks, text, limits, [pv, beginning, closed])| GuestClass {
            name,
            kinds: if pv { vec![Kind::Pv] } else { vec![] },
            kernels,
            ramdisks,
            command_lines: vec![if beginning {
                CommandLineRule::Beginning(text)
            } else {
                CommandLineRule::Exact(text)
            }],
            memory_max_kib: limits.0 * 4,
            memory_total_kib: limits.1 * 4,
            vcpus_max: limits.2,
            guests_max: limits.3,
            backends: vec!["a".into()],
            devices_max: limits.4,
            guest_box: if closed { GuestBox::Closed } else { GuestBox::Open },
        },
    );
    let scope = prop_oneof![
        Just(Scope::Host),
        "[a-c]".prop_map(Scope::Domain),
        "[a-c]".prop_map(Scope::Class),
    ];
    let may = prop::collection::vec(prop::sample::select(Request::ALL.to_vec()), 0..4);
    let access = ("[a-c]", scope, may).prop_map(|(domain, scope, may)| policy::Access { domain, scope, may });
    let key = ("release|other", any::<[u8; 32]>()).prop_map(|(name, ed25519)| SigningKey { name, ed25519 });
    let policy = (
        prop::collection::vec(key, 0..3),
        prop::collection::vec(class, 0..3),
        prop::collection::vec(access, 0..3),
    )
        .prop_map(|(keys, classes, access)| Policy { keys, classes, access });
    prop_oneof![Just(Policy::default()), policy]
}
