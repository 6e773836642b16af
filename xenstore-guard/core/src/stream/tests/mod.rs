//! Whole streams: what is written comes back; nothing that can be read does harm.

mod refusals;

extern crate std;

use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;
use xen::DomId;
use xen::store::wire::{Access, Permission};

use super::*;
use crate::quota::{Limits, Quota};
use crate::state::{ConnectionId, ConnectionState, DomainState, NodeState, Peer, PermissionState, State, WatchState};

/// What Debian's C xenstored 4.17.7 handed to its successor: two domains with rings (one acting for the other), a socket, watches,
/// a reply that was sent in part, a request that came in part.
const OF_C: &[u8] = include_bytes!("../testdata/xenstored-4.17.stream");

fn permission(domid: u16, access: Access, stale: bool) -> PermissionState {
    PermissionState {
        permission: Permission::new(DomId(domid), access),
        stale,
    }
}

fn node<'a>(state: &'a State, path: &str) -> &'a NodeState {
    state.nodes.iter().find(|node| node.path == path).unwrap()
}

#[test]
fn a_stream_of_c_xenstored_is_read() {
    let stream = read(OF_C).unwrap();
    let state = &stream.state;
    assert_eq!(stream.handover.process, Some((3, 6)));
    assert_eq!(state.nodes[0].path, "/");
    let last: Vec<&str> = state
        .nodes
        .iter()
        .rev()
        .take(2)
        .map(|node| node.path.as_str())
        .collect();
    assert_eq!(last, ["@introduceDomain", "@releaseDomain"]);
    assert_eq!(node(state, "/local/domain/7/name").value, b"web");
    assert_eq!(
        node(state, "/local/domain/7/name").permissions,
        [permission(0, Access::NONE, false), permission(7, Access::READ, false)]
    );
    assert_eq!(
        node(state, "/stale").permissions,
        [
            permission(0, Access::NONE, false),
            permission(7, Access::BOTH, false),
            permission(9, Access::WRITE, true)
        ]
    );
    assert_eq!(node(state, "/binary").value, (0..40).collect::<Vec<u8>>());
    assert_eq!(node(state, "/local/domain/7/data/mine").value, b"hello");
    let peers: Vec<Peer> = state.connections.iter().map(|connection| connection.peer).collect();
    let ring = |domid, port| Peer::Domain {
        domid: DomId(domid),
        ring: 0,
        port,
    };
    assert_eq!(peers, [ring(0, 16), Peer::Socket, ring(7, 23), ring(8, 24)]);
    let of_seven = &state.connections[2];
    let watches: Vec<(&str, &[u8])> = of_seven
        .watches
        .iter()
        .map(|watch| (watch.path.as_str(), watch.token.as_slice()))
        .collect();
    assert_eq!(watches, [("device", b"t7".as_slice()), ("@introduceDomain", b"intro")]);
    assert_eq!(of_seven.partial_output, 16 + 1040 - 1024);
    assert_eq!(of_seven.output, vec![b'y'; of_seven.partial_output]);
    assert_eq!(state.connections[3].input.len(), 20);
    let eight = state.domains.iter().find(|domain| domain.domid == DomId(8)).unwrap();
    assert_eq!(eight.target, Some(DomId(7)));
}

#[test]
fn records_of_c_xenstored_are_written_as_it_writes_them() {
    let mut again = OF_C[..record::HEADER_BYTES].to_vec();
    for record in Records::new(OF_C).unwrap() {
        record.unwrap().encode(&mut again).unwrap();
    }
    assert_eq!(again, OF_C);
}

/// Paths of a small tree, parents first.
const PATHS: [&str; 7] = ["/a", "/a/b", "/a/b/c", "/a-b", "/a/x", "/local", "/local/domain"];

fn permissions() -> impl Strategy<Value = Vec<PermissionState>> {
    let entry = (any::<u16>(), any::<bool>(), any::<bool>(), any::<bool>());
    prop::collection::vec(entry, 1..4).prop_map(|entries| {
        entries
            .into_iter()
            .map(|(domid, read, write, stale)| permission(domid, Access { read, write }, stale))
            .collect()
    })
}

fn nodes() -> impl Strategy<Value = Vec<NodeState>> {
    let one = || (prop::collection::vec(any::<u8>(), 0..20), permissions());
    let all = prop::collection::vec(one(), PATHS.len() + 3);
    all.prop_map(|all| {
        let paths = ["/"]
            .into_iter()
            .chain(PATHS)
            .chain(["@introduceDomain", "@releaseDomain"]);
        let nodes = paths.zip(all).map(|(path, (value, permissions))| NodeState {
            path: path.to_string(),
            value: if path.starts_with('@') { Vec::new() } else { value },
            permissions,
        });
        nodes.collect()
    })
}

fn watches() -> impl Strategy<Value = Vec<WatchState>> {
    let path = prop::sample::select(vec!["/", "/a/b", "device", "device/vif/0", "@releaseDomain"]);
    let one = (path, prop::collection::vec(1..=255u8, 0..9), prop::option::of(0..40u32));
    prop::collection::vec(one, 0..5).prop_map(|all| {
        let mut watches: Vec<WatchState> = Vec::new();
        for (path, token, depth) in all {
            if !watches.iter().any(|watch| watch.path == path && watch.token == token) {
                watches.push(WatchState {
                    path: path.to_string(),
                    token,
                    depth,
                });
            }
        }
        watches
    })
}

fn quotas() -> impl Strategy<Value = Vec<(Quota, u32)>> {
    let one = (prop::sample::select(Quota::ALL.to_vec()), any::<u32>());
    prop::collection::vec(one, 0..4).prop_map(|all| {
        let all: std::collections::BTreeMap<_, _> = all.into_iter().collect();
        all.into_iter().collect()
    })
}

