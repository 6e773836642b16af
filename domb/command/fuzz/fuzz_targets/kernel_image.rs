//! The unpacker of bzImages: no file makes it panic or go beyond its bound, and what comes out as a kernel is an ELF file.

#![no_main]

use domb::kernel_image::{Contents, unpack_bounded};
use libfuzzer_sys::fuzz_target;

/// Small, so that time goes into the decoders and not into long outputs.
const LIMIT: usize = 1 << 20;

fuzz_target!(|file: &[u8]| {
    let Ok(unpacked) = unpack_bounded(file, LIMIT) else {
        return;
    };
    match unpacked.contents {
        Contents::Elf => assert!(unpacked.bytes.starts_with(b"\x7fELF") && *unpacked.bytes == *file),
        Contents::BzImage(_) => {
            assert!(unpacked.bytes.starts_with(b"\x7fELF") && unpacked.bytes.len() <= LIMIT);
        }
        Contents::Data => assert_eq!(*unpacked.bytes, *file),
    }
});
