//! A node's children: sorted by name, the nodes themselves in chunks, so that a directory of thousands is cheap to search
//! and to copy, and one of a few takes little beside its nodes.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cmp::Ordering;

use super::node::Node;
use crate::path::Name;

/// The most children in a chunk.
const CHUNK: usize = 24;
/// Neighbours with fewer children than this together become one chunk.
const MERGE: usize = 16;

/// Children.
#[derive(Debug, Clone)]
pub(super) enum Directory {
    Few(Vec<Node>),
    /// More than one chunk.
    Many(Vec<Chunk>),
}

/// Some of many children, never none.
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    /// That of the first child.
    key: u64,
    children: Rc<Vec<Node>>,
}

/// Where a name is, or belongs.
fn search(children: &[Node], name: Name<'_>) -> Result<usize, usize> {
    let mut at = children.partition_point(|child| child.key() < name.key);
    let mut rest = children.get(at..).unwrap_or_default().iter();
    while let Some(child) = rest.next()
        && child.key() == name.key
    {
        if name.text.len() < Name::KEY {
            return Ok(at);
        }
        match child.name_bytes().cmp(name.text) {
            Ordering::Less => at += 1,
            Ordering::Equal => return Ok(at),
            Ordering::Greater => return Err(at),
        }
    }
    Err(at)
}

fn place(children: &[Node], child: &Node) -> usize {
    search(children, child.search_name()).unwrap_or_else(|at| at)
}

/// The chunk where a name is or belongs.
fn chunk_of(chunks: &[Chunk], name: Name<'_>) -> usize {
    let after = chunks.partition_point(|chunk| {
        chunk.key < name.key
            || chunk.key == name.key && {
                let first = chunk.children.first();
                first.is_none_or(|first| first.name_bytes() <= name.text)
            }
    });
    after.saturating_sub(1)
}

/// Room for one more without much to spare.
fn insert(children: &mut Vec<Node>, at: usize, child: Node) {
    if children.len() == children.capacity() {
        children.reserve_exact(1 + children.len() / 8);
    }
    children.insert(at.min(children.len()), child);
}

impl Chunk {
    fn new(children: Vec<Node>) -> Option<Self> {
        Some(Self {
            key: children.first()?.key(),
            children: Rc::new(children),
        })
    }

    /// The children to be changed: themselves where nobody else has them, else a copy.
    fn unshare(&mut self, copied: &mut usize) -> &mut Vec<Node> {
        if Rc::strong_count(&self.children) > 1 {
            *copied += self.children.len() * size_of::<Node>();
        }
        Rc::make_mut(&mut self.children)
    }

    /// As [`Directory::insert`]; what does not fit comes back as another chunk, to be put behind this one.
    fn insert(&mut self, child: Node, last: bool, copied: &mut usize) -> Option<Self> {
        let at = place(&self.children, &child);
        let full = self.children.len() >= CHUNK;
        let more = if full && last && at == self.children.len() {
            // Names that come in order fill whole chunks.
            let mut children = Vec::with_capacity(CHUNK / 2);
            children.push(child);
            children
        } else {
            let children = self.unshare(copied);
            let mut more = if full {
                children.split_off(CHUNK / 2)
            } else {
                Vec::new()
            };
            if full && at > CHUNK / 2 {
                insert(&mut more, at - CHUNK / 2, child);
            } else {
                insert(children, at, child);
            }
            more
        };
        self.key = self.children.first().map_or(0, Node::key);
        Self::new(more)
    }
}

impl Directory {
    pub(super) fn of(child: Node) -> Self {
        Self::Few(Vec::from([child]))
    }

    pub(super) fn get(&self, name: Name<'_>) -> Option<&Node> {
        let children = match self {
            Self::Few(children) => children,
            Self::Many(chunks) => &*chunks.get(chunk_of(chunks, name))?.children,
        };
        children.get(search(children, name).ok()?)
    }

    /// A child to be changed.
    pub(super) fn get_mut(&mut self, name: Name<'_>, copied: &mut usize) -> Option<&mut Node> {
        let children = match self {
            Self::Few(children) => children,
            Self::Many(chunks) => {
                let index = chunk_of(chunks, name);
                chunks.get_mut(index)?.unshare(copied)
            }
        };
        let at = search(children, name).ok()?;
        children.get_mut(at)
    }

    /// Adds a child. One of its name must not be there.
    pub(super) fn insert(&mut self, child: Node, copied: &mut usize) {
        match self {
            Self::Few(children) => {
                let at = place(children, &child);
                insert(children, at, child);
                if children.len() > CHUNK {
                    let more = children.split_off(children.len() / 2);
                    let first = core::mem::take(children);
                    *self = Self::Many([first, more].into_iter().filter_map(Chunk::new).collect());
                }
            }
            Self::Many(chunks) => {
                let index = chunk_of(chunks, child.search_name());
                let last = index + 1 == chunks.len();
                let more = chunks
                    .get_mut(index)
                    .and_then(|chunk| chunk.insert(child, last, copied));
                if let Some(more) = more {
                    chunks.insert(index + 1, more);
                }
            }
        }
    }

