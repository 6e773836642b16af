//! The journal: what happened, told to whoever keeps it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use xen::DomId;

use super::{Deferred, Server};
use crate::effects::{Effect, Effects};
use crate::tree::Node;
use crate::{Change, Environment, Path, PermissionState};

/// Series of effects longer than this are told without what a later one makes void.
const LONG: usize = 64;

impl Server {
    /// Tells what happened where nobody listened.
    pub(super) fn catch_up(&mut self, env: &mut dyn Environment) {
        for deferred in self.deferred.drain(..) {
            env.journal(&match deferred {
                Deferred::Connect(connection, peer) => Change::Connect { connection, peer },
                Deferred::Ignore(connection) => Change::Ignore { connection },
            });
        }
    }

    pub(super) fn note_known(&mut self, known: &[DomId], env: &mut dyn Environment) {
        for &domid in known {
            // What others' open transactions made of the number was meant for nobody.
            self.base.version += 1;
            env.journal(&Change::Known { domid });
        }
    }

    /// Tells what changes did to nodes, as they are after all of them.
    pub(super) fn journal_effects(&mut self, effects: &Effects, env: &mut dyn Environment) {
        if !env.keeps_journal() {
            return;
        }
        let several = effects.len() > 1;
        if several {
            env.journal(&Change::Begin);
        }
        self.journal_each(effects, env);
        if several {
            env.journal(&Change::End);
        }
    }

    /// As [`Server::journal_effects`], within what else holds together.
    pub(super) fn journal_each(&mut self, effects: &Effects, env: &mut dyn Environment) {
        if !env.keeps_journal() {
            return;
        }
        let mut states = core::mem::take(&mut self.scratch.states);
        let last = last_values(effects);
        for (index, (path, effect)) in effects.iter().enumerate() {
            let void = last
                .as_ref()
                .is_some_and(|last| last.get(&path).is_some_and(|&last| last > index));
            match effect {
                Effect::Removed(_) => env.journal(&Change::Remove { path: path.as_str() }),
                Effect::Written if void => {}
                // Where it is not there any more, its removal comes later.
                Effect::Parent | Effect::Created | Effect::Written => {
                    if let Some(node) = self.base.tree.get(path) {
                        env.journal(&Change::Write {
                            path: path.as_str(),
                            value: node.value(),
                            permissions: fill(&mut states, node),
                        });
                    }
                }
                Effect::Permissions(_) => {
                    if let Some(node) = self.base.tree.get(path) {
                        env.journal(&Change::Permissions {
                            path: path.as_str(),
                            permissions: fill(&mut states, node),
                        });
                    }
                }
            }
        }
        self.scratch.states = states;
    }
}

/// Where each path's value is written for the last time, if there are so many that it matters.
fn last_values(effects: &Effects) -> Option<BTreeMap<Path<'_>, usize>> {
    (effects.len() > LONG).then(|| {
        effects
            .iter()
            .enumerate()
            .filter(|(_, (_, effect))| matches!(effect, Effect::Written))
            .map(|(index, (path, _))| (path, index))
            .collect()
    })
}

fn fill<'a>(states: &'a mut Vec<PermissionState>, node: &Node) -> &'a [PermissionState] {
    states.clear();
    states.extend(node.permissions.iter().map(|entry| entry.state()));
    states
}
