//! Answers: any frame's payload is refused or is what encoding the answer gives.
//!
//! Input: the kind in a byte, then the payload.
#![no_main]

use domb_core::management::Answer;
use domb_core::management::frame::HEADER_BYTES;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((kind, payload)) = input.split_first() else {
        return;
    };
    match Answer::decode((*kind).into(), payload) {
        Ok(answer) => {
            assert_eq!(answer.number(), *kind);
            let frame = answer.frame(1).expect("no longer than what was decoded");
            assert_eq!(&frame[HEADER_BYTES..], payload);
        }
        Err(error) => assert!(error.offset <= payload.len()),
    }
});
