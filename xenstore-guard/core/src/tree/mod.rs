//! The tree: nodes that any number of trees share. Whoever keeps a tree keeps it as it is, at the price of a reference;
//! what is changed afterwards is copied on the way from the root down to the change, and nothing else.

mod directory;
mod node;
mod walk;

pub(crate) use node::{Node, Stamp, charge, size};
pub(crate) use walk::Walk;

use crate::Path;
use crate::path::{INTRODUCE_DOMAIN, RELEASE_DOMAIN};
use crate::permissions::{self, List};

/// A tree, and the special names, which have permissions only.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    root: Node,
    introduce_domain: Node,
    release_domain: Node,
}

/// Where a path leads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'a> {
    /// The node, if it is there.
    pub(crate) node: Option<&'a Node>,
    /// The nearest one above it that is there. The root is above itself.
    pub(crate) above: &'a Node,
    /// How many nodes are missing, the last one included.
    pub(crate) missing: usize,
}

impl Tree {
    /// As C xenstored begins: `/tool/xenstored`, all of it domain 0's.
    pub(crate) fn new() -> Self {
        let node = |name: &str| Node::new(name.as_bytes(), b"", permissions::private(), Stamp::default());
        let mut tree = Self {
            root: node(""),
            introduce_domain: node(INTRODUCE_DOMAIN),
            release_domain: node(RELEASE_DOMAIN),
        };
        if let Some(path) = Path::new("/tool/xenstored") {
            tree.create(path, 2, b"", &permissions::private(), Stamp::default(), &mut 0);
        }
        tree
    }

    /// The root alone.
    pub(crate) fn empty() -> Self {
        let mut tree = Self::new();
        tree.root = Node::new(b"", b"", permissions::private(), Stamp::default());
        tree
    }

    /// The node of a path.
    pub(crate) fn get(&self, path: Path<'_>) -> Option<&Node> {
        self.find(path).node
    }

    /// Where a path leads.
    pub(crate) fn find(&self, path: Path<'_>) -> Found<'_> {
        if path.is_special() {
            let node = match path.as_str() {
                INTRODUCE_DOMAIN => Some(&self.introduce_domain),
                RELEASE_DOMAIN => Some(&self.release_domain),
                _ => None,
            };
            return Found {
                node,
                above: &self.root,
                missing: usize::from(node.is_none()),
            };
        }
        let mut found = Found {
            node: Some(&self.root),
            above: &self.root,
            missing: 0,
        };
        for name in path.names() {
            match found.node {
                Some(node) => {
                    found.above = node;
                    found.node = node.child(name);
                    found.missing = usize::from(found.node.is_none());
                }
                None => found.missing += 1,
            }
        }
        found
    }

    /// A node to be changed, with all above it copied where another tree has them. `copied` counts the bytes of that.
    fn edit(&mut self, path: Path<'_>, copied: &mut usize) -> Option<&mut Node> {
        if path.is_special() {
            return match path.as_str() {
                INTRODUCE_DOMAIN => Some(&mut self.introduce_domain),
                RELEASE_DOMAIN => Some(&mut self.release_domain),
                _ => None,
            };
        }
        let mut node = &mut self.root;
        for name in path.names() {
            node = node.child_mut(name, copied)?;
        }
        Some(node)
    }

    /// Gives a node that is there another value.
    pub(crate) fn set_value(&mut self, path: Path<'_>, value: &[u8], stamp: Stamp, copied: &mut usize) {
        if let Some(node) = self.edit(path, copied) {
            node.set_value(value, copied);
            node.set_stamp(stamp);
        }
    }

    /// Gives a node that is there other permissions.
    pub(crate) fn set_permissions(&mut self, path: Path<'_>, permissions: List, stamp: Stamp, copied: &mut usize) {
        if let Some(node) = self.edit(path, copied) {
            node.permissions = permissions;
            node.set_stamp(stamp);
        }
    }

    /// Makes a node that is not there, and what is missing of the way to it (without values), all with the same
    /// permissions. `missing` is what [`Tree::find`] told.
    pub(crate) fn create(
        &mut self,
        path: Path<'_>,
        missing: usize,
        value: &[u8],
        permissions: &List,
        stamp: Stamp,
        copied: &mut usize,
    ) {
        let Some(above) = path.above(missing) else { return };
        let Some(node) = self.edit(above, copied) else { return };
        node.set_stamp(stamp);
        let mut made: Option<Node> = None;
        for name in path.last_names(missing) {
            let value = if made.is_none() { value } else { &[] };
            let mut node = Node::new(name.text, value, List::clone(permissions), stamp);
            if let Some(below) = made.take() {
                node.insert(below, copied);
            }
            made = Some(node);
        }
        if let Some(made) = made {
            node.insert(made, copied);
        }
    }

    /// Takes a node out, with all below it. The root stays.
    pub(crate) fn remove(&mut self, path: Path<'_>, stamp: Stamp, copied: &mut usize) -> Option<Node> {
        let parent = path.parent()?;
        let name = path.names().last()?;
        self.find(path).node?;
        let parent = self.edit(parent, copied)?;
        let removed = parent.remove(name, copied)?;
        parent.set_stamp(stamp);
        Some(removed)
    }

    /// All nodes, those above before those below; without the special names.
    pub(crate) fn walk(&self) -> Walk<'_> {
        Walk::new(&self.root)
    }
}

#[cfg(test)]
mod tests;
