//! Boxes that crash and boxes that were scribbled on.

mod client;
mod contents;
mod crash;
mod memory;
mod page;
