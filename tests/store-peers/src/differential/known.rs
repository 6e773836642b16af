//! The ways in which this project's store differs from the stock ones, each explained in docs/store-differences.md.

use std::collections::BTreeSet;

use xen::store::Operation;

use super::action::{Action, Request};
use super::player::Observation;
use crate::client::{Answer, Event};
use crate::store::StoreKind;

const BOTH: &[StoreKind] = &[StoreKind::C, StoreKind::OCaml];
const C: &[StoreKind] = &[StoreKind::C];
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
        stores: C,
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
        name: "resume-of-what-is-not-resumed",
        stores: OCAML,
        explains: |action, ours, theirs| {
            is(action, Operation::Resume)
                && ours.events == theirs.events
                && !ours.answer.is_done()
                && !theirs.answer.is_refused("EACCES")
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
        stores: C,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Headings of the third level of a chapter of docs/store-differences.md.
    fn headings(chapter: &str) -> BTreeSet<String> {
        let page = std::fs::read_to_string(testbed::workspace().join("docs/store-differences.md")).unwrap();
        let (_, rest) = page.split_once(&format!("\n## {chapter}\n")).unwrap();
        let chapter = rest.split("\n## ").next().unwrap_or_default();
        chapter
            .lines()
            .filter_map(|line| line.strip_prefix("### ").map(str::to_owned))
            .collect()
    }

    #[test]
    fn every_known_difference_is_explained_and_nothing_else_is_said_to_be_known() {
        let known: BTreeSet<_> = KNOWN.iter().map(|known| known.name.to_owned()).collect();
        assert_eq!(known.len(), KNOWN.len(), "a name comes twice");
        assert_eq!(known, headings("Known to the tests"));
    }

    #[test]
    fn what_the_tests_keep_away_from_is_explained() {
        let explained = headings("Kept away from");
        let sources = [include_str!("strategy.rs"), include_str!("../../tests/differential.rs")];
        let named: BTreeSet<_> = sources
            .iter()
            .flat_map(|source| source.split("docs/store-differences.md, ").skip(1))
            .filter_map(|rest| rest.split([')', ':', '.']).next().map(str::to_owned))
            .collect();
        assert_eq!(named, explained);
    }
}
