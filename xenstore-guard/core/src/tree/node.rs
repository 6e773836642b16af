//! One node: its name, value, permissions and children, in as few bytes as possible, for there are many.

use alloc::rc::Rc;
use alloc::vec::Vec;

use xen::DomId;

use super::children::Children;
use crate::permissions::List;

/// Bytes of name and value that lie in the node itself.
const INLINE: usize = 21;

/// A node's name and value, one behind the other.
#[derive(Debug, Clone)]
enum Text {
    Inline { name: u8, end: u8, bytes: [u8; INLINE] },
    Shared { name: u16, bytes: Rc<[u8]> },
}

/// A node. Shared by all trees that hold it; changed in place only where no other does.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    text: Text,
    pub(crate) permissions: List,
    pub(super) children: Children,
    stamp: Stamp,
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
const NODE_OVERHEAD: usize = 128;
/// What an entry of the permissions is charged with.
const ENTRY_BYTES: usize = 8;

impl Node {
    /// A node without children. Names longer than 65535 bytes are cut; paths are not that long.
    pub(crate) fn new(name: &str, value: &[u8], permissions: List, stamp: Stamp) -> Self {
        Self {
            text: Text::new(name.as_bytes(), value),
            permissions,
            children: Children::None,
            stamp,
        }
    }

    pub(crate) fn name(&self) -> &str {
        // Names come from checked paths.
        core::str::from_utf8(self.name_bytes()).unwrap_or_default()
    }

    pub(super) fn name_bytes(&self) -> &[u8] {
        self.text.split().0
    }

    pub(crate) fn value(&self) -> &[u8] {
        self.text.split().1
    }

    pub(super) fn set_value(&mut self, value: &[u8]) {
        self.text.set_value(value);
    }

    pub(crate) const fn stamp(&self) -> Stamp {
        self.stamp
    }

    pub(super) fn set_stamp(&mut self, stamp: Stamp) {
        self.stamp = stamp;
    }

    pub(crate) fn children(&self) -> impl Iterator<Item = &Rc<Self>> + Clone {
        self.children.iter()
    }

    /// The node to which names lead from here, and its parent; none where that is this node itself, or nothing.
    pub(crate) fn below<'a>(&self, names: impl Iterator<Item = &'a str>) -> Option<(&Self, &Self)> {
        let mut found = (None, self);
        for name in names {
            found = (Some(found.1), found.1.children.get(name)?);
        }
        Some((found.0?, found.1))
    }

    pub(crate) fn has_children(&self) -> bool {
        !matches!(self.children, Children::None)
    }

    /// What its owner is charged with.
    pub(crate) fn charge(&self) -> usize {
        charge(self.name_bytes().len(), self.value().len(), self.permissions.len())
    }

    /// Bytes that a copy of it takes, about.
    pub(super) fn copy_bytes(&self) -> usize {
        NODE_OVERHEAD + self.children.copy_bytes()
    }
}

/// What the owner of a node is charged with.
pub(crate) const fn charge(name: usize, value: usize, entries: usize) -> usize {
    NODE_OVERHEAD + name + value + entries * ENTRY_BYTES
}

/// What the quota of a node's size counts.
pub(crate) const fn size(value: usize, entries: usize) -> usize {
    value + entries * ENTRY_BYTES
}

/// Deep trees must not be dropped by recursion: a client chooses the depth (XSA-418).
impl Drop for Node {
    fn drop(&mut self) {
        if !self.has_children() {
            return;
        }
        let mut rest: Vec<Rc<Self>> = Vec::new();
        core::mem::take(&mut self.children).give_up(&mut rest);
        while let Some(node) = rest.pop() {
            if let Some(mut node) = Rc::into_inner(node) {
                core::mem::take(&mut node.children).give_up(&mut rest);
            }
        }
    }
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
        let mut node = Node::new("name", b"value", permissions::private(), Stamp::new(1, DomId(0)));
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
            node.set_value(value);
            assert_eq!(node.value(), value);
            assert_eq!(node.name(), "name");
        }
    }

    #[test]
    fn a_copy_does_not_change_with_the_other() {
        let mut node = Node::new(
            "a name of its own, and long",
            &[1; 30],
            permissions::private(),
            Stamp::default(),
        );
        let copy = node.clone();
        node.set_value(&[2; 30]);
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
        assert!(size_of::<Node>() <= 72, "{}", size_of::<Node>());
    }
}
