//! Requests about domains: who is served, with which features and quotas.

use alloc::string::String;
use alloc::vec::Vec;

use xen::DomId;
use xen::store::StoreError;

use super::Server;
use super::requests::{Done, Outcome};
use crate::domains::FEATURES;
use crate::effects::Effects;
use crate::operations::{Operations, Refusal};
use crate::path::{INTRODUCE_DOMAIN, Path, RELEASE_DOMAIN};
use crate::permissions::{self, Actor};
use crate::quota::{Quota, given};
use crate::request::{append, domid, exactly, number, only_string, strings};
use crate::state::{ConnectionId, Peer};
use crate::{Change, Environment};

/// The first number that is no domain's (`DOMID_FIRST_RESERVED`, public/xen.h).
const FIRST_RESERVED: DomId = DomId::SELF;

/// As whom the server itself acts.
const SERVER: Actor = Actor {
    domid: DomId::INITIAL,
    target: None,
    privileged: true,
};

impl Server {
    pub(super) fn introduce(&mut self, payload: &[u8], env: &mut dyn Environment) -> Result<(), Refusal> {
        let mut texts = strings(payload);
        let (Some(who), Some(ring), Some(port)) = (texts.next(), texts.next(), texts.next()) else {
            return Err(StoreError::Invalid.into());
        };
        let who = domid(who)?;
        // Only for the record: the ring is granted by reference 1. Stock tools send a signed number.
        let ring: u64 = number(ring).unwrap_or_default();
        let port: u32 = number(port)?;
        if port == 0 || who >= FIRST_RESERVED {
            return Err(StoreError::Invalid.into());
        }
        env.introduce(who, ring, port)?;
        let peer = Peer::Domain { domid: who, ring, port };
        let introduced = Change::Introduce { domid: who, ring, port };
        if let Some(id) = self.connection_of(who) {
            // A new ring for the domain that is there.
            self.clear_connection(id);
            if let Some(connection) = self.connections.get_mut(id) {
                connection.peer = peer;
                connection.ignored = false;
            }
            env.journal(&Change::Begin);
            env.journal(&introduced);
            env.journal(&Change::Reset { connection: id });
            env.journal(&Change::End);
            return Ok(());
        }
        let id = match self.add_connection(peer) {
            Ok(id) => id,
            Err(error) => {
                env.release(who);
                return Err(error.into());
            }
        };
        if let Some(domain) = self.domains.get_mut(who) {
            domain.shutdown = false;
        }
        self.base.version += 1;
        env.journal(&Change::Begin);
        env.journal(&introduced);
        env.journal(&Change::Connect { connection: id, peer });
        env.journal(&Change::End);
        if who != DomId::INITIAL {
            self.fire_introduced(who, env);
        }
        Ok(())
    }

    pub(super) fn release(&mut self, payload: &[u8], env: &mut dyn Environment) -> Result<(), Refusal> {
        let who = domid(only_string(payload)?)?;
        if who == DomId::INITIAL {
            return Err(StoreError::Invalid.into());
        }
        let domain = self.domains.get(who).ok_or(StoreError::NotFound)?;
        let connection = domain.connection;
        env.journal(&Change::Begin);
        if let Some(id) = connection {
            self.close(id);
            env.journal(&Change::Disconnect { connection: id });
        }
        let effects = self.purge(who);
        self.domains.forget(who);
        // What was said of it before is older than whatever gets its number.
        self.base.generation += 1;
        self.policy.forget(who);
        self.base.version += 1;
        self.journal_each(&effects, env);
        env.journal(&Change::Release { domid: who });
        env.journal(&Change::End);
        self.fire(&effects, env);
        if connection.is_none() {
            // Something was said of it, but it was never introduced.
            return Err(StoreError::NotFound.into());
        }
        env.release(who);
        self.fire_released(who, env);
        Ok(())
    }

