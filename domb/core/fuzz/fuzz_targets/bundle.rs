//! Bundles: any file is refused or is, but for zeros at its end, what writing its contents gives.
#![no_main]

use std::convert::Infallible;

use domb_core::bundle::{Bundle, write};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let Ok(bundle) = Bundle::parse(file) else { return };
    for image in bundle.images() {
        let _ = image.verify();
    }
    let _ = bundle.manifest().check();
    let mut again = Vec::new();
    let read = |image: &manifest::Image| Ok::<_, Infallible>(bundle.image(&image.name).unwrap().bytes);
    let sink = |piece: &[u8]| {
        again.extend_from_slice(piece);
        Ok(())
    };
    write(bundle.manifest(), read, sink).unwrap();
    let (same, rest) = file.split_at(again.len());
    assert_eq!(same, again);
    assert!(rest.iter().all(|byte| *byte == 0));
});
