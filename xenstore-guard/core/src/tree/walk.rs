//! All nodes of a tree, without recursion.

use alloc::string::String;
use alloc::vec::Vec;

use super::node::Node;

/// Goes through a node and all below it, those above before those below, and tells each one's path.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    path: String,
    /// Nodes to come, and how long the path is above them.
    rest: Vec<(&'a Node, usize)>,
}

impl<'a> Walk<'a> {
    /// Begins at a node whose parent has this path; `""` for the root and those right below it.
    pub(crate) fn new(node: &'a Node, above: &str) -> Self {
        let mut path = String::from(above);
        if path == "/" {
            path.clear();
        }
        let length = path.len();
        Self {
            path,
            rest: Vec::from([(node, length)]),
        }
    }

    /// The next node with its path.
    pub(crate) fn next(&mut self) -> Option<(&str, &'a Node)> {
        let (node, above) = self.rest.pop()?;
        self.path.truncate(above);
        if !node.name().is_empty() {
            self.path.push('/');
            self.path.push_str(node.name());
        }
        let length = self.path.len();
        let start = self.rest.len();
        self.rest.extend(node.children().map(|child| (child, length)));
        if let Some(children) = self.rest.get_mut(start..) {
            children.reverse();
        }
        Some((if self.path.is_empty() { "/" } else { &self.path }, node))
    }

    /// Leaves out what is below the node that came last.
    pub(crate) fn skip_children(&mut self) {
        let length = self.path.len();
        while self
            .rest
            .last()
            .is_some_and(|&(_, above)| above >= length && length > 0)
        {
            self.rest.pop();
        }
    }
}
