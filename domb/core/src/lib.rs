//! The domain builder's logic: from a bundle to the memory, tables and policies of domains.
//!
//! No I/O and no hypercalls: bytes and facts in, bytes and decisions out. The image that Xen boots is a thin layer
//! around it, and the tests and the host tool run the same code on Linux.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod acpi;
pub mod build;
pub mod bundle;
pub mod console;
pub mod cpu_policy;
pub mod elf;
pub mod host;
pub mod management;
pub mod memory_map;
pub mod operator;
pub mod policy;
pub mod pv;
pub mod pvh;
pub mod restart;
pub mod store;