    /// Takes a child out.
    pub(super) fn remove(&mut self, name: Name<'_>, copied: &mut usize) -> Option<Node> {
        match self {
            Self::Few(children) => Some(children.remove(search(children, name).ok()?)),
            Self::Many(chunks) => {
                let index = chunk_of(chunks, name);
                let chunk = chunks.get_mut(index)?;
                let at = search(&chunk.children, name).ok()?;
                let removed = chunk.unshare(copied).remove(at);
                chunk.key = chunk.children.first().map_or(0, Node::key);
                if chunk.children.is_empty() {
                    chunks.remove(index);
                } else {
                    merge(chunks, index, copied);
                }
                if let [only] = chunks.as_mut_slice() {
                    *self = Self::Few(core::mem::take(only.unshare(copied)));
                }
                Some(removed)
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Few(children) if children.is_empty())
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Node> {
        let (few, many) = match self {
            Self::Few(children) => (children.as_slice(), &[][..]),
            Self::Many(chunks) => (&[][..], chunks.as_slice()),
        };
        few.iter().chain(many.iter().flat_map(|chunk| chunk.children.iter()))
    }

    /// Bytes that are copied with it, about.
    pub(super) fn copy_bytes(&self) -> usize {
        match self {
            Self::Few(children) => size_of::<Self>() + children.len() * size_of::<Node>(),
            Self::Many(chunks) => size_of::<Self>() + chunks.len() * size_of::<Chunk>(),
        }
    }

    /// Takes the directories below that nobody else has.
    fn give_up(&mut self, rest: &mut Vec<Rc<Self>>) {
        let take = |children: &mut Vec<Node>, rest: &mut Vec<Rc<Self>>| {
            rest.extend(children.iter_mut().filter_map(|child| child.children.take()));
        };
        match self {
            Self::Few(children) => take(children, rest),
            Self::Many(chunks) => {
                for children in chunks.iter_mut().filter_map(|chunk| Rc::get_mut(&mut chunk.children)) {
                    take(children, rest);
                }
            }
        }
    }
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
            one.unshare(copied).append(right.unshare(copied));
        }
        return;
    }
}

/// Deep trees must not be dropped by recursion: a client chooses the depth (XSA-418).
impl Drop for Directory {
    fn drop(&mut self) {
        let mut rest = Vec::new();
        self.give_up(&mut rest);
        while let Some(directory) = rest.pop() {
            if let Some(mut directory) = Rc::into_inner(directory) {
                directory.give_up(&mut rest);
            }
        }
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

    fn node(name: &str) -> Node {
        Node::new(name.as_bytes(), b"", permissions::private(), Stamp::default())
    }

    fn named(name: &str) -> Name<'_> {
        Name::new(name.as_bytes())
    }

    fn names(children: &Directory) -> Vec<String> {
        children.iter().map(|node| node.name().to_string()).collect()
    }

    /// What must hold at any time.
    fn check(children: &Directory) {
        let listed = names(children);
        assert!(listed.is_sorted_by(|one, other| one < other), "{listed:?}");
        if let Directory::Many(chunks) = children {
            assert!(chunks.len() > 1);
            for chunk in chunks {
                assert!(chunk.children.len() <= CHUNK);
                assert_eq!(chunk.key, chunk.children.first().unwrap().key());
            }
        }
        for name in &listed {
            assert_eq!(children.get(named(name)).unwrap().name(), name);
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
        let mut children = Directory::Few(Vec::new());
        let mut expected = BTreeSet::new();
        for name in scattered(3000) {
            children.insert(node(&name), &mut 0);
            expected.insert(name);
        }
        check(&children);
        assert_eq!(names(&children), expected.iter().cloned().collect::<Vec<_>>());
        assert!(children.get(named("backend-")).is_none());
        for (count, name) in scattered(3000).into_iter().rev().enumerate() {
            assert_eq!(children.remove(named(&name), &mut 0).unwrap().name(), name);
            assert!(children.remove(named(&name), &mut 0).is_none());
            if count % 100 == 0 {
                check(&children);
            }
        }
        assert!(children.is_empty());
    }

    #[test]
    fn names_in_order_fill_their_chunks() {
        let mut children = Directory::Few(Vec::new());
        for number in 10_000..11_000 {
            children.insert(node(&number.to_string()), &mut 0);
        }
        let Directory::Many(chunks) = &children else { panic!() };
        assert!(chunks.len() <= 1000 / CHUNK + 3, "{}", chunks.len());
    }

    #[test]
    fn a_copy_keeps_what_it_had() {
        let mut children = Directory::Few(Vec::new());
        for name in scattered(200) {
            children.insert(node(&name), &mut 0);
        }
        let before = names(&children);
        let copy = children.clone();
        let mut copied = 0;
        for name in scattered(200).iter().step_by(2) {
            children.remove(named(name), &mut copied);
        }
        children.insert(node("new"), &mut copied);
        assert_eq!(names(&copy), before);
        assert_eq!(names(&children).len(), 101);
        assert!(copied > 0);
        check(&children);
    }
}
