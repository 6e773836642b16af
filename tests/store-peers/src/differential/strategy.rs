//! Steps at random, of a kind that meet: few names, few values.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use xen::store::Operation;

use super::action::{Action, CLIENTS, GUESTS, Request, SOCKETS};
use crate::store::StoreKind;

/// Names that paths are made of.
const NAMES: [&str; 5] = ["data", "a", "b", "device", "state"];
/// Paths that are wrong, each in its own way.
const WRONG_PATHS: [&str; 7] = ["", "a/", "//", "/a//b", "da ta", "a:b", "\u{e9}"];
/// Lists of permissions that are right for someone.
const PERMISSIONS: [&str; 9] = [
    "n0", "n1", "n2 r1", "b1 r2", "n3 w1 b2", "r0 n1", "n1 r0", "b2", "n2 b3 r1",
];
/// Lists that are wrong.
const WRONG_PERMISSIONS: [&str; 5] = ["", "x1", "n", "nx", "1"];

/// Transactions that a client has open at most.
const SLOTS: usize = 2;

fn path() -> BoxedStrategy<String> {
    let names = vec(select(&NAMES[..]), 1..4).prop_map(|names| names.join("/"));
    prop_oneof![
        6 => names.clone(),
        6 => (1..5u16, names.clone()).prop_map(|(domid, rest)| format!("/local/domain/{domid}/{rest}")),
        2 => (1..5u16).prop_map(|domid| format!("/local/domain/{domid}")),
        3 => names.prop_map(|rest| format!("/{rest}")),
        1 => select(&["/", "/local", "/local/domain", "/tool/xenstored"][..]).prop_map(str::to_owned),
    ]
    .boxed()
}

fn any_path() -> BoxedStrategy<String> {
    prop_oneof![
        20 => path(),
        1 => select(&WRONG_PATHS[..]).prop_map(str::to_owned),
    ]
    .boxed()
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => select(&["", "1", "2", "value", "6"][..]).prop_map(|text| text.as_bytes().to_vec()),
        1 => Just(b"with\0NUL".to_vec()),
        1 => Just(vec![0xff; 3]),
        1 => Just(vec![b'x'; 1500]),
    ]
}

fn texts(texts: &[&str]) -> Vec<u8> {
    texts
        .iter()
        .flat_map(|text| [text.as_bytes(), b"\0"].concat())
        .collect()
}

/// A request on a node.
fn on_node() -> BoxedStrategy<(Operation, Vec<u8>)> {
    let plain = |operation: Operation, path: BoxedStrategy<String>| {
        path.prop_map(move |path| (operation, texts(&[&path]))).boxed()
    };
    prop_oneof![
        5 => plain(Operation::Read, any_path()),
        3 => plain(Operation::Directory, any_path()),
        2 => plain(Operation::GetPermissions, any_path()),
        3 => plain(Operation::Mkdir, any_path()),
        2 => plain(Operation::Rm, any_path()),
        8 => (any_path(), value())
            .prop_map(|(path, value)| (Operation::Write, [texts(&[&path]), value].concat())),
        3 => (any_path(), select(&PERMISSIONS[..])).prop_map(|(path, list)| {
            let entries: Vec<&str> = list.split(' ').collect();
            (Operation::SetPermissions, texts(&[&[path.as_str()], entries.as_slice()].concat()))
        }),
    ]
    .boxed()
}

/// A request that is not on a node, or not a right one.
fn other() -> BoxedStrategy<Request> {
    let token = select(&["one", "two"][..]);
    let watch = prop_oneof![6 => path(), 1 => select(&["@introduceDomain", "@releaseDomain", "@other", "a/", ""][..])
        .prop_map(str::to_owned)];
    let plain = |operation: Operation, payload: Vec<u8>| Just(Request::Plain(operation, payload));
    prop_oneof![
        6 => (watch.clone(), token.clone())
            .prop_map(|(path, token)| Request::Plain(Operation::Watch, texts(&[&path, token]))),
        3 => (watch, token).prop_map(|(path, token)| Request::Plain(Operation::Unwatch, texts(&[&path, token]))),
        1 => plain(Operation::ResetWatches, b"\0".to_vec()),
        1 => (0..6u16).prop_map(|domid| Request::Plain(Operation::GetDomainPath, texts(&[&domid.to_string()]))),
        1 => (0..6u16).prop_map(|domid| Request::Plain(Operation::IsDomainIntroduced, texts(&[&domid.to_string()]))),
        1 => (0..6u16).prop_map(|domid| Request::Plain(Operation::Resume, texts(&[&domid.to_string()]))),
        1 => target(),
        1 => (path(), select(&WRONG_PERMISSIONS[..]))
            .prop_map(|(path, list)| Request::Plain(Operation::SetPermissions, texts(&[&path, list]))),
        1 => select(&[20u32, 27, 1000, u32::MAX][..]).prop_map(|number| Request::Unknown(number, b"x\0".to_vec())),
    ]
    .boxed()
}

/// A domain is given another as its target, always one that is released after it
/// (docs/store-differences.md, release-of-a-target).
fn target() -> impl Strategy<Value = Request> {
    (1..5u16, 1..4u16).prop_map(|(domid, more)| {
        let texts = texts(&[&domid.to_string(), &(domid + more).to_string()]);
        Request::Plain(Operation::SetTarget, texts)
    })
}

