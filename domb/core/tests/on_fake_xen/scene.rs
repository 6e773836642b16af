//! Manifests, bundles and hosts for the tests.

use std::convert::Infallible;
use std::ops::Range;
use std::sync::OnceLock;

use domb_core::build::{self, Built, Failure, Plan, Store};
use domb_core::bundle;
use domb_core::host::{BootError, Host, Identity};
use manifest::{
    Action, Console, Domain, Image, Kind, LogLevel, ManagementSettings, Manifest, Policy, Role, StoreQuota,
    StoreSettings,
};
use measure::{Bank, Digests};
use xen::DomId;

use crate::clock;
use crate::consoles::FakeConsoles;
use crate::fake_store::{FakeLink, FakeStore};
use crate::fake_xen::FakeXen;
use crate::kernel::{Kernel, Like, pattern};

pub(crate) const MIB_IN_KIB: u64 = 1024;
/// The number of a store that is built by itself.
pub(crate) const STORE: DomId = DomId(9);
/// What the builder is told that it is itself.
pub(crate) const IDENTITY: Identity<'static> = Identity {
    image: &[b"text", b"data"],
    command_line: "domb loglvl=debug",
};

/// A PV domain of 8 MiB.
pub(crate) fn domain(name: &str) -> Domain {
    Domain {
        name: name.into(),
        uuid: manifest::uuid::derive("demo", name),
        kind: Kind::Pv,
        kernel: "linux".into(),
        ramdisk: Some("initrd".into()),
        command_line: format!("console=hvc0 name={name}"),
        memory_kib: 8 * MIB_IN_KIB,
        maxmem_kib: 8 * MIB_IN_KIB,
        vcpus: 1,
        max_vcpus: 1,
        autostart: true,
        needs: Vec::new(),
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

/// As [`domain`], needing others.
pub(crate) fn needing(name: &str, needs: &[&str]) -> Domain {
    Domain {
        needs: needs.iter().map(|&need| need.into()).collect(),
        ..domain(name)
    }
}

/// As [`domain`], PVH.
pub(crate) fn pvh(name: &str) -> Domain {
    Domain {
        kind: Kind::Pvh,
        vcpus: 2,
        max_vcpus: 4,
        ..domain(name)
    }
}

/// The domain that is the store.
pub(crate) fn store() -> Domain {
    Domain {
        roles: vec![Role::Store],
        ramdisk: None,
        console: Console::None,
        ..domain("store")
    }
}

/// The images of every bundle here.
fn images() -> &'static [(&'static str, Vec<u8>)] {
    static IMAGES: OnceLock<Vec<(&str, Vec<u8>)>> = OnceLock::new();
    IMAGES.get_or_init(|| {
        vec![
            ("linux", Kernel::new(Like::Linux, 3, 0x5123, 0x8000).elf()),
            ("initrd", pattern(7, 0x4321)),
            ("unikernel", Kernel::new(Like::UniKernel, 5, 0x1000, 0x100).elf()),
            ("huge", pattern(9, 9 << 20)),
        ]
    })
}

#[track_caller]
pub(crate) fn image(name: &str) -> &'static [u8] {
    &images().iter().find(|(other, _)| *other == name).unwrap().1
}

/// Where an image is in a bundle.
#[track_caller]
pub(crate) fn place_in(bundle: &[u8], name: &str) -> Range<usize> {
    let image = image(name);
    let first = bundle.windows(image.len()).position(|window| window == image).unwrap();
    first..first + image.len()
}

/// A manifest of these domains.
pub(crate) fn manifest(domains: Vec<Domain>, banks: &[Bank]) -> Manifest {
    Manifest {
        host: manifest::Host {
            name: "demo".into(),
            banks: banks.to_vec(),
            operator_console: false,
            log_level: LogLevel::Info,
            store: StoreSettings::default(),
        },
        images: images()
            .iter()
            .map(|(name, bytes)| Image {
                name: (*name).into(),
                size: bytes.len() as u64,
                digests: Digests::of(banks, bytes),
            })
            .collect(),
        domains,
        policy: Policy::default(),
    }
}

