//! Kernels: any file is refused or gives segments that can be loaded as they stand.
#![no_main]

use domb_core::elf::Kernel;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let Ok(kernel) = Kernel::parse(file) else { return };
    for pair in kernel.segments().windows(2) {
        assert!(
            pair[0].physical + pair[0].memory_size <= pair[1].physical,
            "segments in order, without overlap"
        );
    }
    if let Ok(image) = kernel.memory_image(1 << 20) {
        assert!(image.len() <= 1 << 20);
    }
    if let Ok(pvh) = kernel.pvh() {
        assert!(pvh.end <= 1 << 32 && (pvh.start..pvh.end).contains(&u64::from(pvh.entry)));
        for segment in &pvh.segments {
            assert!(segment.data.len() as u64 <= segment.memory_size);
            assert!(segment.address >= pvh.start && segment.address + segment.memory_size <= pvh.end);
        }
    }
    if let Ok(pv) = kernel.pv() {
        assert!((pv.start..pv.end).contains(&pv.entry));
        for segment in &pv.segments {
            assert!(segment.data.len() as u64 <= segment.memory_size);
            assert_eq!(segment.virtual_address - pv.virt_base, segment.physical);
            assert!(segment.virtual_address >= pv.start && segment.virtual_address + segment.memory_size <= pv.end);
        }
    }
});
