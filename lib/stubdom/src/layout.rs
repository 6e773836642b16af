//! Addresses that the linker script sets.

use core::ops::Range;

use xen::PAGE_SIZE;

unsafe extern "C" {
    static __image_start: u8;
    static __text_end: u8;
    static __rodata_end: u8;
    static __data_end: u8;
    static __hypercall_page: u8;
    static __shared_info: u8;
    static __scratch_page: u8;
    static __stack_guard: u8;
    static __stack_bottom: u8;
    static __stack_top: u8;
    static __data_copy: u8;
    static __image_end: u8;
}

macro_rules! address {
    ($($name:ident = $symbol:ident),* $(,)?) => {
        $(pub(crate) fn $name() -> usize {
            (&raw const $symbol) as usize
        })*
    };
}

address! {
    image_start = __image_start,
    text_end = __text_end,
    rodata_end = __rodata_end,
    data_end = __data_end,
    hypercall_page = __hypercall_page,
    shared_info = __shared_info,
    scratch_page = __scratch_page,
    stack_guard = __stack_guard,
    stack_bottom = __stack_bottom,
    stack_top = __stack_top,
    data_copy = __data_copy,
    image_end = __image_end,
}

/// Page frame numbers from the page of `start` to the page before `end`.
pub(crate) fn pages(start: usize, end: usize) -> Range<u64> {
    (start / PAGE_SIZE) as u64..end.div_ceil(PAGE_SIZE) as u64
}
