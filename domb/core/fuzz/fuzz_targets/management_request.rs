//! Requests: any frame's payload is refused or is what encoding the request gives.
//!
//! Input: the kind in a byte, then the payload.
#![no_main]

use domb_core::management::Request;
use domb_core::management::frame::HEADER_BYTES;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((kind, payload)) = input.split_first() else {
        return;
    };
    match Request::decode((*kind).into(), payload) {
        Ok(request) => {
            assert_eq!(request.number(), *kind);
            let frame = request.frame(1).expect("no longer than what was decoded");
            assert_eq!(&frame[HEADER_BYTES..], payload);
        }
        Err(error) => assert!(error.offset <= payload.len()),
    }
});
