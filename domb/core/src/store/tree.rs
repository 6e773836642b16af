//! Which nodes are written for the host and for each domain, as data.
//!
//! What a domain finds is what Xen's own toolstack writes for a PV or PVH domain without devices
//! (`libxl__domain_make`, `libxl__build_post` and `libxl__device_console_add` in tools/libs/light), but that the builder
//! owns all that the domain has no reason to change. `/libxl` is the books of that toolstack, which no guest reads, and is
//! left out.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use manifest::{Domain, Kind, uuid};
use xen::DomId;
use xen::store::{Access, Permission};

use crate::build::Built;

/// Output of a console that its server keeps for a slow reader, in bytes (`LIBXL_XENCONSOLE_LIMIT`).
const CONSOLE_LIMIT: u32 = 1 << 20;

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Absolute path. Nodes on the way that are not listed themselves inherit what the node above them has.
    pub path: String,
    /// Value; empty for most nodes that only have others below them.
    pub value: Vec<u8>,
    /// The first one names the owner and what all others may do.
    pub permissions: Vec<Permission>,
}

/// The home of a domain.
#[must_use]
pub fn home(domid: DomId) -> String {
    format!("/local/domain/{domid}")
}

/// Where a domain's nodes are that go by its UUID.
#[must_use]
pub fn vm(domain: &Domain) -> String {
    format!("/vm/{}", uuid::text(&domain.uuid))
}

/// The nodes of the host as a whole, given the domain that is the store. Everyone may read who serves store and consoles.
#[must_use]
pub fn of_host(store_name: &str, store: DomId) -> Vec<Node> {
    let all_read = [Permission::new(DomId::INITIAL, Access::READ)];
    let hidden = [Permission::new(DomId::INITIAL, Access::NONE)];
    let mut nodes = Nodes::default();
    nodes.add("/tool", "", &all_read);
    for (server, domid) in [("xenstored", store), ("xenconsoled", DomId::INITIAL)] {
        nodes.add(&format!("/tool/{server}"), "", &all_read);
        nodes.add(&format!("/tool/{server}/domid"), domid, &all_read);
    }
    nodes.add("/vm", "", &hidden);
    nodes.add("/local", "", &hidden);
    nodes.add("/local/domain", "", &hidden);
    for (domid, name) in [(DomId::INITIAL, "domb"), (store, store_name)] {
        let home = home(domid);
        nodes.add(&home, "", &all_read);
        nodes.add(&format!("{home}/name"), name, &all_read);
        nodes.add(&format!("{home}/domid"), domid, &all_read);
    }
    nodes.0
}

/// The nodes of a domain that was just built.
#[must_use]
pub fn of_domain(domain: &Domain, built: &Built) -> Vec<Node> {
    let domid = built.domid;
    let read = [
        Permission::new(DomId::INITIAL, Access::NONE),
        Permission::new(domid, Access::READ),
    ];
    let own = [Permission::new(domid, Access::NONE)];
    let vm = vm(domain);
    let mut nodes = Nodes::default();

    let home = home(domid);
    nodes.add(&home, "", &read);
    let mut to_read = |path: &str, value: &dyn fmt::Display| nodes.add(&format!("{home}/{path}"), value, &read);
    to_read("vm", &vm);
    to_read("name", &domain.name);
    to_read("domid", &domid);
    to_read("memory/static-max", &static_max_kib(domain));
    to_read("memory/target", &built.target_kib);
    for vcpu in 0..domain.max_vcpus {
        to_read(&format!("cpu/{vcpu}/availability"), &availability(vcpu, built.vcpus));
    }
    if let Some((frame, port)) = built.store {
        to_read("store/port", &port);
        to_read("store/ring-ref", &frame);
    }
    let (frame, port) = built.console;
    to_read("console/port", &port);
    to_read("console/ring-ref", &frame);
    to_read("console/type", &"xenconsoled");
    to_read("console/limit", &CONSOLE_LIMIT);
    // As libxenvchan's client looks for it.
    for (number, channel) in built.channels.iter().enumerate() {
        to_read(&format!("domb/{number}/ring-ref"), &channel.reference);
        to_read(&format!("domb/{number}/event-channel"), &channel.port);
    }
    to_read("control/platform-feature-multiprocessor-suspend", &1);
    to_read("control/platform-feature-xs_reset_watches", &1);
    for path in [
        "control/shutdown",
        "control/feature-poweroff",
        "control/feature-reboot",
        "control/feature-suspend",
        "control/sysrq",
        "device/suspend/event-channel",
        "data",
        "drivers",
        "feature",
        "attr",
        "error",
    ] {
        nodes.add(&format!("{home}/{path}"), "", &own);
    }

    nodes.add(&vm, "", &read);
    nodes.add(&format!("{vm}/name"), &domain.name, &read);
    nodes.add(&format!("{vm}/uuid"), uuid::text(&domain.uuid), &read);
    nodes.0
}

/// What a domain's `cpu/N/availability` says when so many vCPUs are to be online.
#[must_use]
pub fn availability(vcpu: u16, online: u16) -> &'static str {
    if vcpu < online { "online" } else { "offline" }
}

/// What a domain is told that its memory can grow to.
///
/// Linux's balloon driver of a PVH domain takes this for the memory that the memory map lists, and what is missing of it
/// for pages that it gave back already (`watch_target` in drivers/xen/xen-balloon.c): where Xen's toolstack lists all of
/// `maxmem`, domb lists what the domain is built with. A PV domain's driver does not reckon with it.
fn static_max_kib(domain: &Domain) -> u64 {
    match domain.kind {
        Kind::Pv => domain.maxmem_kib,
        Kind::Pvh => domain.memory_kib,
    }
}

#[derive(Default)]
struct Nodes(Vec<Node>);

impl Nodes {
    fn add(&mut self, path: &str, value: impl fmt::Display, permissions: &[Permission]) {
        self.0.push(Node {
            path: path.into(),
            value: value.to_string().into_bytes(),
            permissions: permissions.to_vec(),
        });
    }
}