fn output() -> impl Strategy<Value = (usize, Vec<u8>)> {
    let rest = prop::collection::vec(any::<u8>(), 0..30);
    let messages = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..3);
    (rest, messages).prop_map(|(rest, messages)| {
        let mut output = rest.clone();
        for message in messages {
            output.extend(xen::store::wire::message(
                xen::store::Operation::WatchEvent,
                0,
                0,
                &[&message],
            ));
        }
        (rest.len(), output)
    })
}

fn connection() -> impl Strategy<Value = ConnectionState> {
    let transactions = prop::collection::btree_set(1..=u32::MAX, 0..3);
    let input = prop::collection::vec(any::<u8>(), 0..40);
    (any::<bool>(), input, output(), watches(), transactions).prop_map(
        |(ignored, input, (partial_output, output), watches, transactions)| ConnectionState {
            id: ConnectionId::from_number(1),
            peer: Peer::Socket,
            ignored,
            input,
            output,
            partial_output,
            watches,
            transactions: transactions.into_iter().collect(),
        },
    )
}

type DomainParts = (
    bool,
    u32,
    Option<u16>,
    Option<String>,
    Vec<(Quota, u32)>,
    Option<(u64, u32)>,
);

fn domain() -> impl Strategy<Value = DomainParts> {
    (
        any::<bool>(),
        any::<u32>(),
        prop::option::of(0..0x7ff0u16),
        prop::option::of("[a-z][a-z0-9-]{0,12}"),
        quotas(),
        prop::option::of(any::<(u64, u32)>()),
    )
}

prop_compose! {
    fn states()(
        nodes in nodes(),
        domains in prop::collection::btree_map(0..0x7ff0u16, domain(), 0..5),
        connections in prop::collection::btree_map(1..=u32::MAX, connection(), 8),
        limits in quotas(),
        generation in any::<u64>(),
    ) -> State {
        let mut quotas = Limits::default();
        for (quota, value) in limits {
            quotas.set(quota, value);
        }
        let mut rings = domains.iter().filter_map(|(&domid, domain)| {
            domain.5.map(|(ring, port)| Peer::Domain { domid: DomId(domid), ring, port })
        });
        let connections = connections.into_iter().map(|(id, connection)| ConnectionState {
            id: ConnectionId::from_number(id),
            peer: rings.next().unwrap_or(Peer::Socket),
            ..connection
        }).collect();
        let domains = domains.iter().map(|(&domid, (shutdown, features, target, name, quotas, ring))| DomainState {
            domid: DomId(domid),
            introduced: ring.is_some(),
            shutdown: *shutdown,
            features: *features,
            target: target.map(DomId),
            name: name.clone(),
            quotas: quotas.clone(),
        }).collect();
        State { nodes, domains, connections, quotas, generation }
    }
}

proptest! {
    #[test]
    fn states_come_back(state in states()) {
        let bytes = write(&state, &Handover::default()).unwrap();
        let stream = read(&bytes).unwrap();
        prop_assert_eq!(&stream.state, &state);
    }

    #[test]
    fn arbitrary_records_do_no_harm(
        records in prop::collection::vec((0..12u32, prop::collection::vec(any::<u8>(), 0..80)), 0..6),
    ) {
        let mut bytes = OF_C[..record::HEADER_BYTES].to_vec();
        for (kind, body) in records {
            bytes.extend(kind.to_le_bytes());
            bytes.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
            bytes.extend(&body);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
        let _ = read(&bytes);
    }
}

fn sample() -> State {
    read(OF_C).unwrap().state
}

#[test]
fn descriptors_and_ports_are_handed_over() {
    let handover = Handover {
        process: Some((3, -1)),
        connections: vec![(ConnectionId::from_number(2), 9), (ConnectionId::from_number(3), 40)],
        ..Handover::default()
    };
    let mut state = sample();
    state.connections[3].peer = Peer::Socket;
    let stream = read(&write(&state, &handover).unwrap()).unwrap();
    let told = |id| stream.handover.of(ConnectionId::from_number(id));
    assert_eq!(stream.handover.process, handover.process);
    // A ring's port that nobody named is the domain's; a socket has none.
    assert_eq!(
        [told(1), told(2), told(3), told(4)],
        [Some(16), Some(9), Some(40), None]
    );
}

#[test]
fn a_stream_cut_anywhere_is_refused() {
    for stream in [OF_C.to_vec(), write(&sample(), &Handover::default()).unwrap()] {
        for length in 0..stream.len() {
            let error = read(&stream[..length]).unwrap_err();
            assert!(
                matches!(error.problem, Problem::StreamEnds { .. }),
                "cut at {length}: {error}"
            );
        }
    }
}

#[test]
fn any_byte_may_be_wrong() {
    for stream in [OF_C.to_vec(), write(&sample(), &Handover::default()).unwrap()] {
        let mut stream = stream;
        for at in 0..stream.len() {
            for mask in [1, 0x80, 0xff] {
                stream[at] ^= mask;
                if let Ok(read_once) = read(&stream) {
                    let written = write(&read_once.state, &read_once.handover).unwrap();
                    assert_eq!(read(&written).unwrap().state, read_once.state, "byte {at} is wrong");
                }
                stream[at] ^= mask;
            }
        }
    }
}

#[test]
fn version_1_is_written_without_what_it_does_not_have() {
    let mut state = sample();
    state.connections[2].watches[0].depth = Some(1);
    state.domains[1].features = 7;
    let handover = Handover {
        version: 1,
        ..Handover::default()
    };
    let stream = read(&write(&state, &handover).unwrap()).unwrap();
    assert_eq!(stream.handover.version, 1);
    assert_eq!(stream.state, sample());
}
