//! The stock Dom0 that benchmarks compare with: Debian with systemd and `xl`, on the same emulated machine.

mod baseline;
mod boot;
mod disk;
mod image;

pub use baseline::{Baseline, Guests, run_baseline};
pub use boot::StockDom0;
pub use image::root_image;
