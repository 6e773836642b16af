//! One node: its name, value, permissions and children, in as few bytes as possible, for there are many.

use alloc::rc::Rc;

use xen::DomId;

use super::directory::Directory;
use super::walk::Walk;
use crate::path::Name;
use crate::permissions::List;

/// Bytes of name and value that lie in the node itself.
const INLINE: usize = 21;

/// A node's name and value, one behind the other.
#[derive(Debug, Clone)]
enum Text {
    Inline { name: u8, end: u8, bytes: [u8; INLINE] },
    Shared { name: u16, bytes: Rc<[u8]> },
}

/// A node. It lies with its siblings in their parent's [`Directory`], which all trees share that have it.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    text: Text,
    pub(crate) permissions: List,
    stamp: Stamp,
    /// None of these directories is empty.
    pub(super) children: Option<Rc<Directory>>,
}

/// When a node, or the list of its children, was last changed, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Stamp(u64);

impl Stamp {
    pub(crate) const fn new(generation: u64, writer: DomId) -> Self {
        Self(generation << 16 | writer.0 as u64)
    }

    /// A number that no other change has.
    pub(crate) const fn generation(self) -> u64 {
        self.0 >> 16
    }

    pub(crate) const fn writer(self) -> DomId {
        #[expect(clippy::cast_possible_truncation, reason = "the low 16 bits are meant")]
        DomId(self.0 as u16)
    }
}

/// What a node is charged with beside its name, value and permissions: about what it takes by itself.
const NODE_OVERHEAD: usize = 96;
/// What an entry of the permissions is charged with.
const ENTRY_BYTES: usize = 8;

impl Node {
    /// A node without children. Names longer than 65535 bytes are cut; paths are not that long.
    pub(crate) fn new(name: &[u8], value: &[u8], permissions: List, stamp: Stamp) -> Self {
        Self {
            text: Text::new(name, value),
            permissions,
            stamp,
            children: None,
        }
    }

    pub(crate) fn name(&self) -> &str {
        // Names come from checked paths.
        core::str::from_utf8(self.name_bytes()).unwrap_or_default()
    }

    pub(super) fn name_bytes(&self) -> &[u8] {
        self.text.split().0
    }

    pub(super) fn search_name(&self) -> Name<'_> {
        Name {
            text: self.name_bytes(),
            key: self.key(),
        }
    }

    /// [`Name::key`] of its name.
    pub(super) fn key(&self) -> u64 {
        self.text.key()
    }

    pub(crate) fn value(&self) -> &[u8] {
        self.text.split().1
    }

    /// `copied` counts the bytes that other trees keep of the old value.
    pub(super) fn set_value(&mut self, value: &[u8], copied: &mut usize) {
        *copied += self.text.shared_bytes();
        self.text.set_value(value);
    }

    pub(crate) const fn stamp(&self) -> Stamp {
        self.stamp
    }

    pub(super) fn set_stamp(&mut self, stamp: Stamp) {
        self.stamp = stamp;
    }

    pub(crate) fn children(&self) -> impl DoubleEndedIterator<Item = &Self> {
        self.children.iter().flat_map(|directory| directory.iter())
    }

    /// It and all below it.
    pub(crate) fn walk(&self) -> Walk<'_> {
        Walk::new(self)
    }

    pub(super) fn child(&self, name: Name<'_>) -> Option<&Self> {
        self.children.as_ref()?.get(name)
    }

    /// A child to be changed, with its siblings copied where another tree has them.
    pub(super) fn child_mut(&mut self, name: Name<'_>, copied: &mut usize) -> Option<&mut Self> {
        unshare(self.children.as_mut()?, copied).get_mut(name, copied)
    }

    /// Adds a child. One of its name must not be there.
    pub(super) fn insert(&mut self, child: Self, copied: &mut usize) {
        match &mut self.children {
            Some(children) => unshare(children, copied).insert(child, copied),
            None => self.children = Some(Rc::new(Directory::of(child))),
        }
    }

    /// Takes a child out.
    pub(super) fn remove(&mut self, name: Name<'_>, copied: &mut usize) -> Option<Self> {
        let children = unshare(self.children.as_mut()?, copied);
        let removed = children.remove(name, copied);
        if children.is_empty() {
            self.children = None;
        }
        removed
    }

    /// The node to which names lead from here, and its parent; none where that is this node itself, or nothing.
    pub(crate) fn below<'a>(&self, names: impl Iterator<Item = Name<'a>>) -> Option<(&Self, &Self)> {
        let mut found = (None, self);
        for name in names {
            found = (Some(found.1), found.1.child(name)?);
        }
        Some((found.0?, found.1))
    }

    /// What its owner is charged with.
    pub(crate) fn charge(&self) -> usize {
        charge(self.name_bytes().len(), self.value().len(), self.permissions.len())
    }
}

