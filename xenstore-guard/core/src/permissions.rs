//! The permissions of nodes as they are kept, and what they allow.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;

use xen::DomId;
use xen::store::{Access, Permission};

use crate::state::PermissionState;

/// Stands for every domain in an entry (`DOMID_ANY`, public/xen.h).
pub(crate) const ANY: DomId = DomId(0x7ff5);

const READ: u8 = 1;
const WRITE: u8 = 2;
const STALE: u8 = 4;

/// One entry, in four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) domid: DomId,
    flags: u8,
}

/// A list as nodes share it: a single pointer, for there are many nodes and few lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct List(Rc<Box<[Entry]>>);

impl List {
    /// Whether both are the same list, not only equal.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl core::ops::Deref for List {
    type Target = [Entry];

    fn deref(&self) -> &[Entry] {
        &self.0
    }
}

impl FromIterator<Entry> for List {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        Self(Rc::new(entries.into_iter().collect()))
    }
}

impl Entry {
    pub(crate) const fn new(permission: Permission, stale: bool) -> Self {
        let mut flags = 0;
        if permission.access.read {
            flags |= READ;
        }
        if permission.access.write {
            flags |= WRITE;
        }
        if stale {
            flags |= STALE;
        }
        Self {
            domid: permission.domid,
            flags,
        }
    }

    pub(crate) const fn access(self) -> Access {
        Access {
            read: self.flags & READ != 0,
            write: self.flags & WRITE != 0,
        }
    }

    pub(crate) const fn permission(self) -> Permission {
        Permission::new(self.domid, self.access())
    }

    pub(crate) const fn state(self) -> PermissionState {
        PermissionState {
            permission: self.permission(),
            stale: self.flags & STALE != 0,
        }
    }

    const fn is_stale(self) -> bool {
        self.flags & STALE != 0
    }
}

/// The list of a node that nobody but domain 0 may touch.
pub(crate) fn private() -> List {
    List::from_iter([Entry::new(Permission::new(DomId::INITIAL, Access::NONE), false)])
}

/// A list of plain entries; none where there is no owner.
pub(crate) fn from_states(states: &[PermissionState]) -> Option<List> {
    (!states.is_empty()).then(|| {
        states
            .iter()
            .map(|state| Entry::new(state.permission, state.stale))
            .collect()
    })
}

/// As plain entries.
pub(crate) fn to_states(list: &[Entry]) -> Vec<PermissionState> {
    list.iter().map(|entry| entry.state()).collect()
}

/// The owner.
pub(crate) fn owner(list: &[Entry]) -> DomId {
    list.first().map_or(DomId::INITIAL, |entry| entry.domid)
}

/// The list that a new node below one of this list has: the same, but that an unprivileged maker owns what it makes.
pub(crate) fn inherited(parent: &List, actor: &Actor) -> List {
    if actor.privileged || owner(parent) == actor.domid {
        return List::clone(parent);
    }
    let with_owner = |(index, mut entry): (usize, Entry)| {
        if index == 0 {
            entry.domid = actor.domid;
        }
        entry
    };
    parent.iter().copied().enumerate().map(with_owner).collect()
}

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Actor {
    pub(crate) domid: DomId,
    /// Acts for this one, too (SET_TARGET).
    pub(crate) target: Option<DomId>,
    /// Sockets and domain 0.
    pub(crate) privileged: bool,
}

/// What an actor may do with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rights {
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) owner: bool,
}

impl Rights {
    const ALL: Self = Self {
        read: true,
        write: true,
        owner: true,
    };
}

impl Actor {
    fn is(&self, domid: DomId) -> bool {
        self.domid == domid || self.target == Some(domid) || domid == ANY
    }

    /// What a list allows: everything to the owner and to the privileged; else what the first entry about this actor says;
    /// else what the first entry of all says.
    pub(crate) fn rights(&self, list: &[Entry]) -> Rights {
        let Some((first, others)) = list.split_first() else {
            return Rights {
                read: self.privileged,
                write: self.privileged,
                owner: self.privileged,
            };
        };
        if self.privileged || self.is(first.domid) {
            return Rights::ALL;
        }
        let decisive = others
            .iter()
            .find(|entry| !entry.is_stale() && self.is(entry.domid))
            .unwrap_or(first);
        let access = decisive.access();
        Rights {
            read: access.read,
            write: access.write,
            owner: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(texts: &[&str]) -> List {
        texts
            .iter()
            .map(|text| {
                let (stale, text) = text.strip_prefix('!').map_or((false, *text), |text| (true, text));
                Entry::new(Permission::decode(text.as_bytes()).unwrap(), stale)
            })
            .collect()
    }

    const fn domain(domid: u16) -> Actor {
        Actor {
            domid: DomId(domid),
            target: None,
            privileged: false,
        }
    }

    fn letters(actor: &Actor, texts: &[&str]) -> &'static str {
        match actor.rights(&list(texts)) {
            Rights::ALL => "owner",
            Rights {
                read: true,
                write: true,
                ..
            } => "b",
            Rights { read: true, .. } => "r",
            Rights { write: true, .. } => "w",
            Rights { .. } => "n",
        }
    }

    #[test]
    fn the_owner_and_the_privileged_may_do_everything() {
        assert_eq!(letters(&domain(7), &["n7"]), "owner");
        let dom0 = Actor {
            privileged: true,
            ..domain(0)
        };
        assert_eq!(letters(&dom0, &["n7"]), "owner");
    }

    #[test]
    fn the_first_entry_about_a_domain_decides_and_the_very_first_is_for_all_others() {
        assert_eq!(letters(&domain(7), &["r1", "w7", "b7"]), "w");
        assert_eq!(letters(&domain(8), &["r1", "w7"]), "r");
        assert_eq!(letters(&domain(7), &["b1", "n7"]), "n");
        assert_eq!(letters(&domain(7), &["n1", "r32757"]), "r");
    }

    #[test]
    fn stale_entries_are_about_nobody() {
        assert_eq!(letters(&domain(7), &["n1", "!b7"]), "n");
        assert_eq!(letters(&domain(7), &["n1", "!b7", "r7"]), "r");
    }

    #[test]
    fn a_domain_has_the_rights_of_its_target() {
        let actor = Actor {
            target: Some(DomId(7)),
            ..domain(9)
        };
        assert_eq!(letters(&actor, &["n7"]), "owner");
        assert_eq!(letters(&actor, &["n1", "r7"]), "r");
    }

    #[test]
    fn an_unprivileged_maker_owns_what_it_makes() {
        let parent = list(&["n0", "b7", "r8"]);
        let made = inherited(&parent, &domain(7));
        assert_eq!(*made, *list(&["n7", "b7", "r8"]));
        let dom0 = Actor {
            privileged: true,
            ..domain(0)
        };
        assert!(inherited(&parent, &dom0).is(&parent));
        let own = list(&["n7"]);
        assert!(inherited(&own, &domain(7)).is(&own));
    }

    #[test]
    fn entries_are_small() {
        assert_eq!(size_of::<Entry>(), 4);
    }
}
