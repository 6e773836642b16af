//! A node's children: sorted by name, in chunks, so that a directory of thousands is cheap to search and to copy.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cmp::Ordering;

use super::node::Node;

/// The most children in a chunk.
const CHUNK: usize = 32;
/// Neighbours with fewer children than this together become one chunk.
const MERGE: usize = 20;

/// A child and the first bytes of its name, which decide nearly every comparison.
#[derive(Debug, Clone)]
pub(super) struct Child {
    key: u64,
    node: Rc<Node>,
}

#[derive(Debug, Clone)]
pub(super) struct Chunk {
    /// That of the first child.
    key: u64,
    children: Rc<Vec<Child>>,
}

#[derive(Debug, Clone, Default)]
pub(super) enum Children {
    #[default]
    None,
    Few(Vec<Child>),
    /// None of the chunks is empty.
    Many(Box<Vec<Chunk>>),
}

/// The first eight bytes of a name; names are without NULs, so that order and difference of shorter ones are kept.
fn key(name: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let length = name.len().min(8);
    if let (Some(place), Some(start)) = (bytes.get_mut(..length), name.get(..length)) {
        place.copy_from_slice(start);
    }
    u64::from_be_bytes(bytes)
}

impl Child {
    fn new(node: Rc<Node>) -> Self {
        Self {
            key: key(node.name_bytes()),
            node,
        }
    }

    fn compare(&self, key: u64, name: &[u8]) -> Ordering {
        self.key.cmp(&key).then_with(|| self.node.name_bytes().cmp(name))
    }
}

fn search(children: &[Child], key: u64, name: &[u8]) -> Result<usize, usize> {
    children.binary_search_by(|child| child.compare(key, name))
}

/// The chunk where a name is or belongs.
fn chunk_of(chunks: &[Chunk], key: u64, name: &[u8]) -> usize {
    chunks
        .partition_point(|chunk| {
            chunk.key.cmp(&key).then_with(|| {
                let first = chunk.children.first();
                first.map_or(Ordering::Less, |first| first.node.name_bytes().cmp(name))
            }) != Ordering::Greater
        })
        .saturating_sub(1)
}

/// A chunk to be changed: itself where nobody else has it, else a copy.
fn unshare<'a>(children: &'a mut Rc<Vec<Child>>, copied: &mut usize) -> &'a mut Vec<Child> {
    if Rc::get_mut(children).is_none() {
        *copied += children.len() * size_of::<Child>();
    }
    Rc::make_mut(children)
}

/// Room for one more without much to spare.
fn insert(children: &mut Vec<Child>, at: usize, child: Child) {
    if children.len() == children.capacity() {
        children.reserve_exact(1 + children.len() / 2);
    }
    children.insert(at.min(children.len()), child);
}

