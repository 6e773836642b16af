//! Streams that are refused, and what is left out of others.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use xen::DomId;
use xen::store::wire::{Access, Permission};

use super::OF_C;
use crate::quota::Quota;
use crate::stream::{read, record};

/// A stream of the header and these records.
fn stream_of(records: &[record::Record<'_>]) -> Vec<u8> {
    let mut bytes = OF_C[..record::HEADER_BYTES].to_vec();
    bytes[11] = 2;
    for record in records {
        record.encode(&mut bytes).unwrap();
    }
    bytes
}

fn refusal(records: &[record::Record<'_>]) -> String {
    let bytes = stream_of(records);
    read(&bytes).unwrap_err().to_string()
}

fn node_record(path: &str) -> record::Record<'_> {
    record::Record::Node(record::Node {
        pending: None,
        access: 0,
        path: path.as_bytes(),
        value: b"",
        permissions: vec![record::NodePermission {
            permission: Permission::new(DomId(0), Access::NONE),
            stale: false,
        }],
    })
}

fn ring_record(id: u32, domid: u16) -> record::Record<'static> {
    record::Record::Connection(record::Connection {
        id,
        peer: record::ConnectionPeer::Ring {
            domid: DomId(domid),
            target: None,
            port: 1,
        },
        input: b"",
        partial: 0,
        output: b"",
        unique: Some(1),
    })
}

fn watch_record<'a>(connection: u32, path: &'a str, token: &'a str) -> record::Record<'a> {
    record::Record::Watch(record::Watch {
        connection,
        path: path.as_bytes(),
        token: token.as_bytes(),
        depth: None,
    })
}

#[test]
fn errors_say_which_record_and_what_was_expected() {
    use record::Record::{End, Transaction};
    for (records, error) in [
        (
            vec![node_record("/"), node_record("/a/b"), End],
            "record 2 at byte 48: parent of did not come before: /a/b",
        ),
        (
            vec![node_record("/"), node_record("/a"), node_record("/a"), End],
            "record 3 at byte 80: node comes twice: /a",
        ),
        (
            vec![watch_record(9, "/a", "t"), End],
            "record 1 at byte 16: connection did not come before: 9",
        ),
        (
            vec![
                ring_record(1, 7),
                watch_record(1, "/a", "t"),
                watch_record(1, "/a", "t"),
                End,
            ],
            "record 3 at byte 80: watch comes twice: /a",
        ),
        (
            vec![ring_record(1, 7), ring_record(1, 8), End],
            "record 2 at byte 56: connection comes twice: 1",
        ),
        (
            vec![ring_record(1, 7), ring_record(2, 7), End],
            "record 2 at byte 56: ring of domain comes twice: 7",
        ),
        (
            vec![
                Transaction {
                    connection: 1,
                    transaction: 5,
                },
                End,
            ],
            "record 1 at byte 16: connection did not come before: 1",
        ),
        (
            vec![],
            "record 1 at byte 16: a record's header takes 8 bytes, the stream has 0 more",
        ),
        (vec![End, End], "record 1 at byte 24: 8 bytes behind END"),
    ] {
        assert_eq!(refusal(&records), error);
    }
}

#[test]
fn headers_of_others_are_refused() {
    let header = |at: usize, byte| {
        let mut bytes = stream_of(&[record::Record::End]);
        bytes[at] = byte;
        read(&bytes).map_err(|error| error.to_string())
    };
    let refused = |problem: &str| Err(format!("record 0 at byte 0: {problem}"));
    assert!(header(11, 1).is_ok());
    assert_eq!(header(11, 3), refused("version is 0x3, expected 1 or 2"));
    assert_eq!(header(11, 0), refused("version is 0x0, expected 1 or 2"));
    assert_eq!(header(15, 1), refused("flags is 0x1, expected 0: little-endian"));
    assert_eq!(
        header(0, b'X'),
        refused("ident is 0x58656e73746f7265, expected 0x78656e73746f7265")
    );
}

#[test]
fn version_1_has_no_watches_with_a_depth() {
    let mut bytes = stream_of(&[ring_record(1, 7)]);
    bytes[11] = 1;
    record::Record::Watch(record::Watch {
        connection: 1,
        path: b"/a",
        token: b"t",
        depth: Some(3),
    })
    .encode(&mut bytes)
    .unwrap();
    record::Record::End.encode(&mut bytes).unwrap();
    assert_eq!(
        read(&bytes).unwrap_err().to_string(),
        "record 2 at byte 56: record type 0x8: not one of version 1"
    );
}

#[test]
fn pending_nodes_need_their_transaction_and_are_left_out() {
    let pending = |transaction| {
        let record::Record::Node(node) = node_record("/new") else {
            unreachable!("a node")
        };
        record::Record::Node(record::Node {
            pending: Some((1, transaction)),
            access: 2,
            ..node
        })
    };
    let open = record::Record::Transaction {
        connection: 1,
        transaction: 5,
    };
    let bytes = stream_of(&[ring_record(1, 7), open.clone(), pending(5), record::Record::End]);
    let state = read(&bytes).unwrap().state;
    assert_eq!(state.nodes.len(), 1);
    assert_eq!(state.connections[0].transactions, [5]);
    assert_eq!(
        refusal(&[ring_record(1, 7), open, pending(6), record::Record::End]),
        "record 3 at byte 72: transaction did not come before: 6"
    );
}

#[test]
fn quotas_that_are_not_known_are_left_out() {
    let bytes = stream_of(&[
        record::Record::GlobalQuotas {
            domain: vec![(b"nodes", 5), (b"soft-memory", 9)],
            global: vec![(b"whatever", 1)],
        },
        record::Record::Domain {
            domid: DomId(3),
            features: 6,
            quotas: vec![(b"watches", 2), (b"what", 3)],
        },
        record::Record::End,
    ]);
    let state = read(&bytes).unwrap().state;
    assert_eq!(state.quotas.get(Quota::Nodes), 5);
    assert_eq!(state.quotas.get(Quota::Watches), Quota::Watches.default_value());
    assert_eq!(state.domains[0].quotas, [(Quota::Watches, 2)]);
    assert_eq!(state.domains[0].features, 6);
}
