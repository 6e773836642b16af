//! What a journal frame holds: changes, and what is on its way to and from clients.

mod read;
mod write;

use crate::Change;
use crate::state::ConnectionId;

pub(super) use read::next;
pub(super) use write::Items;

/// An item of a journal frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::recovery) enum Item<'a> {
    /// A durable change.
    Change(Change<'a>),
    /// A request was executed, and this is its reply: a whole message.
    Reply {
        connection: ConnectionId,
        /// Where the request ends.
        end: u64,
        message: &'a [u8],
    },
    /// A part of a request was taken out of the ring, before the whole was there.
    Input {
        connection: ConnectionId,
        /// Where the part ends.
        end: u64,
        bytes: &'a [u8],
    },
    /// A message that is longer than the ring goes into it, a part at a time.
    Large {
        connection: ConnectionId,
        /// Where it begins among the replies.
        begin: u64,
        /// Where the request ends that it answers; none for an event.
        end: Option<u64>,
        message: &'a [u8],
    },
}

/// Kinds of items, by their first byte.
mod kind {
    macro_rules! kinds {
        ($($name:ident = $number:literal;)*) => {
            $(pub(super) const $name: u8 = $number;)*
        };
    }

    kinds! {
    WRITE = 1;
    REMOVE = 2;
    PERMISSIONS = 3;
    CONNECT = 4;
    DISCONNECT = 5;
    RESET = 6;
    IGNORE = 7;
    WATCH = 8;
    UNWATCH = 9;
    KNOWN = 10;
    INTRODUCE = 11;
    RELEASE = 12;
    SHUTDOWN = 13;
    TARGET = 14;
    TRANSACTION_OPEN = 15;
    TRANSACTION_CLOSED = 16;
    ASSIGN = 17;
    QUOTA = 18;
    FEATURES = 19;
    REPLY = 32;
    INPUT = 33;
    LARGE = 34;
    }
}

/// Number of no domain, where a quota is the default of all.
const NO_DOMAIN: u16 = u16::MAX;
/// Depth of a watch that has none.
const NO_DEPTH: u32 = u32::MAX;
/// Flag of an entry of a node's permissions.
const STALE: u8 = 1;

/// Says which connection a change is about, where it is about one.
pub(in crate::recovery) fn connection_of(change: &Change<'_>) -> Option<ConnectionId> {
    match *change {
        Change::Connect { connection, .. }
        | Change::Disconnect { connection }
        | Change::Reset { connection }
        | Change::Ignore { connection }
        | Change::Watch { connection, .. }
        | Change::Unwatch { connection, .. }
        | Change::TransactionOpen { connection, .. }
        | Change::TransactionClosed { connection, .. } => Some(connection),
        _ => None,
    }
}