impl Children {
    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        let name = name.as_bytes();
        let key = key(name);
        let children = match self {
            Self::None => return None,
            Self::Few(children) => children,
            Self::Many(chunks) => &*chunks.get(chunk_of(chunks, key, name))?.children,
        };
        let at = search(children, key, name).ok()?;
        children.get(at).map(|child| &*child.node)
    }

    /// A child to be changed, which may be another's, too.
    pub(super) fn get_mut(&mut self, name: &str, copied: &mut usize) -> Option<&mut Rc<Node>> {
        let name = name.as_bytes();
        let key = key(name);
        let children = match self {
            Self::None => return None,
            Self::Few(children) => children,
            Self::Many(chunks) => {
                let index = chunk_of(chunks, key, name);
                let children = &mut chunks.get_mut(index)?.children;
                // Not copied for a child that is not there.
                search(children, key, name).ok()?;
                unshare(children, copied)
            }
        };
        let at = search(children, key, name).ok()?;
        children.get_mut(at).map(|child| &mut child.node)
    }

    /// Adds a child. One of its name must not be there.
    pub(super) fn insert(&mut self, node: Rc<Node>, copied: &mut usize) {
        let child = Child::new(node);
        match self {
            Self::None => {
                let mut children = Vec::new();
                insert(&mut children, 0, child);
                *self = Self::Few(children);
            }
            Self::Few(children) => {
                let at = place(children, &child);
                insert(children, at, child);
                if children.len() > CHUNK {
                    let upper = children.split_off(children.len() / 2);
                    let lower = core::mem::take(children);
                    *self = Self::Many(Box::new([lower, upper].into_iter().filter_map(chunk).collect()));
                }
            }
            Self::Many(chunks) => {
                let index = chunk_of(chunks, child.key, child.node.name_bytes());
                let last = index + 1 == chunks.len();
                let Some(found) = chunks.get_mut(index) else {
                    return;
                };
                let at = place(&found.children, &child);
                if found.children.len() < CHUNK {
                    if at == 0 {
                        found.key = child.key;
                    }
                    insert(unshare(&mut found.children, copied), at, child);
                    return;
                }
                // Names that come in order fill whole chunks.
                let new = if last && at == CHUNK {
                    Vec::from([child])
                } else {
                    let lower = unshare(&mut found.children, copied);
                    let mut upper = lower.split_off(CHUNK / 2);
                    if at <= CHUNK / 2 {
                        insert(lower, at, child);
                    } else {
                        insert(&mut upper, at - CHUNK / 2, child);
                    }
                    found.key = found.children.first().map_or(0, |first| first.key);
                    upper
                };
                if let Some(new) = chunk(new) {
                    chunks.insert(index + 1, new);
                }
            }
        }
    }

    /// Takes a child out.
    pub(super) fn remove(&mut self, name: &str, copied: &mut usize) -> Option<Rc<Node>> {
        let name = name.as_bytes();
        let key = key(name);
        match self {
            Self::None => None,
            Self::Few(children) => {
                let removed = children.remove(search(children, key, name).ok()?);
                if children.is_empty() {
                    *self = Self::None;
                }
                Some(removed.node)
            }
            Self::Many(chunks) => {
                let index = chunk_of(chunks, key, name);
                let found = chunks.get_mut(index)?;
                let at = search(&found.children, key, name).ok()?;
                let children = unshare(&mut found.children, copied);
                let removed = children.remove(at);
                match children.first() {
                    None => {
                        chunks.remove(index);
                    }
                    Some(first) => {
                        found.key = first.key;
                        merge(chunks, index, copied);
                    }
                }
                if let [only] = chunks.as_mut_slice() {
                    *self = Self::Few(core::mem::take(unshare(&mut only.children, copied)));
                }
                Some(removed.node)
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Rc<Node>> + Clone {
        let (few, many) = match self {
            Self::None => (&[][..], &[][..]),
            Self::Few(children) => (children.as_slice(), &[][..]),
            Self::Many(chunks) => (&[][..], chunks.as_slice()),
        };
        let many = many.iter().flat_map(|chunk| chunk.children.iter());
        few.iter().chain(many).map(|child| &child.node)
    }

    /// Bytes that are copied with the node, about.
    pub(super) fn copy_bytes(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Few(children) => children.len() * size_of::<Child>(),
            Self::Many(chunks) => chunks.len() * size_of::<Chunk>(),
        }
    }

    /// Hands the children over to be dropped, those that nobody else has.
    pub(super) fn give_up(self, rest: &mut Vec<Rc<Node>>) {
        match self {
            Self::None => {}
            Self::Few(children) => rest.extend(children.into_iter().map(|child| child.node)),
            Self::Many(chunks) => {
                for children in chunks.into_iter().filter_map(|chunk| Rc::into_inner(chunk.children)) {
                    rest.extend(children.into_iter().map(|child| child.node));
                }
            }
        }
    }
}

fn place(children: &[Child], child: &Child) -> usize {
    search(children, child.key, child.node.name_bytes()).unwrap_or_else(|at| at)
}

fn chunk(children: Vec<Child>) -> Option<Chunk> {
    Some(Chunk {
        key: children.first()?.key,
        children: Rc::new(children),
    })
}

/// Joins a chunk with its right or left neighbour where both are small.
fn merge(chunks: &mut Vec<Chunk>, index: usize, copied: &mut usize) {
    for left in [index, index.wrapping_sub(1)] {
        let (Some(one), Some(other)) = (chunks.get(left), chunks.get(left.wrapping_add(1))) else {
            continue;
        };
        if one.children.len() + other.children.len() > MERGE {
            continue;
        }
        let mut right = chunks.remove(left + 1);
        if let Some(one) = chunks.get_mut(left) {
            unshare(&mut one.children, copied).append(unshare(&mut right.children, copied));
        }
        return;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permissions;
    use crate::tree::node::Stamp;
    use alloc::collections::BTreeSet;
    use alloc::format;
    use alloc::string::{String, ToString};

    fn node(name: &str) -> Rc<Node> {
        Rc::new(Node::new(name, b"", permissions::private(), Stamp::default()))
    }

    fn names(children: &Children) -> Vec<String> {
        children.iter().map(|node| node.name().to_string()).collect()
    }

    /// What must hold at any time.
    fn check(children: &Children) {
        let listed = names(children);
        assert!(listed.is_sorted_by(|one, other| one < other), "{listed:?}");
        if let Children::Many(chunks) = children {
            assert!(chunks.len() > 1);
            for chunk in chunks.iter() {
                assert!(chunk.children.len() <= CHUNK);
                assert_eq!(chunk.key, chunk.children.first().unwrap().key);
            }
        }
        for name in &listed {
            assert_eq!(children.get(name).unwrap().name(), name);
        }
    }

    /// Names in an order without pattern; many with the first eight bytes in common.
    fn scattered(count: usize) -> Vec<String> {
        (0..count)
            .map(|index| {
                let number = index.wrapping_mul(7919) % count;
                if number.is_multiple_of(3) {
                    format!("backend-{number}")
                } else {
                    number.to_string()
                }
            })
            .collect()
    }

    #[test]
    fn thousands_of_children_are_found_and_removed_in_any_order() {
        let mut children = Children::None;
        let mut expected = BTreeSet::new();
        for name in scattered(3000) {
            children.insert(node(&name), &mut 0);
            expected.insert(name);
        }
        check(&children);
        assert_eq!(names(&children), expected.iter().cloned().collect::<Vec<_>>());
        assert!(children.get("backend-").is_none());
        for (count, name) in scattered(3000).into_iter().rev().enumerate() {
            assert_eq!(children.remove(&name, &mut 0).unwrap().name(), name);
            assert!(children.remove(&name, &mut 0).is_none());
            if count % 100 == 0 {
                check(&children);
            }
        }
        assert!(matches!(children, Children::None));
    }

    #[test]
    fn names_in_order_fill_their_chunks() {
        let mut children = Children::None;
        for number in 10_000..11_000 {
            children.insert(node(&number.to_string()), &mut 0);
        }
        let Children::Many(chunks) = &children else { panic!() };
        assert!(chunks.len() <= 1000 / CHUNK + 3, "{}", chunks.len());
    }

    #[test]
    fn a_copy_keeps_what_it_had() {
        let mut children = Children::None;
        for name in scattered(200) {
            children.insert(node(&name), &mut 0);
        }
        let before = names(&children);
        let copy = children.clone();
        let mut copied = 0;
        for name in scattered(200).iter().step_by(2) {
            children.remove(name, &mut copied);
        }
        children.insert(node("new"), &mut copied);
        assert_eq!(names(&copy), before);
        assert_eq!(names(&children).len(), 101);
        assert!(copied > 0);
        check(&children);
    }
}
