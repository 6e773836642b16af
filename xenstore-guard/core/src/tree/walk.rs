//! All nodes of a tree, without recursion.

use alloc::string::String;
use alloc::vec::Vec;

use super::node::Node;

/// Goes through a node and all below it, those above before those below, siblings by name.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    /// The node that came last and those above it.
    way: Vec<&'a Node>,
    /// Nodes to come, and how many are above them.
    rest: Vec<(&'a Node, usize)>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(node: &'a Node) -> Self {
        Self {
            way: Vec::new(),
            rest: Vec::from([(node, 0)]),
        }
    }

    /// The path of the node that came last, if the walk began at the root.
    pub(crate) fn path(&self) -> String {
        let mut path = String::new();
        for node in self.way.iter().skip(1) {
            path.push('/');
            path.push_str(node.name());
        }
        if path.is_empty() {
            path.push('/');
        }
        path
    }

    /// Leaves out what is below the node that came last.
    pub(crate) fn skip_children(&mut self) {
        while self.rest.last().is_some_and(|&(_, above)| above >= self.way.len()) {
            self.rest.pop();
        }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = &'a Node;

    fn next(&mut self) -> Option<&'a Node> {
        let (node, above) = self.rest.pop()?;
        self.way.truncate(above);
        self.way.push(node);
        let below = self.way.len();
        self.rest.extend(node.children().rev().map(|child| (child, below)));
        Some(node)
    }
}