    /// Removes the nodes that a domain owns, wherever they are, and the permissions it was given (XSA-322, XSA-419).
    fn purge(&mut self, gone: DomId) -> Effects {
        let mut owned = Vec::new();
        let mut named = Vec::new();
        let mut walk = self.base.tree.walk();
        // Neighbours mostly share a list.
        let mut harmless = None;
        while let Some(node) = walk.next() {
            let list = &node.permissions;
            if harmless.is_some_and(|harmless| list.is(harmless)) {
                continue;
            }
            if list.iter().any(|entry| entry.domid == gone) {
                let path = walk.path();
                // The root stays.
                if permissions::owner(list) == gone && path != Path::ROOT.as_str() {
                    owned.push(path);
                    walk.skip_children();
                } else {
                    named.push(path);
                }
            } else {
                harmless = Some(list);
            }
        }
        for name in [INTRODUCE_DOMAIN, RELEASE_DOMAIN] {
            let list = self.base.tree.get(Path::known(name)).map(|node| &node.permissions);
            if list.is_some_and(|list| list.iter().any(|entry| entry.domid == gone)) {
                named.push(name.into());
            }
        }
        let mut effects = Effects::default();
        let mut charges = crate::domains::Charges::default();
        let mut operations = Operations {
            tree: &mut self.base.tree,
            domains: &mut self.domains,
            policy: &self.policy,
            actor: SERVER,
            home: "/",
            generation: &mut self.base.generation,
            charges: &mut charges,
            effects: &mut effects,
            copied: 0,
            witness: 0,
            known: Vec::new(),
            buffer: String::new(),
        };
        for path in &owned {
            operations.remove_unchecked(Path::known(path));
        }
        for path in &named {
            operations.purge_permissions(Path::known(path), gone);
        }
        self.base.retained = self.base.retained.saturating_add(operations.copied);
        charges.apply(&mut self.domains);
        effects
    }

    /// A domain was seen dead, or shut down. Who watches for that learns of it, once; the domain stays until RELEASE.
    pub fn domain_died(&mut self, domid: DomId, env: &mut dyn Environment) {
        self.catch_up(env);
        let Some(domain) = self.domains.get_mut(domid) else {
            return;
        };
        if domain.connection.is_none() || domain.shutdown {
            return;
        }
        domain.shutdown = true;
        env.journal(&Change::Shutdown { domid, shutdown: true });
        self.fire_released(domid, env);
    }

    pub(super) fn resume(&mut self, payload: &[u8], env: &mut dyn Environment) -> Result<(), Refusal> {
        let who = domid(only_string(payload)?)?;
        if who == DomId::INITIAL {
            return Err(StoreError::Invalid.into());
        }
        let domain = self.introduced(who)?;
        domain.shutdown = false;
        env.journal(&Change::Shutdown {
            domid: who,
            shutdown: false,
        });
        Ok(())
    }

    fn introduced(&mut self, domid: DomId) -> Result<&mut crate::domains::Domain, Refusal> {
        self.domains
            .get_mut(domid)
            .filter(|domain| domain.connection.is_some())
            .ok_or(Refusal::Plain(StoreError::NotFound))
    }

    pub(super) fn set_target(&mut self, payload: &[u8], env: &mut dyn Environment) -> Result<(), Refusal> {
        let mut texts = strings(payload);
        let (Some(who), Some(target)) = (texts.next(), texts.next()) else {
            return Err(StoreError::Invalid.into());
        };
        let (who, target) = (domid(who)?, domid(target)?);
        self.introduced(target)?;
        self.introduced(who)?.target = Some(target);
        self.policy.set_target(who, target);
        self.base.version += 1;
        env.journal(&Change::Target { domid: who, target });
        Ok(())
    }

    pub(super) fn is_introduced(&self, payload: &[u8], answer: &mut Vec<u8>) -> Outcome {
        let who = domid(only_string(payload)?)?;
        let introduced = who == DomId::SELF || self.connection_of(who).is_some();
        answer.extend_from_slice(if introduced { b"T\0" } else { b"F\0" });
        Ok(Done::All)
    }