/// The bundle of a manifest.
pub(crate) fn bundle(manifest: &Manifest) -> Vec<u8> {
    let mut bytes = Vec::new();
    bundle::write(
        manifest,
        |wanted| Ok::<_, Infallible>(image(&wanted.name)),
        |part| {
            bytes.extend_from_slice(part);
            Ok(())
        },
    )
    .unwrap();
    bytes
}

/// A host, the machine and the consoles under it.
pub(crate) struct Scene {
    pub(crate) xen: FakeXen,
    pub(crate) consoles: FakeConsoles,
    pub(crate) store: FakeStore,
    pub(crate) host: Host<'static, FakeXen, FakeConsoles, FakeLink>,
}

impl Scene {
    /// A host of these domains on a machine of 64 MiB. Nothing is started.
    pub(crate) fn new(domains: Vec<Domain>) -> Self {
        Self::from_bundle(bundle(&manifest(domains, &[Bank::Sha256]))).unwrap()
    }

    pub(crate) fn from_bundle(bundle: Vec<u8>) -> Result<Self, BootError> {
        // The bundle lies in the builder's memory for ever.
        Self::on(bundle.leak())
    }

    pub(crate) fn on(bundle: &'static [u8]) -> Result<Self, BootError> {
        let xen = FakeXen::new(64);
        let consoles = FakeConsoles::new(&xen);
        let store = FakeStore::new(&xen);
        let host = Host::new(
            xen.clone(),
            consoles.clone(),
            store.link(),
            clock::now,
            bundle,
            &IDENTITY,
        )?;
        Ok(Self {
            xen,
            consoles,
            store,
            host,
        })
    }

    /// Starts what starts with the host; the names of those that did.
    pub(crate) fn boot(&mut self) -> Vec<String> {
        let mut names = self.host.autostart();
        names.retain(|name| self.host.create(name).is_ok());
        names
    }

    /// The state of a domain, as the operator is told.
    #[track_caller]
    pub(crate) fn state(&mut self, name: &str) -> String {
        let head = format!("domain={name} ");
        let line = self.host.list().into_iter().find(|line| line.starts_with(&head));
        line.unwrap().split_once("state=").unwrap().1.into()
    }

    #[track_caller]
    pub(crate) fn domid(&self, name: &str) -> DomId {
        self.host.domid(name).unwrap()
    }

    /// A domain's guest ends it, and Xen says that something happened.
    #[track_caller]
    pub(crate) fn end(&mut self, name: &str, reason: xen::ShutdownReason) {
        let domid = self.domid(name);
        self.xen.machine_mut().shut_down(domid, reason);
        self.host.domain_exception();
    }

    /// Destroys every domain that is there, the store last, and asserts that nothing is left.
    #[track_caller]
    pub(crate) fn finish(mut self) {
        let (stores, mut names): (Vec<_>, Vec<_>) = self.host.names(|_| true).into_iter().partition(|it| it == "store");
        names.extend(stores);
        for name in names {
            if self.host.domid(&name).is_none() {
                continue;
            }
            if name == "store" && self.state(&name) == "running" {
                assert_eq!(self.store.served(), []);
                assert_eq!(self.store.homes(), [] as [&str; 0]);
            }
            self.host.destroy(&name).unwrap();
        }
        self.xen.machine().assert_empty();
        assert_eq!(self.consoles.names(), [] as [&str; 0]);
    }
}

/// Builds a domain from images of its own, on a host without a store.
pub(crate) fn build(xen: &FakeXen, domain: &Domain, kernel: &[u8], ramdisk: &[u8]) -> Result<Built, Failure> {
    build_with(xen, domain, kernel, ramdisk, Store::None)
}

/// Builds a domain from images of its own.
pub(crate) fn build_with(
    xen: &FakeXen,
    domain: &Domain,
    kernel: &[u8],
    ramdisk: &[u8],
    store: Store,
) -> Result<Built, Failure> {
    let plan = Plan {
        domain,
        number: matches!(store, Store::Server { .. }).then_some(STORE),
        kernel,
        ramdisk,
        console_server: DomId::INITIAL,
        store,
        clock: clock::now,
    };
    build::build(&mut xen.clone(), &plan)
}
