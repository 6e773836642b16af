//! The migration stream: whatever the bytes, they are refused or give a state that can be written, read again and served.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xen::DomId;
use xen::store::StoreError;
use xenstore_guard_core::stream::{read, read_part, write};
use xenstore_guard_core::{Change, Config, Environment, Server};

struct Nothing;

impl Environment for Nothing {
    fn introduce(&mut self, _: DomId, _: u64, _: u32) -> Result<(), StoreError> {
        Ok(())
    }
    fn release(&mut self, _: DomId) {}
    fn now(&self) -> u64 {
        0
    }
    fn journal(&mut self, _: &Change<'_>) {}
    fn control(&mut self, _: &[&[u8]]) -> Option<Result<Vec<u8>, StoreError>> {
        None
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(stream) = read(bytes) {
        let written = write(&stream.state, &stream.handover).expect("what was read fits");
        let again = read(&written).expect("what was written is read");
        if stream.handover.version > 1 {
            assert_eq!(again.state, stream.state);
        }
    }
    // What remains of a damaged one must do no harm either.
    if let (Some(stream), _) = read_part(bytes) {
        let connections: Vec<_> = stream.state.connections.iter().map(|connection| connection.id).collect();
        if let Ok(mut server) = Server::restore(Config::default(), stream.state, &mut Nothing) {
            for id in connections {
                while server.process(id, &mut Nothing) {}
            }
            server.fire_all_watches(&Nothing);
            assert!(!server.state().nodes.is_empty());
        }
    }
});
