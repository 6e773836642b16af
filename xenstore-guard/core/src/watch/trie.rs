//! Watches by path: what a change concerns is found by going down the changed path, whatever else is watched.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::WatchId;
use crate::Path;

/// The two beginnings: of paths, and of special names.
const PATHS: u32 = 0;
const SPECIAL: u32 = 1;

/// What a watch is charged with for each level of its path: about what a place takes.
pub(super) const PLACE_BYTES: usize = 160;

/// Places by number, so that nothing here is recursive.
#[derive(Debug)]
pub(super) struct Trie {
    places: Vec<Place>,
    free: Vec<u32>,
}

/// A path that is watched, or above one that is.
#[derive(Debug, Default)]
struct Place {
    parent: u32,
    name: Box<[u8]>,
    below: BTreeMap<Box<[u8]>, u32>,
    watches: Vec<WatchId>,
}

impl Default for Trie {
    fn default() -> Self {
        Self {
            places: Vec::from([Place::default(), Place::default()]),
            free: Vec::new(),
        }
    }
}

impl Trie {
    const fn beginning(path: Path<'_>) -> u32 {
        match path.as_str().as_bytes() {
            [b'@', ..] => SPECIAL,
            _ => PATHS,
        }
    }

    fn place(&self, number: u32) -> Option<&Place> {
        self.places.get(number as usize)
    }

    fn place_mut(&mut self, number: u32) -> Option<&mut Place> {
        self.places.get_mut(number as usize)
    }

    pub(super) fn insert(&mut self, path: Path<'_>, watch: WatchId) {
        let mut at = Self::beginning(path);
        for name in path.names() {
            at = match self.place(at).and_then(|place| place.below.get(name.text)) {
                Some(&below) => below,
                None => self.add(at, name.text),
            };
        }
        if let Some(place) = self.place_mut(at) {
            place.watches.push(watch);
        }
    }

    fn add(&mut self, parent: u32, name: &[u8]) -> u32 {
        let new = Place {
            parent,
            name: name.into(),
            ..Place::default()
        };
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                self.places.push(Place::default());
                // Charged by the place, so that there are never so many.
                u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
            }
        };
        if let Some(place) = self.place_mut(number) {
            *place = new;
        }
        if let Some(above) = self.place_mut(parent) {
            above.below.insert(name.into(), number);
        }
        number
    }

    /// The watches of exactly this path.
    pub(super) fn at(&self, path: Path<'_>) -> &[WatchId] {
        self.find(path)
            .and_then(|number| self.place(number))
            .map_or(&[], |place| &place.watches)
    }

    fn find(&self, path: Path<'_>) -> Option<u32> {
        let mut at = Self::beginning(path);
        for name in path.names() {
            at = *self.place(at)?.below.get(name.text)?;
        }
        Some(at)
    }

    pub(super) fn remove(&mut self, path: Path<'_>, watch: WatchId) {
        let Some(mut at) = self.find(path) else {
            return;
        };
        if let Some(place) = self.place_mut(at) {
            place.watches.retain(|&other| other != watch);
        }
        // Places that nobody needs any more.
        while at > SPECIAL {
            let Some(place) = self.place_mut(at) else { return };
            if !place.watches.is_empty() || !place.below.is_empty() {
                return;
            }
            let Place { parent, name, .. } = core::mem::take(place);
            self.free.push(at);
            if let Some(above) = self.place_mut(parent) {
                above.below.remove(&name);
            }
            at = parent;
        }
    }

    /// The watches on a path and on all above it, with how many levels these are above.
    pub(super) fn on_the_way(&self, path: Path<'_>, mut take: impl FnMut(WatchId, usize)) {
        let mut names = path.names();
        let mut at = Self::beginning(path);
        loop {
            let Some(place) = self.place(at) else { return };
            if !place.watches.is_empty() {
                let levels = names.clone().count();
                for &watch in &place.watches {
                    take(watch, levels);
                }
            }
            let Some(name) = names.next() else { return };
            let Some(&below) = place.below.get(name.text) else {
                return;
            };
            at = below;
        }
    }

    /// The watches below a path, with their paths.
    pub(super) fn below(&self, path: Path<'_>, mut take: impl FnMut(WatchId, Path<'_>)) {
        let Some(at) = self.find(path) else { return };
        let root = if path == Path::ROOT { "" } else { path.as_str() };
        let mut text = String::from(root);
        let mut rest: Vec<(u32, usize)> = Vec::new();
        self.push_below(at, root.len(), &mut rest);
        while let Some((number, length)) = rest.pop() {
            let Some(place) = self.place(number) else { continue };
            text.truncate(length);
            text.push('/');
            // Names come from checked paths.
            text.push_str(core::str::from_utf8(&place.name).unwrap_or_default());
            for &watch in &place.watches {
                take(watch, Path::known(&text));
            }
            self.push_below(number, text.len(), &mut rest);
        }
    }

    fn push_below(&self, number: u32, length: usize, rest: &mut Vec<(u32, usize)>) {
        if let Some(place) = self.place(number) {
            rest.extend(place.below.values().map(|&below| (below, length)));
        }
    }
}

#[cfg(test)]
impl Trie {
    /// Places, free ones included.
    pub(super) const fn size(&self) -> usize {
        self.places.len()
    }
}
