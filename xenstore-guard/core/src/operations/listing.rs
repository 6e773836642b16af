//! Answers that list the children of a node.

use alloc::vec::Vec;

use xen::store::wire::MAX_PAYLOAD;

use crate::request::append;
use crate::tree::Node;

/// The names of all children.
pub(super) fn list(node: &Node, answer: &mut Vec<u8>) {
    for child in node.children() {
        answer.extend_from_slice(child.name().as_bytes());
        answer.push(0);
        if answer.len() > MAX_PAYLOAD {
            return;
        }
    }
}

/// The generation, and names from an offset on as far as they fit. An empty name says that there are no more.
pub(super) fn list_part(node: &Node, offset: usize, answer: &mut Vec<u8>) {
    append(answer, format_args!("{}\0", node.stamp().generation()));
    let mut position = 0_usize;
    for child in node.children() {
        let name = child.name().as_bytes();
        let end = position + name.len() + 1;
        if end > offset {
            // The last byte is for the empty name.
            let rest = name.get(offset.saturating_sub(position)..).unwrap_or_default();
            if answer.len() + rest.len() + 1 >= MAX_PAYLOAD {
                return;
            }
            answer.extend_from_slice(rest);
            answer.push(0);
        }
        position = end;
    }
    answer.push(0);
}
