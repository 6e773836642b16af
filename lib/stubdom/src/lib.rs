//! Runtime of a bare-metal paravirtual domain: what stands between Xen's "start of day" and an image's `main`.
//!
//! An image is a `no_std` binary that names its main function with [`image!`]. The runtime maps all memory, makes a
//! heap, opens the console and the event channels, turns on the processor's vector units, and runs `main` as the first
//! task of a single-threaded [`executor`]. Everything that needs assembly or a raw pointer to do that is in this crate,
//! so that images need no `unsafe` of their own.
//!
//! One vCPU, no threads: events stay masked except while the domain blocks, so no code of an image is ever
//! interrupted. A stack overflow ends in an unmapped page; Xen then reports the registers and ends the domain, since
//! a PV domain has no second stack to report from.
#![no_std]

extern crate alloc;

pub mod boot;
mod cell;
pub mod console;
mod cpu;
pub mod events;
pub mod executor;
mod heap;
pub mod image;
mod layout;
pub mod lending;
pub mod logger;
mod page_tables;
mod panic;
pub mod store;
pub mod time;
mod traps;
pub mod vchan;

pub use boot::{Domain, Exit, StoreConnection};
pub use heap::{size as heap_size, used as heap_used};

core::arch::global_asm!(include_str!("entry.s"));
core::arch::global_asm!(include_str!("mem.s"));

/// Names an image's main function, `async fn(Domain) -> Exit`, and the memory it wants beyond what it was started
/// with (image, ramdisk, Xen's tables); memory over that is given back to Xen.
///
/// ```ignore
/// stubdom::image!(main, memory: 32 << 20);
/// ```
#[macro_export]
macro_rules! image {
    ($main:path, memory: $bytes:expr) => {
        #[unsafe(no_mangle)]
        fn stubdom_image_memory() -> usize {
            $bytes
        }

        #[unsafe(no_mangle)]
        fn stubdom_image_main(domain: $crate::Domain) -> $crate::executor::MainFuture {
            $crate::executor::boxed($main(domain))
        }
    };
}
