//! The recovery box: whatever is in it, it is opened without harm, rings go on, and the next snapshot is whole.
//!
//! An input is the words of a slot (its two copies with proper check values), the indices of a ring, and then frames with
//! proper check values: a length byte and bytes each; or, where the first byte is odd, bytes to be written over a whole box.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use xen::DomId;
use xen::store::StoreError;
use xenstore_guard_core::recovery::{MIN_BOX_BYTES, Recovery, RecoveryBox};
use xenstore_guard_core::{Change, Config, ConnectionId, Environment, Peer, Server};

const SIZE: usize = MIN_BOX_BYTES;
/// Of the layout in docs/store-formats.md, for this size.
const SLOTS: usize = 64;
const AREA: usize = SLOTS + SIZE / 2048 * 64;

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

#[derive(Clone)]
struct Memory(Vec<u8>);

impl RecoveryBox for Memory {
    fn size(&self) -> usize {
        self.0.len()
    }
    fn read(&self, offset: usize, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.0[offset..offset + bytes.len()]);
    }
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
    fn publish(&mut self, offset: usize, number: u64) {
        self.write(offset, &number.to_le_bytes());
    }
}

/// The check value of docs/store-formats.md.
fn check(numbers: &[u64], bytes: &[u8]) -> u32 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut words = numbers.to_vec();
    words.extend(bytes.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    }));
    if bytes.len().is_multiple_of(8) {
        words.push(0);
    }
    let state = words.into_iter().fold(0u64, |state, word| {
        let mixed = (state ^ word).wrapping_add(FACTOR).wrapping_mul(FACTOR);
        mixed ^ (mixed >> 29)
    });
    state as u32 ^ (state >> 32) as u32
}

/// A box with the snapshot of a store that serves domains 0 and 7, and how much of the first area it takes.
fn fresh() -> &'static (Memory, usize, ConnectionId) {
    static BOX: OnceLock<(Memory, usize, ConnectionId)> = OnceLock::new();
    BOX.get_or_init(|| {
        let mut memory = Memory(vec![0; SIZE]);
        let mut server = Server::new(Config::default());
        let mut connect = |domid| {
            let peer = Peer::Domain {
                domid: DomId(domid),
                ring: 1,
                port: 2,
            };
            server.connect(peer).unwrap()
        };
        connect(0);
        let id = connect(7);
        let mut recovery = Recovery::open(&mut memory).unwrap().recovery;
        recovery.compact(server.state()).unwrap();
        let used = u64::from_le_bytes(memory.0[24..32].try_into().unwrap());
        (memory, usize::try_from(used).unwrap(), id)
    })
}

fn put(memory: &mut Memory, offset: usize, words: &[u64]) {
    for (index, word) in words.iter().enumerate() {
        memory.publish(offset + 8 * index, *word);
    }
}

/// Slot 0 of domain 7, and frames behind the snapshot.
fn with_proper_checks(memory: &mut Memory, used: usize, id: ConnectionId, bytes: &[u8]) -> (u32, u32) {
    let (head, mut rest) = bytes.split_at(bytes.len().min(40));
    let mut words = [0u64; 5];
    for (word, chunk) in words.iter_mut().zip(head.chunks_exact(8)) {
        *word = u64::from_le_bytes(chunk.try_into().unwrap());
    }
    let owner = u64::from(id.number()) << 32 | 7 << 16 | 1;
    put(memory, SLOTS, &[words[0] & 1, owner]);
    for (copy, begin, end) in [(16, words[1], words[2]), (40, words[3], words[2])] {
        let values: Vec<u8> = [begin, end].iter().flat_map(|word| word.to_le_bytes()).collect();
        let value = check(&[owner, copy], &values);
        put(memory, SLOTS + copy as usize, &[begin, end, value.into()]);
    }
    let mut used = used;
    while let Some((&length, behind)) = rest.split_first() {
        let (body, behind) = behind.split_at(behind.len().min(usize::from(length) + 1));
        rest = behind;
        let mut frame = vec![4];
        frame.extend_from_slice(body);
        let length = frame.len();
        frame.resize(length.next_multiple_of(8), 0);
        if AREA + used + 8 + frame.len() > SIZE / 2 {
            break;
        }
        let value = check(&[1, used as u64, length as u64], &frame);
        put(memory, AREA + used, &[u64::from(value) << 32 | length as u64]);
        memory.write(AREA + used + 8, &frame);
        used += 8 + frame.len();
    }
    memory.publish(24, used as u64);
    (words[4] as u32, (words[4] >> 32) as u32)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, bytes)) = bytes.split_first() else {
        return;
    };
    let (memory, used, id) = fresh();
    let mut memory = memory.clone();
    let mut indices = (0, 0);
    if first & 1 == 0 {
        indices = with_proper_checks(&mut memory, *used, *id, bytes);
    } else {
        for patch in bytes.chunks_exact(3) {
            let at = usize::from(u16::from_le_bytes([patch[0], patch[1]])) % SIZE;
            memory.0[at] = patch[2];
        }
    }
    let mut opened = Recovery::open(&mut memory).unwrap();
    let Some(mut state) = opened.state else {
        return;
    };
    let rings: Vec<ConnectionId> = state.connections.iter().map(|connection| connection.id).collect();
    for id in rings {
        opened.unfinished.resume(&mut opened.recovery, &mut state, id, indices);
    }
    let Ok(mut server) = Server::restore(Config::default(), state, &mut Nothing) else {
        return;
    };
    server.fire_all_watches(&Nothing);
    let mut recovery = opened.recovery;
    if recovery.compact(server.state()).is_ok() {
        let expected = server.state();
        let again = Recovery::open(&mut memory).unwrap();
        let found = again.state.expect("the snapshot is there");
        assert_eq!(found.nodes.len(), expected.nodes.len());
        assert_eq!(found.domains, expected.domains);
    }
});