/// A directory to be changed: itself where no other tree has it, else a copy.
fn unshare<'a>(directory: &'a mut Rc<Directory>, copied: &mut usize) -> &'a mut Directory {
    if Rc::strong_count(directory) > 1 {
        *copied += directory.copy_bytes();
    }
    Rc::make_mut(directory)
}

/// What the owner of a node is charged with.
pub(crate) const fn charge(name: usize, value: usize, entries: usize) -> usize {
    NODE_OVERHEAD + name + value + entries * ENTRY_BYTES
}

/// What the quota of a node's size counts.
pub(crate) const fn size(value: usize, entries: usize) -> usize {
    value + entries * ENTRY_BYTES
}

impl Text {
    fn new(name: &[u8], value: &[u8]) -> Self {
        let length = name.len() + value.len();
        let mut bytes = [0; INLINE];
        if let (Some(inline), Ok(name_length), Ok(end)) =
            (bytes.get_mut(..length), u8::try_from(name.len()), u8::try_from(length))
        {
            let (name_place, value_place) = inline.split_at_mut(name.len());
            name_place.copy_from_slice(name);
            value_place.copy_from_slice(value);
            return Self::Inline {
                name: name_length,
                end,
                bytes,
            };
        }
        Self::Shared {
            name: u16::try_from(name.len()).unwrap_or(u16::MAX),
            bytes: name.iter().chain(value).copied().collect(),
        }
    }

    fn split(&self) -> (&[u8], &[u8]) {
        let (bytes, name) = match self {
            Self::Inline { name, end, bytes } => {
                (bytes.get(..usize::from(*end)).unwrap_or_default(), usize::from(*name))
            }
            Self::Shared { name, bytes } => (&**bytes, usize::from(*name)),
        };
        bytes.split_at_checked(name).unwrap_or((bytes, &[]))
    }

    /// Bytes that lie beside the node and that another copy of it has, too.
    fn shared_bytes(&self) -> usize {
        match self {
            Self::Shared { bytes, .. } if Rc::strong_count(bytes) > 1 => bytes.len(),
            _ => 0,
        }
    }

    /// [`Name::key`] of the name.
    fn key(&self) -> u64 {
        match self {
            Self::Inline { name, bytes, .. } => {
                let word = u64::from_be_bytes(bytes.first_chunk().copied().unwrap_or_default());
                let shift = 8 * u32::from(*name);
                // What is behind the name is not part of it.
                word & !u64::MAX.checked_shr(shift).unwrap_or(0)
            }
            Self::Shared { .. } => Name::new(self.split().0).key,
        }
    }

    fn set_value(&mut self, value: &[u8]) {
        // The usual case: the value fits where the old one lies.
        if let Self::Shared { name, bytes } = self
            && let Some(place) = Rc::get_mut(bytes).and_then(|bytes| bytes.get_mut(usize::from(*name)..))
            && place.len() == value.len()
        {
            place.copy_from_slice(value);
            return;
        }
        if let Self::Inline { name, end, bytes } = self
            && let Some(place) = bytes
                .get_mut(usize::from(*name)..)
                .and_then(|place| place.get_mut(..value.len()))
            && let Ok(length) = u8::try_from(value.len())
        {
            place.copy_from_slice(value);
            *end = name.saturating_add(length);
            return;
        }
        *self = Self::new(self.split().0, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permissions;

    #[test]
    fn name_and_value_lie_in_the_node_or_beside_it() {
        let mut node = Node::new(b"name", b"value", permissions::private(), Stamp::new(1, DomId(0)));
        let long = [7_u8; 300];
        let other = [8_u8; 300];
        for value in [
            &b"value"[..],
            b"",
            b"seventeen bytes..",
            b"eighteen bytes....",
            &long,
            &other,
            b"short",
        ] {
            node.set_value(value, &mut 0);
            assert_eq!(node.value(), value);
            assert_eq!(node.name(), "name");
        }
    }

    #[test]
    fn a_copy_does_not_change_with_the_other() {
        let mut node = Node::new(
            b"a name of its own, and long",
            &[1; 30],
            permissions::private(),
            Stamp::default(),
        );
        let copy = node.clone();
        let mut copied = 0;
        node.set_value(&[2; 30], &mut copied);
        assert!(copied > 30);
        assert_eq!(copy.value(), [1; 30]);
        assert_eq!(node.value(), [2; 30]);
    }

    #[test]
    fn stamps_hold_generation_and_writer() {
        let stamp = Stamp::new(0x1234_5678_9abc, DomId(0x7ff5));
        assert_eq!(stamp.generation(), 0x1234_5678_9abc);
        assert_eq!(stamp.writer(), DomId(0x7ff5));
    }

    #[test]
    fn nodes_are_small() {
        assert!(size_of::<Node>() <= 48, "{}", size_of::<Node>());
    }
}