fn action() -> BoxedStrategy<Action> {
    let request = prop_oneof![
        12 => on_node().prop_map(|(operation, payload)| Request::Plain(operation, payload)),
        4 => other(),
        2 => (0..SLOTS).prop_map(Request::Begin),
        2 => (0..SLOTS, prop::bool::weighted(0.8)).prop_map(|(slot, commit)| Request::End(slot, commit)),
    ];
    (0..CLIENTS, prop::option::of(0..SLOTS), request)
        .prop_map(|(client, transaction, request)| {
            // Only requests on nodes are done in transactions.
            let transaction = transaction.filter(|_| in_transaction(&request));
            Action {
                client,
                transaction,
                request,
            }
        })
        .boxed()
}

fn in_transaction(request: &Request) -> bool {
    matches!(
        request,
        Request::Plain(
            Operation::Read
                | Operation::Directory
                | Operation::GetPermissions
                | Operation::Mkdir
                | Operation::Rm
                | Operation::Write
                | Operation::SetPermissions,
            _
        )
    )
}

/// Steps of all clients, their transactions among each other, of a kind that `stock` can be compared in.
pub fn actions(stock: StoreKind, count: usize) -> impl Strategy<Value = Vec<Action>> {
    vec(action(), 1..count).prop_map(move |actions| comparable(stock, actions))
}

/// Changes steps after which a stock store has another tree than the others.
fn comparable(stock: StoreKind, mut actions: Vec<Action>) -> Vec<Action> {
    match stock {
        StoreKind::OCaml => actions.iter_mut().for_each(|action| {
            let_nobody_else_write(action);
            leave_the_root(action);
            let_nobody_act_for_another(action);
        }),
        _ => actions.iter_mut().for_each(keep_the_root),
    }
    actions
}

/// C xenstored does not come through the death of the domain that owns the root (docs/store-differences.md, owner-of-the-root).
fn keep_the_root(action: &mut Action) {
    if let Request::Plain(Operation::SetPermissions, payload) = &mut action.request
        && payload.starts_with(b"/\0")
    {
        *payload = b"/\0r0\0".to_vec();
    }
}

/// oxenstored lets a privileged client remove everything (docs/store-differences.md, removal-of-the-root).
fn leave_the_root(action: &mut Action) {
    let remove = Request::Plain(Operation::Rm, b"/\0".to_vec());
    if action.request == remove {
        action.request = Request::Plain(Operation::Read, b"/\0".to_vec());
    }
}

/// Who acts for another makes nodes in its home (docs/store-differences.md, owner-of-new-nodes).
fn let_nobody_act_for_another(action: &mut Action) {
    if let Request::Plain(Operation::SetTarget, payload) = &mut action.request {
        *payload = texts(&["9", "1"]);
    }
}

/// In oxenstored a node belongs to whom its parent belongs to, in the others to the domain that made it: nobody is given leave
/// to write where nodes are another's (docs/store-differences.md, owner-of-new-nodes).
fn let_nobody_else_write(action: &mut Action) {
    let Request::Plain(Operation::SetPermissions, payload) = &mut action.request else {
        return;
    };
    let text = String::from_utf8_lossy(payload).into_owned();
    let Some((path, list)) = text.split_once('\0') else {
        return;
    };
    let home = if path.starts_with('/') {
        let rest = path.strip_prefix("/local/domain/").unwrap_or_default();
        rest.split('/')
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or(0)
    } else {
        (action.client + 1).saturating_sub(SOCKETS)
    };
    // Domain 4 does not exist.
    let owner = if home > GUESTS { 0 } else { home };
    let lists = [
        format!("n{owner}"),
        format!("r{owner}"),
        format!("n{owner}\0r1"),
        format!("n{owner}\0r2\0r3"),
    ];
    *payload = format!("{path}\0{}\0", lists[list.len() % lists.len()]).into_bytes();
}

/// The same, but nobody else does anything while a transaction is open: what it sees is the same in every store.
pub fn transactions_apart(stock: StoreKind, count: usize) -> impl Strategy<Value = Vec<Action>> {
    let alone = action().prop_map(|mut action| {
        action.transaction = None;
        if matches!(action.request, Request::Begin(_) | Request::End(..)) {
            action.request = Request::Plain(Operation::Read, b"data\0".to_vec());
        }
        vec![action]
    });
    let transaction =
        (0..CLIENTS, vec(on_node(), 1..8), prop::bool::weighted(0.8)).prop_map(|(client, requests, commit)| {
            let of = |transaction, request| Action {
                client,
                transaction,
                request,
            };
            let mut actions = vec![of(None, Request::Begin(0))];
            let requests = requests.into_iter();
            actions.extend(requests.map(|(operation, payload)| of(Some(0), Request::Plain(operation, payload))));
            actions.push(of(None, Request::End(0, commit)));
            actions
        });
    vec(prop_oneof![5 => alone, 1 => transaction], 1..count).prop_map(move |parts| comparable(stock, parts.concat()))
}
