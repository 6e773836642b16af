//! What operations did to the tree: for watches and for the journal.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use crate::Path;
use crate::permissions::List;
use crate::tree::Node;

/// What happened to a node.
#[derive(Debug, Clone)]
pub(crate) enum Effect {
    /// It was made on the way to another: no event by itself.
    Parent,
    /// It was made.
    Created,
    /// It has a new value.
    Written,
    /// It has new permissions in place of these.
    Permissions(List),
    /// It is gone, and this is what it was.
    Removed(Node),
}

/// A series of them, in order.
#[derive(Debug, Default, Clone)]
pub(crate) struct Effects {
    paths: String,
    list: Vec<(Range<usize>, Effect)>,
}

impl Effects {
    pub(crate) fn push(&mut self, path: Path<'_>, effect: Effect) {
        let start = self.paths.len();
        self.paths.push_str(path.as_str());
        self.list.push((start..self.paths.len(), effect));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Path<'_>, &Effect)> {
        self.list
            .iter()
            .filter_map(|(range, effect)| Some((Path::known(self.paths.get(range.clone())?), effect)))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn clear(&mut self) {
        self.paths.clear();
        self.list.clear();
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.paths.len() + self.list.len() * size_of::<(Range<usize>, Effect)>()
    }
}
