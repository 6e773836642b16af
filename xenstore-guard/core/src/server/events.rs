//! Events: which watches a change fires, and who may learn of it.

use alloc::format;
use alloc::vec::Vec;

use xen::DomId;

use super::{Server, actor_of};
use crate::Environment;
use crate::Path;
use crate::effects::{Effect, Effects};
use crate::path::{INTRODUCE_DOMAIN, RELEASE_DOMAIN};
use crate::permissions::Actor;
use crate::policy::Kind;
use crate::quota::Quota;
use crate::state::ConnectionId;
use crate::tree::{Node, Tree};
use crate::watch::{Watch, WatchId};
use xen::store::wire::MAX_PAYLOAD;

/// A privileged client that takes no events loses them beyond so many bytes.
const PRIVILEGED_EVENTS: usize = 16 * 1024 * 1024;

impl Server {
    /// Fires the watches that changes concern. The tree is as after all of them.
    pub(super) fn fire(&mut self, effects: &Effects, env: &dyn Environment) {
        let mut ids = core::mem::take(&mut self.scratch.watches);
        for (path, effect) in effects.iter() {
            // New permissions of a special name are no event of it.
            if matches!(effect, Effect::Parent) || path.is_special() {
                continue;
            }
            if let Effect::Removed(node) = effect {
                self.watches.below(path, &mut ids);
                for &id in &ids {
                    self.fire_below(id, path, node, env);
                }
            }
            self.watches.concerned(path, &mut ids);
            for &id in &ids {
                let Some(watch) = self.watches.get(id) else { continue };
                if self.may_be_told(watch, path, |actor| may_know(actor, path, effect, &self.base.tree)) {
                    self.send_event(id, path, env);
                }
            }
        }
        self.scratch.watches = ids;
    }

    /// Fires a watch on a node that went with one above it.
    fn fire_below(&mut self, id: WatchId, removed: Path<'_>, node: &Node, env: &dyn Environment) {
        let Some(watch) = self.watches.get(id) else { return };
        let path = alloc::string::String::from(watch.path().as_str());
        let path = Path::known(&path);
        let Some((parent, node)) = node.below(path.names().skip(removed.components().count())) else {
            return;
        };
        let readable = |actor: &Actor| actor.rights(&node.permissions).read || actor.rights(&parent.permissions).read;
        if self.may_be_told(watch, path, readable) {
            self.send_event(id, path, env);
        }
    }

    /// Fires the special watches for a domain that came or went.
    pub(super) fn fire_special(&mut self, name: &'static str, domid: DomId, env: &dyn Environment) {
        let with_domain = format!("{name}/{domid}");
        let (special, one) = (Path::known(name), Path::known(&with_domain));
        let mut ids = core::mem::take(&mut self.scratch.watches);
        for path in [special, one] {
            if path == special {
                self.watches.concerned_by_any_domain(path, &mut ids);
            } else {
                self.watches.concerned_by_domain(path, &mut ids);
            }
            for &id in &ids {
                let Some(watch) = self.watches.get(id) else { continue };
                let node = self.base.tree.get(special);
                let readable = |actor: &Actor| node.is_some_and(|node| actor.rights(&node.permissions).read);
                if self.may_be_told(watch, special, readable) {
                    self.send_event(id, path, env);
                }
            }
        }
        self.scratch.watches = ids;
    }

    /// Whether a watch's client is there and may learn of an event: the policy's word, then what the permissions say.
    fn may_be_told(&self, watch: &Watch, path: Path<'_>, permissions: impl Fn(&Actor) -> bool) -> bool {
        let Some(connection) = self.connections.get(watch.connection) else {
            return false;
        };
        if connection.ignored {
            return false;
        }
        let actor = actor_of(connection.domid(), &self.domains);
        let decision = self.policy.decide(actor.domid, Kind::Read, path.as_str());
        decision.allowed && (decision.granted || permissions(&actor))
    }

    pub(super) fn fire_introduced(&mut self, domid: DomId, env: &dyn Environment) {
        self.fire_special(INTRODUCE_DOMAIN, domid, env);
    }

    pub(super) fn fire_released(&mut self, domid: DomId, env: &dyn Environment) {
        self.fire_special(RELEASE_DOMAIN, domid, env);
    }

    /// A new watch fires once, whoever may read what.
    pub(super) fn first_event(&mut self, connection: ConnectionId, id: WatchId, env: &dyn Environment) {
        let Some(watch) = self.watches.get(id) else { return };
        let path = alloc::string::String::from(watch.path().as_str());
        self.send_event(id, Path::known(&path), env);
        self.note_output(connection);
    }

    /// Fires every watch once, as when it was set: after a crash, whose victims may have been events that waited.
    pub fn fire_all_watches(&mut self, env: &dyn Environment) {
        let watches = self.connections.iter().map(|(id, connection)| {
            let watches = self.watches.in_order(connection.watches.iter().copied());
            (id, watches)
        });
        let watches: Vec<_> = watches.collect();
        for (connection, watches) in watches {
            for watch in watches {
                self.first_event(connection, watch, env);
            }
        }
    }

    fn send_event(&mut self, id: WatchId, path: Path<'_>, env: &dyn Environment) {
        let Some(watch) = self.watches.get(id) else { return };
        let told = watch.as_told(path).as_bytes();
        // Cannot be told in a message (XSA-324).
        if told.len() + watch.token.len() + 2 > MAX_PAYLOAD {
            return;
        }
        let to = watch.connection;
        let Some(connection) = self.connections.get_mut(to) else {
            return;
        };
        let domid = connection.domid();
        let full = if connection.is_privileged() {
            let waiting = connection.output.waiting().len();
            (waiting > PRIVILEGED_EVENTS).then_some((Quota::Events, waiting, PRIVILEGED_EVENTS))
        } else {
            let domain = self.domains.get(domid);
            let used = [
                (Quota::Events, connection.output.events()),
                (Quota::Memory, domain.map_or(0, |domain| domain.usage.memory())),
            ];
            used.into_iter().find_map(|(quota, used)| {
                let limit = domain?.limit(quota);
                (used >= limit).then_some((quota, used, limit))
            })
        };
        if let Some((quota, used, limit)) = full {
            return self.report_quota(domid, quota, used, limit, env);
        }
        connection.output.push_event(told, &watch.token);
        self.note_output(to);
    }
}

/// Who may read a node, or its parent, or could read it before, may know that something happened to it (XSA-115).
fn may_know(actor: &Actor, path: Path<'_>, effect: &Effect, tree: &Tree) -> bool {
    if actor.privileged {
        return true;
    }
    let before = match effect {
        Effect::Permissions(old) => actor.rights(old).read,
        Effect::Removed(node) => actor.rights(&node.permissions).read,
        Effect::Parent | Effect::Created | Effect::Written => false,
    };
    let found = tree.find(path);
    let node_there = found.node.is_some() || matches!(effect, Effect::Removed(_));
    let parent_there = found.missing <= 1;
    before
        || found.node.is_some_and(|node| actor.rights(&node.permissions).read)
        || (node_there && parent_there && actor.rights(&found.above.permissions).read)
}
