//! The ways in which this project's store differs from the stock ones, each explained in docs/store-differences.md.

use super::action::Action;
use super::player::Observation;
use crate::store::StoreKind;

/// A way in which stores differ.
pub struct Known {
    /// Its name in docs/store-differences.md.
    pub name: &'static str,
    /// The stock stores that differ so.
    pub stores: &'static [StoreKind],
    /// Whether it explains what was seen: the step, this project's store, the stock one.
    pub explains: fn(&Action, &Observation, &Observation) -> bool,
}

/// All of them.
pub const KNOWN: &[Known] = &[];
