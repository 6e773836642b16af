//! The running image as it was loaded, for measuring it.

use crate::layout;

/// The image's bytes in memory order, as they came from its file: text and constants in place, then the initial data
/// from the copy that was taken before anything could change it. Together they are the image from its first loaded
/// byte to its last byte that is in the file.
#[must_use]
pub fn loaded() -> [&'static [u8]; 2] {
    let constant = layout::rodata_end() - layout::image_start();
    let data = layout::data_end() - layout::rodata_end();
    // SAFETY: text and constants are mapped and never change; the linker script makes them adjacent.
    let constants = unsafe { core::slice::from_raw_parts(layout::image_start() as *const u8, constant) };
    // SAFETY: the linker script reserves as many bytes for the copy as .data has; nothing writes it after start.
    let data = unsafe { core::slice::from_raw_parts(layout::data_copy() as *const u8, data) };
    [constants, data]
}

/// Takes the copy of the initial data.
///
/// # Safety
/// To be called once, before anything changes a static.
pub(crate) unsafe fn keep_initial_data() {
    let count = layout::data_end() - layout::rodata_end();
    // SAFETY: the linker script puts .data at rodata_end and reserves as many bytes for the copy, apart from it.
    unsafe {
        core::ptr::copy_nonoverlapping(layout::rodata_end() as *const u8, layout::data_copy() as *mut u8, count);
    }
}
