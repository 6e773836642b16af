//! The tables `[[key]]`, `[[class]]` and `[[access]]`.

mod access;
mod class;
mod key;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;

use super::Places;
use super::keys::Value;
use crate::source::{Place, Report};
use crate::{Policy, PolicyPlace};

/// Where the entries of a policy are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct PolicyPlaces {
    keys: Vec<Places>,
    classes: Vec<Places>,
    access: Vec<Places>,
}

impl PolicyPlaces {
    /// Where an entry is, and what its table is called; `None` for a domain's.
    pub(super) fn of(&self, place: PolicyPlace) -> Option<(&Places, &'static str)> {
        match place {
            PolicyPlace::Key(index) => Some((self.keys.get(index)?, "key")),
            PolicyPlace::Class(index) => Some((self.classes.get(index)?, "class")),
            PolicyPlace::Access(index) => Some((self.access.get(index)?, "access")),
            PolicyPlace::Domain(_) => None,
        }
    }

    /// Where the first of the entries is that [`crate::Error::TooMany`] calls so.
    pub(super) fn first_of(&self, what: &str) -> Option<Place> {
        let entries = match what {
            "key" => &self.keys,
            "class" => &self.classes,
            "entries of access" => &self.access,
            _ => return None,
        };
        entries.first().map(|places| places.table)
    }
}

/// The values of the three tables of a document.
pub(super) struct Tables<'t> {
    pub(super) keys: Option<Value<'t>>,
    pub(super) classes: Option<Value<'t>>,
    pub(super) access: Option<Value<'t>>,
}

/// Reads the policy. Where something is wrong the report has it, and the policy has a default there that allows nothing.
pub(super) fn read(tables: &Tables<'_>, report: &mut Report<'_>) -> (Policy, PolicyPlaces) {
    let (keys, key_places) = read_all(tables.keys.as_ref(), "tables [[key]]", key::read, report);
    let (classes, class_places) = read_all(tables.classes.as_ref(), "tables [[class]]", class::read, report);
    let (access, access_places) = read_all(tables.access.as_ref(), "tables [[access]]", access::read, report);
    let policy = Policy { keys, classes, access };
    let places = PolicyPlaces {
        keys: key_places,
        classes: class_places,
        access: access_places,
    };
    (policy, places)
}

fn read_all<T>(
    value: Option<&Value<'_>>,
    accepted: &str,
    read: fn(&Value<'_>, &mut Report<'_>) -> Option<(T, Places)>,
    report: &mut Report<'_>,
) -> (Vec<T>, Vec<Places>) {
    value
        .map(|value| value.list(accepted, report))
        .unwrap_or_default()
        .iter()
        .filter_map(|table| read(table, report))
        .unzip()
}
