//! Boxes that crash and boxes that were scribbled on.

mod changes;
mod client;
mod contents;
mod crash;
mod memory;
mod page;
mod rewritten;
