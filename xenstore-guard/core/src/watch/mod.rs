//! Watches: who wants to know of changes of what.

mod trie;

use alloc::boxed::Box;
use alloc::vec::Vec;

use trie::{PLACE_BYTES, Trie};

use crate::Path;
use crate::state::ConnectionId;

/// A watch, by number. Numbers are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WatchId(u32);

/// A watch.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) connection: ConnectionId,
    /// Absolute, or special.
    path: Box<str>,
    /// Bytes at its start that the client did not write: it said a relative path.
    implied: usize,
    pub(crate) token: Box<[u8]>,
    /// Levels below that count; none for all.
    pub(crate) depth: Option<u32>,
    /// Events come in the order in which watches were set.
    sequence: u64,
}

impl Watch {
    pub(crate) fn path(&self) -> Path<'_> {
        Path::known(&self.path)
    }

    /// A path at or below the watch's, as the client is told it.
    pub(crate) fn as_told<'a>(&self, path: Path<'a>) -> &'a str {
        path.as_str().get(self.implied..).unwrap_or(path.as_str())
    }

    /// What its connection's domain is charged with.
    pub(crate) fn charge(&self) -> usize {
        charge(self.path(), &self.token)
    }

    fn reaches(&self, levels: usize) -> bool {
        self.depth.is_none_or(|depth| levels <= depth as usize)
    }
}

/// What a watch is charged with: each level of its path for itself, though watches share them.
pub(crate) fn charge(path: Path<'_>, token: &[u8]) -> usize {
    size_of::<Watch>() + 2 * path.as_str().len() + token.len() + PLACE_BYTES * path.components().count()
}

/// All watches.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    watches: Vec<Option<Watch>>,
    free: Vec<WatchId>,
    trie: Trie,
    sequence: u64,
}

impl Watches {
    pub(crate) fn get(&self, id: WatchId) -> Option<&Watch> {
        self.watches.get(id.0 as usize)?.as_ref()
    }

    /// The watch of a connection on a path with a token.
    pub(crate) fn find(&self, connection: ConnectionId, path: Path<'_>, token: &[u8]) -> Option<WatchId> {
        self.trie.at(path).iter().copied().find(|&id| {
            self.get(id)
                .is_some_and(|watch| watch.connection == connection && &*watch.token == token)
        })
    }

    /// Sets a watch; the same one must not be there. `implied` bytes at the start of the path are not told to the client.
    pub(crate) fn add(
        &mut self,
        connection: ConnectionId,
        path: Path<'_>,
        implied: usize,
        token: &[u8],
        depth: Option<u32>,
    ) -> WatchId {
        self.sequence += 1;
        let watch = Watch {
            connection,
            path: path.as_str().into(),
            implied,
            token: token.into(),
            depth,
            sequence: self.sequence,
        };
        let id = self.free.pop().unwrap_or_else(|| {
            self.watches.push(None);
            // Charged by the watch, so that there are never so many.
            WatchId(u32::try_from(self.watches.len() - 1).unwrap_or(u32::MAX))
        });
        if let Some(slot) = self.watches.get_mut(id.0 as usize) {
            *slot = Some(watch);
        }
        self.trie.insert(path, id);
        id
    }

    pub(crate) fn remove(&mut self, id: WatchId) -> Option<Watch> {
        let watch = self.watches.get_mut(id.0 as usize)?.take()?;
        self.trie.remove(watch.path(), id);
        self.free.push(id);
        Some(watch)
    }

    /// In the order in which they were set.
    pub(crate) fn in_order(&self, ids: impl IntoIterator<Item = WatchId>) -> Vec<WatchId> {
        let mut ids: Vec<_> = ids.into_iter().collect();
        self.sort(&mut ids);
        ids
    }

    fn sort(&self, ids: &mut [WatchId]) {
        if ids.len() > 1 {
            ids.sort_unstable_by_key(|&id| self.get(id).map(|watch| watch.sequence));
        }
    }

    /// Watches that a change of a path concerns: those on it, and those above that reach so deep. For a special name: those
    /// on exactly it, which must be for all domains.
    pub(crate) fn concerned(&self, path: Path<'_>, ids: &mut Vec<WatchId>) {
        ids.clear();
        self.trie.on_the_way(path, |id, levels| {
            if self.get(id).is_some_and(|watch| watch.reaches(levels)) {
                ids.push(id);
            }
        });
        self.sort(ids);
    }

    /// Watches on a special name that want to know of the domains one by one: those with a depth, and those on
    /// `name/domid` itself.
    pub(crate) fn concerned_by_domain(&self, path: Path<'_>, ids: &mut Vec<WatchId>) {
        ids.clear();
        self.trie.on_the_way(path, |id, levels| {
            let told = |watch: &Watch| levels == 0 || watch.depth.is_some_and(|depth| depth as usize >= levels);
            if self.get(id).is_some_and(told) {
                ids.push(id);
            }
        });
        self.sort(ids);
    }

    /// Watches on a special name that want to know without the domain.
    pub(crate) fn concerned_by_any_domain(&self, path: Path<'_>, ids: &mut Vec<WatchId>) {
        ids.clear();
        ids.extend(
            self.trie
                .at(path)
                .iter()
                .filter(|&&id| self.get(id).is_some_and(|watch| watch.depth.is_none())),
        );
        self.sort(ids);
    }

    /// Watches below a path, which go with it.
    pub(crate) fn below(&self, path: Path<'_>, ids: &mut Vec<WatchId>) {
        ids.clear();
        self.trie.below(path, |id, _| ids.push(id));
        self.sort(ids);
    }
}

#[cfg(test)]
mod tests;
