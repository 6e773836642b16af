//! What is known of each domain, and what it uses.
//!
//! Every byte that a domain can make the store keep is counted here, in [`Domain::memory`]: nodes it owns, watches,
//! transactions, answers and events that wait. Beside these, each connection has one request at most (4112 bytes), and old
//! versions of nodes that transactions still see are bounded for all together (`transaction::RETAINED`).

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;

use xen::DomId;

use crate::quota::{Limits, Quota, Quotas};
use crate::report::Reports;
use crate::state::ConnectionId;

/// Features of this server (docs/misc/xenstore-ring.txt): reconnection, error indicator, depth of watches, entries for any
/// domain.
pub(crate) const FEATURES: u32 = 0b1111;
/// `WATCH` takes a depth.
pub(crate) const FEATURE_WATCH_DEPTH: u32 = 1 << 2;
/// Permissions may name any domain.
pub(crate) const FEATURE_ANY: u32 = 1 << 3;

/// A domain of which something is known.
#[derive(Debug)]
pub(crate) struct Domain {
    /// Its ring, once it is introduced.
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) shutdown: bool,
    pub(crate) features: u32,
    pub(crate) target: Option<DomId>,
    /// Quotas that were set for it.
    pub(crate) own_quotas: Vec<(Quota, u32)>,
    /// Shared by all domains that have none of their own.
    limits: Rc<Limits>,
    /// Generation of the tree when this record was made: what was written before was meant for another domain.
    pub(crate) since: u64,
    pub(crate) usage: Usage,
    pub(crate) reports: Option<Box<Reports>>,
}

/// What a domain uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) nodes: usize,
    pub(crate) node_bytes: usize,
    pub(crate) watches: usize,
    pub(crate) watch_bytes: usize,
    pub(crate) transaction_bytes: usize,
    pub(crate) output_bytes: usize,
}

impl Usage {
    /// All bytes.
    pub(crate) const fn memory(&self) -> usize {
        self.node_bytes + self.watch_bytes + self.transaction_bytes + self.output_bytes
    }
}

impl Domain {
    pub(crate) fn limit(&self, quota: Quota) -> usize {
        match self.limits.get(quota) {
            0 => usize::MAX,
            limit => limit as usize,
        }
    }
}

/// All domains of which something is known.
#[derive(Debug)]
pub(crate) struct Domains {
    domains: BTreeMap<DomId, Box<Domain>>,
    defaults: Rc<Limits>,
    /// As configured: what a domain of a number has from its beginning.
    of_domain: BTreeMap<DomId, Vec<(Quota, u32)>>,
}

impl Domains {
    pub(crate) fn new(quotas: Quotas) -> Self {
        let mut domains = Self {
            domains: BTreeMap::new(),
            defaults: Rc::new(quotas.defaults),
            of_domain: quotas.of_domain,
        };
        domains.know(DomId::INITIAL, 0);
        domains
    }

    pub(crate) fn get(&self, domid: DomId) -> Option<&Domain> {
        self.domains.get(&domid).map(|domain| &**domain)
    }

    pub(crate) fn get_mut(&mut self, domid: DomId) -> Option<&mut Domain> {
        self.domains.get_mut(&domid).map(|domain| &mut **domain)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (DomId, &Domain)> {
        self.domains.iter().map(|(&domid, domain)| (domid, &**domain))
    }

    /// The record of a domain, and whether it is new.
    pub(crate) fn know(&mut self, domid: DomId, generation: u64) -> (&mut Domain, bool) {
        let Self {
            domains,
            defaults,
            of_domain,
        } = self;
        let mut new = false;
        let domain = domains.entry(domid).or_insert_with(|| {
            new = true;
            let own_quotas = of_domain.get(&domid).cloned().unwrap_or_default();
            Box::new(Domain {
                connection: None,
                shutdown: false,
                features: FEATURES,
                target: None,
                limits: limits(defaults, &own_quotas),
                own_quotas,
                since: generation,
                usage: Usage::default(),
                reports: None,
            })
        });
        (domain, new)
    }

    /// Forgets a domain, and that others act for it.
    pub(crate) fn forget(&mut self, domid: DomId) {
        self.domains.remove(&domid);
        for domain in self.domains.values_mut() {
            if domain.target == Some(domid) {
                domain.target = None;
            }
        }
    }

    pub(crate) fn defaults(&self) -> &Limits {
        &self.defaults
    }

    /// Sets a quota: of one domain of which something is known, or the one of all that have none of their own.
    pub(crate) fn set_quota(&mut self, domid: Option<DomId>, quota: Quota, value: u32) {
        match domid {
            Some(domid) => {
                if let Some(domain) = self.domains.get_mut(&domid) {
                    domain.own_quotas.retain(|&(own, _)| own != quota);
                    domain.own_quotas.push((quota, value));
                    domain.limits = limits(&self.defaults, &domain.own_quotas);
                }
            }
            None => {
                Rc::make_mut(&mut self.defaults).set(quota, value);
                for domain in self.domains.values_mut() {
                    domain.limits = limits(&self.defaults, &domain.own_quotas);
                }
            }
        }
    }

    /// The value of a quota that holds for a domain.
    pub(crate) fn quota(&self, domid: DomId, quota: Quota) -> Option<u32> {
        self.domains.get(&domid).map(|domain| domain.limits.get(quota))
    }
}

fn limits(defaults: &Rc<Limits>, own: &[(Quota, u32)]) -> Rc<Limits> {
    if own.is_empty() {
        return Rc::clone(defaults);
    }
    let mut limits = Limits::clone(defaults);
    for &(quota, value) in own {
        limits.set(quota, value);
    }
    Rc::new(limits)
}

/// What a change does to the use of nodes: owners with more or fewer of them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Charges(Vec<Charge>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Charge {
    domid: DomId,
    nodes: isize,
    bytes: isize,
}

impl Charges {
    pub(crate) fn add(&mut self, domid: DomId, nodes: isize, bytes: isize) {
        match self.0.iter_mut().find(|charge| charge.domid == domid) {
            Some(charge) => {
                charge.nodes += nodes;
                charge.bytes += bytes;
            }
            None => self.0.push(Charge { domid, nodes, bytes }),
        }
    }

    /// Nodes and bytes of a domain.
    pub(crate) fn of(&self, domid: DomId) -> (isize, isize) {
        self.0
            .iter()
            .find(|charge| charge.domid == domid)
            .map_or((0, 0), |charge| (charge.nodes, charge.bytes))
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Makes it so.
    pub(crate) fn apply(&self, domains: &mut Domains) {
        for charge in &self.0 {
            if let Some(domain) = domains.get_mut(charge.domid) {
                let usage = &mut domain.usage;
                usage.nodes = usage.nodes.saturating_add_signed(charge.nodes);
                usage.node_bytes = usage.node_bytes.saturating_add_signed(charge.bytes);
            }
        }
    }
}
