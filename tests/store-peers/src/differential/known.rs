//! The ways in which this project's store differs from the stock ones, each explained in docs/store-differences.md.

use std::collections::BTreeSet;

use xen::store::Operation;

use super::action::{Action, Request};
use super::player::Observation;
use crate::client::{Answer, Event};
use crate::store::StoreKind;

const BOTH: &[StoreKind] = &[StoreKind::C, StoreKind::OCaml];
const OCAML: &[StoreKind] = &[StoreKind::OCaml];

/// A way in which stores differ.
pub struct Known {
    /// Its name in docs/store-differences.md.
    pub name: &'static str,
    /// The stock stores that differ so.
    pub stores: &'static [StoreKind],
    /// Whether it explains what was seen: the step, this project's store, the stock one.
    pub explains: fn(&Action, &Observation, &Observation) -> bool,
}

/// All of them.
pub const KNOWN: &[Known] = &[
    Known {
        name: "order-of-children",
        stores: BOTH,
        explains: |action, ours, theirs| {
            is(action, Operation::Directory)
                && ours.events == theirs.events
                && sorted_names(&ours.answer) == sorted_names(&theirs.answer)
        },
    },
    Known {
        name: "error-of-malformed-requests",
        stores: BOTH,
        explains: |action, ours, theirs| is_malformed(action) && both_refuse(ours, theirs),
    },
    Known {
        name: "error-of-hidden-nodes",
        stores: OCAML,
        explains: |action, ours, theirs| {
            ours.events == theirs.events
                && ours.answer.is_refused("EACCES")
                && (theirs.answer.is_refused("ENOENT") || is(action, Operation::Rm) && theirs.answer.is_done())
        },
    },
    Known {
        name: "error-of-giving-nodes-away",
        stores: OCAML,
        explains: |action, ours, theirs| {
            is(action, Operation::SetPermissions)
                && both_refuse(ours, theirs)
                && ours.answer.is_refused("EPERM")
                && theirs.answer.is_refused("EACCES")
        },
    },
    Known {
        name: "mkdir-of-what-is-there",
        stores: OCAML,
        explains: |action, ours, theirs| {
            is(action, Operation::Mkdir)
                && ours.events == theirs.events
                && ours.answer.is_refused("EACCES")
                && theirs.answer.is_done()
        },
    },
    Known {
        name: "special-nodes-are-listed",
        stores: OCAML,
        explains: |action, ours, theirs| {
            let without_special = |answer: &Answer| -> Result<Vec<Vec<u8>>, String> {
                let names = sorted_names(answer)?.into_iter();
                Ok(names
                    .filter(|name| !name.starts_with(b"@"))
                    .map(<[u8]>::to_vec)
                    .collect())
            };
            is(action, Operation::Directory)
                && ours.events == theirs.events
                && without_special(&ours.answer) == without_special(&theirs.answer)
        },
    },
    Known {
        name: "value-of-tool-xenstored",
        stores: OCAML,
        explains: |action, ours, theirs| {
            let path = Request::Plain(Operation::Read, b"/tool/xenstored\0".to_vec());
            action.request == path && ours.answer.is_done() && theirs.answer.is_done() && ours.events == theirs.events
        },
    },
    Known {
        name: "events-below-removed-nodes",
        stores: OCAML,
        explains: |action, ours, theirs| {
            is(action, Operation::Rm)
                && ours.answer == theirs.answer
                && ours
                    .events
                    .iter()
                    .zip(&theirs.events)
                    .all(|(ours, theirs)| ours.iter().all(|event| theirs.contains(event)))
        },
    },
    Known {
        name: "nodes-made-and-removed-in-a-transaction",
        stores: &[StoreKind::C],
        explains: |action, ours, theirs| {
            matches!(action.request, Request::End(..))
                && ours.answer == theirs.answer
                && ours
                    .events
                    .iter()
                    .zip(&theirs.events)
                    .all(|(ours, theirs)| theirs.iter().all(|event| ours.contains(event)))
        },
    },
    Known {
        name: "events-of-a-commit",
        stores: OCAML,
        explains: |action, ours, theirs| matches!(action.request, Request::End(..)) && ours.answer == theirs.answer,
    },
    Known {
        name: "the-same-event-twice",
        stores: OCAML,
        explains: |_, ours, theirs| {
            let different = |events: &Vec<Event>| events.iter().cloned().collect::<BTreeSet<_>>();
            ours.answer == theirs.answer
                && ours
                    .events
                    .iter()
                    .map(different)
                    .eq(theirs.events.iter().map(different))
        },
    },
    Known {
        name: "events-of-the-root",
        stores: OCAML,
        explains: |_, ours, theirs| {
            ours.answer == theirs.answer
                && ours.events.iter().zip(&theirs.events).all(|(ours, theirs)| {
                    ours.iter()
                        .filter(|event| event.path != "/")
                        .eq(theirs.iter().filter(|event| event.path != "/"))
                })
        },
    },
];

fn both_refuse(ours: &Observation, theirs: &Observation) -> bool {
    !ours.answer.is_done() && !theirs.answer.is_done() && ours.events == theirs.events
}

/// Whether a request is not as docs/misc/xenstore.txt says: without the NUL that ends a path, or with a path that is none.
fn is_malformed(action: &Action) -> bool {
    let Request::Plain(_, payload) = &action.request else {
        return false;
    };
    match payload.iter().position(|&byte| byte == 0) {
        None => true,
        Some(end) => {
            let path = &payload[..end];
            let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-/_@".contains(byte);
            path.is_empty()
                || !path.iter().all(allowed)
                || (path.len() > 1 && path.ends_with(b"/"))
                || path.windows(2).any(|pair| pair == b"//")
        }
    }
}

fn is(action: &Action, operation: Operation) -> bool {
    matches!(action.request, Request::Plain(of, _) if of == operation)
}

fn sorted_names(answer: &Answer) -> Result<Vec<&[u8]>, String> {
    match answer {
        Answer::Done(bytes) => {
            let mut names: Vec<_> = bytes.split_inclusive(|&byte| byte == 0).collect();
            names.sort_unstable();
            Ok(names)
        }
        Answer::Refused(error) => Err(error.clone()),
    }
}
