//! Raw binary interface of Xen for x86-64: what bindgen makes of Xen's public headers, and the few layouts of newer
//! interface versions that the headers of Xen 4.17 do not have. No logic.
//!
//! `generated.rs` is written by bindgen from the headers of Debian's `libxen-dev` (4.17). The test `generated` writes
//! it anew and compares, so it cannot drift; `XEN_SYS_UPDATE=1 cargo test -p xen-sys` replaces it.
//!
//! Only `struct xen_domctl_createdomain` differs between the interface versions 0x15 and 0x18 among the structures
//! that this project uses; see [`xen_domctl_createdomain_v17`].
#![no_std]

#[allow(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    unused,
    clippy::all,
    clippy::pedantic,
    clippy::undocumented_unsafe_blocks
)]
#[rustfmt::skip]
mod generated;

mod interface_version;

pub use generated::*;

pub use interface_version::xen_domctl_createdomain_v17;