    /// What a privileged client speaks of: known from then on.
    fn speak_of(&mut self, domid: DomId, env: &mut dyn Environment) -> &mut crate::domains::Domain {
        let (domain, new) = self.domains.know(domid, self.base.generation);
        if new {
            env.journal(&Change::Known { domid });
        }
        domain
    }

    pub(super) fn get_features(&self, id: ConnectionId, payload: &[u8], answer: &mut Vec<u8>) -> Outcome {
        let connection = self.connections.get(id).ok_or(StoreError::InputOutput)?;
        let features = match strings(payload).next() {
            None | Some(b"") => self.features(connection.domid()),
            Some(_) if !connection.is_privileged() => return Err(StoreError::Access.into()),
            Some(_) => {
                let who = domid(only_string(payload)?)?;
                self.domains.get(who).ok_or(StoreError::NotFound)?.features
            }
        };
        append(answer, format_args!("{features}\0"));
        Ok(Done::All)
    }

    pub(super) fn set_features(&mut self, payload: &[u8], env: &mut dyn Environment) -> Result<(), Refusal> {
        let [who, features] = exactly(payload)?;
        let (who, features): (_, u32) = (domid(who)?, number(features)?);
        if self.connection_of(who).is_some() {
            return Err(StoreError::Busy.into());
        }
        if features & !FEATURES != 0 {
            return Err(StoreError::Invalid.into());
        }
        self.speak_of(who, env).features = features;
        env.journal(&Change::Features { domid: who, features });
        Ok(())
    }

    pub(super) fn get_quota(&self, payload: &[u8], answer: &mut Vec<u8>) -> Outcome {
        let texts: Vec<_> = strings(payload).collect();
        let value = match *texts.as_slice() {
            [] | [b""] => {
                for (index, quota) in Quota::ALL.iter().enumerate() {
                    let separator = if index == 0 { "" } else { " " };
                    append(answer, format_args!("{separator}{}", quota.name()));
                }
                answer.push(0);
                return Ok(Done::All);
            }
            [quota] => self.domains.defaults().get(quota_named(quota)?),
            [who, quota] => {
                let quota = quota_named(quota)?;
                self.domains.quota(domid(who)?, quota).ok_or(StoreError::NotFound)?
            }
            _ => return Err(StoreError::Invalid.into()),
        };
        append(answer, format_args!("{value}\0"));
        Ok(Done::All)
    }

    pub(super) fn set_quota(&mut self, payload: &[u8], env: &mut dyn Environment) -> Result<(), Refusal> {
        let texts: Vec<_> = strings(payload).collect();
        match *texts.as_slice() {
            [quota, value] => self.change_quota(None, quota_named(quota)?, number(value)?, env),
            [who, quota, value] => self.change_quota(Some(domid(who)?), quota_named(quota)?, number(value)?, env),
            _ => return Err(StoreError::Invalid.into()),
        }
        Ok(())
    }

    pub(super) fn change_quota(&mut self, domid: Option<DomId>, quota: Quota, value: u32, env: &mut dyn Environment) {
        if let Some(domid) = domid {
            self.speak_of(domid, env);
        }
        self.domains.set_quota(domid, quota, value);
        env.journal(&Change::Quota { domid, quota, value });
    }

    /// Tells which domain of the manifest a number stands for.
    pub(super) fn assign(&mut self, who: DomId, name: &str, env: &mut dyn Environment) {
        self.speak_of(who, env);
        self.policy.assign(who, name);
        env.journal(&Change::Assign { domid: who, name });
        let own: Vec<_> = self
            .policy
            .quota_of(who)
            .map(|quota| given(quota).collect())
            .unwrap_or_default();
        for (quota, value) in own {
            self.change_quota(Some(who), quota, value, env);
        }
    }
}

pub(super) fn quota_named(name: &[u8]) -> Result<Quota, Refusal> {
    Quota::from_name(name).ok_or(Refusal::Plain(StoreError::Invalid))
}
