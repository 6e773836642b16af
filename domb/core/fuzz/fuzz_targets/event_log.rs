//! Event logs: any file is refused or appending its events again gives the same bytes, and then it has PCR values.
#![no_main]

use libfuzzer_sys::fuzz_target;
use measure::{EventLog, parse, replay};

fuzz_target!(|file: &[u8]| {
    let values = replay(file);
    let Ok(events) = parse(file) else {
        assert!(values.is_err());
        return;
    };
    let mut again = EventLog::new(events.banks()).unwrap();
    for event in events {
        let Ok(event) = event else {
            assert!(values.is_err());
            return;
        };
        again
            .append(event.pcr, event.event_type, &event.digests, event.data)
            .unwrap();
    }
    assert_eq!(values, replay(again.bytes()));
    // The first event may differ in what is passed over: class, errata, address size, vendor information.
    let events = again.events();
    let first = EventLog::new(events.banks()).unwrap().bytes().len();
    assert!(file.ends_with(&again.bytes()[first..]));
});
