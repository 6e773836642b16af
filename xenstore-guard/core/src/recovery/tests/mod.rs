//! Boxes that crash and boxes that were scribbled on.

mod contents;
mod memory;
