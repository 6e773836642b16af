//! Real Xen on an emulated machine, for scenarios and benchmarks.
//!
//! [`setup`] brings what the machine needs: packages through apt, and Xen, kernels and QEMU unpacked into a cache
//! (nothing of them is installed on the host). [`Assets`] says where they are. A [`Machine`] is powered on with Xen,
//! an initial domain and its ramdisk; the [`Running`] machine gives the serial console, line by line with the time since
//! power-on, and ends with the value. [`initramfs`] makes the ramdisks of Linux guests. [`dom0`] is the stock Dom0 that
//! benchmarks compare with.
//!
//! ```no_run
//! # use std::{path::Path, time::Duration};
//! # fn main() -> Result<(), testbed::Error> {
//! let assets = testbed::Assets::load()?;
//! let machine = testbed::Machine::new("one-guest", Path::new("domb.elf")).ramdisk(Path::new("host.bundle"));
//! let mut running = machine.power_on(&assets)?;
//! let ready = running.expect(r"GUEST-READY web nproc=(\d+)", Duration::from_secs(120))?;
//! assert_eq!(ready.group(1), Some("4"));
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod assets;
mod command;
mod console;
pub mod debian;
pub mod dom0;
mod error;
pub mod initramfs;
mod machine;
mod places;
mod python;
mod qemu;
mod running;
pub mod setup;

pub use assets::{Assets, Kernel, KernelFlavour, Qemu, StockStore, XenVersion};
pub use console::{Console, Line, Match};
pub use error::{Error, Wait};
pub use machine::Machine;
pub use places::{cache, scenarios, workspace};
pub use python::python_with;
pub use running::Running;

/// Result of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;
