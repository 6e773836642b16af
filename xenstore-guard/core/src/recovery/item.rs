//! What a journal frame holds: changes, and what is on its way to and from clients.

use alloc::vec::Vec;

use xen::DomId;
use xen::store::wire::{Access, Permission};

use crate::Change;
use crate::quota::Quota;
use crate::state::{ConnectionId, Peer, PermissionState};
use crate::stream::{Fields, Problem, excerpt};

/// An item of a journal frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item<'a> {
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

/// Writes items behind what is in a frame.
#[derive(Debug)]
pub(super) struct Items<'a>(pub(super) &'a mut Vec<u8>);

macro_rules! kinds {
    ($($name:ident = $number:literal;)*) => {
        $(const $name: u8 = $number;)*
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

/// Number of no domain, where a quota is the default of all.
const NO_DOMAIN: u16 = u16::MAX;
/// Depth of a watch that has none.
const NO_DEPTH: u32 = u32::MAX;
/// Flag of an entry of a node's permissions.
const STALE: u8 = 1;

impl Items<'_> {
    fn u8(&mut self, number: u8) -> &mut Self {
        self.0.push(number);
        self
    }

    fn u16(&mut self, number: u16) -> &mut Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    fn u32(&mut self, number: u32) -> &mut Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    fn u64(&mut self, number: u64) -> &mut Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    /// A length in two bytes, and the bytes. All that is written is shorter than that: paths, values and messages by the protocol,
    /// names by the manifest.
    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.u16(length);
        self.0.extend_from_slice(bytes.get(..length.into()).unwrap_or(bytes));
        self
    }

    fn permissions(&mut self, list: &[PermissionState]) -> &mut Self {
        let count = u16::try_from(list.len()).unwrap_or(u16::MAX);
        self.u16(count);
        for entry in list.iter().take(count.into()) {
            self.u8(u8::try_from(entry.permission.access.letter()).unwrap_or(b'n'));
            self.u8(if entry.stale { STALE } else { 0 });
            self.u16(entry.permission.domid.0);
        }
        self
    }

    fn of(&mut self, kind: u8, connection: ConnectionId) -> &mut Self {
        self.u8(kind).u32(connection.number())
    }

    /// A change; nothing for the brackets of a transaction, since a frame holds together anyway.
    pub(super) fn change(&mut self, change: &Change<'_>) {
        match *change {
            Change::Begin | Change::End => self,
            Change::Write {
                path,
                value,
                permissions,
            } => self
                .u8(WRITE)
                .bytes(path.as_bytes())
                .bytes(value)
                .permissions(permissions),
            Change::Remove { path } => self.u8(REMOVE).bytes(path.as_bytes()),
            Change::Permissions { path, permissions } => {
                self.u8(PERMISSIONS).bytes(path.as_bytes()).permissions(permissions)
            }
            Change::Connect { connection, peer } => {
                self.of(CONNECT, connection);
                match peer {
                    Peer::Socket => self.u8(0),
                    Peer::Domain { domid, ring, port } => self.u8(1).u16(domid.0).u64(ring).u32(port),
                }
            }
            Change::Disconnect { connection } => self.of(DISCONNECT, connection),
            Change::Reset { connection } => self.of(RESET, connection),
            Change::Ignore { connection } => self.of(IGNORE, connection),
            Change::Watch {
                connection,
                path,
                token,
                depth,
            } => self
                .of(WATCH, connection)
                .bytes(path.as_bytes())
                .bytes(token)
                .u32(depth.unwrap_or(NO_DEPTH)),
            Change::Unwatch {
                connection,
                path,
                token,
            } => self.of(UNWATCH, connection).bytes(path.as_bytes()).bytes(token),
            Change::Known { domid } => self.u8(KNOWN).u16(domid.0),
            Change::Introduce { domid, ring, port } => self.u8(INTRODUCE).u16(domid.0).u64(ring).u32(port),
            Change::Release { domid } => self.u8(RELEASE).u16(domid.0),
            Change::Shutdown { domid, shutdown } => self.u8(SHUTDOWN).u16(domid.0).u8(shutdown.into()),
            Change::Target { domid, target } => self.u8(TARGET).u16(domid.0).u16(target.0),
            Change::TransactionOpen { connection, id } => self.of(TRANSACTION_OPEN, connection).u32(id),
            Change::TransactionClosed { connection, id } => self.of(TRANSACTION_CLOSED, connection).u32(id),
            Change::Assign { domid, name } => self.u8(ASSIGN).u16(domid.0).bytes(name.as_bytes()),
            Change::Quota { domid, quota, value } => self
                .u8(QUOTA)
                .u16(domid.map_or(NO_DOMAIN, |domid| domid.0))
                .bytes(quota.name().as_bytes())
                .u32(value),
            Change::Features { domid, features } => self.u8(FEATURES).u16(domid.0).u32(features),
        };
    }

    pub(super) fn reply(&mut self, connection: ConnectionId, end: u64, message: &[u8]) {
        self.of(REPLY, connection).u64(end).bytes(message);
    }

    pub(super) fn input(&mut self, connection: ConnectionId, end: u64, bytes: &[u8]) {
        self.of(INPUT, connection).u64(end).bytes(bytes);
    }

    pub(super) fn large(&mut self, connection: ConnectionId, begin: u64, end: Option<u64>, message: &[u8]) {
        self.of(LARGE, connection)
            .u64(begin)
            .u8(end.is_some().into())
            .u64(end.unwrap_or_default())
            .bytes(message);
    }
}

/// Reads the next item; none at the end. `list` is where permissions are put.
pub(super) fn next<'a, 'b: 'a>(
    fields: &mut Fields<'b>,
    list: &'a mut Vec<PermissionState>,
) -> Result<Option<Item<'a>>, Problem> {
    if fields.is_empty() {
        return Ok(None);
    }
    let change = match fields.u8("kind")? {
        WRITE => Change::Write {
            path: text(fields, "path")?,
            value: bytes(fields, "value")?,
            permissions: permissions(fields, list)?,
        },
        REMOVE => Change::Remove {
            path: text(fields, "path")?,
        },
        PERMISSIONS => Change::Permissions {
            path: text(fields, "path")?,
            permissions: permissions(fields, list)?,
        },
        CONNECT => Change::Connect {
            connection: connection(fields)?,
            peer: if flag(fields, "peer")? {
                Peer::Domain {
                    domid: domid(fields)?,
                    ring: fields.u64("ring")?,
                    port: fields.u32("port")?,
                }
            } else {
                Peer::Socket
            },
        },
        DISCONNECT => Change::Disconnect {
            connection: connection(fields)?,
        },
        RESET => Change::Reset {
            connection: connection(fields)?,
        },
        IGNORE => Change::Ignore {
            connection: connection(fields)?,
        },
        WATCH => Change::Watch {
            connection: connection(fields)?,
            path: text(fields, "path")?,
            token: bytes(fields, "token")?,
            depth: Some(fields.u32("depth")?).filter(|&depth| depth != NO_DEPTH),
        },
        UNWATCH => Change::Unwatch {
            connection: connection(fields)?,
            path: text(fields, "path")?,
            token: bytes(fields, "token")?,
        },
        KNOWN => Change::Known { domid: domid(fields)? },
        INTRODUCE => Change::Introduce {
            domid: domid(fields)?,
            ring: fields.u64("ring")?,
            port: fields.u32("port")?,
        },
        RELEASE => Change::Release { domid: domid(fields)? },
        SHUTDOWN => Change::Shutdown {
            domid: domid(fields)?,
            shutdown: flag(fields, "shutdown")?,
        },
        TARGET => Change::Target {
            domid: domid(fields)?,
            target: domid(fields)?,
        },
        TRANSACTION_OPEN => Change::TransactionOpen {
            connection: connection(fields)?,
            id: fields.u32("transaction")?,
        },
        TRANSACTION_CLOSED => Change::TransactionClosed {
            connection: connection(fields)?,
            id: fields.u32("transaction")?,
        },
        ASSIGN => Change::Assign {
            domid: domid(fields)?,
            name: text(fields, "name")?,
        },
        QUOTA => Change::Quota {
            domid: Some(domid(fields)?).filter(|domid| domid.0 != NO_DOMAIN),
            quota: quota(fields)?,
            value: fields.u32("value")?,
        },
        FEATURES => Change::Features {
            domid: domid(fields)?,
            features: fields.u32("features")?,
        },
        REPLY => {
            return Ok(Some(Item::Reply {
                connection: connection(fields)?,
                end: fields.u64("end")?,
                message: bytes(fields, "message")?,
            }));
        }
        INPUT => {
            return Ok(Some(Item::Input {
                connection: connection(fields)?,
                end: fields.u64("end")?,
                bytes: bytes(fields, "bytes")?,
            }));
        }
        LARGE => {
            let (connection, begin) = (connection(fields)?, fields.u64("begin")?);
            let reply = flag(fields, "reply")?;
            let end = fields.u64("end")?;
            return Ok(Some(Item::Large {
                connection,
                begin,
                end: reply.then_some(end),
                message: bytes(fields, "message")?,
            }));
        }
        kind => {
            return Err(Problem::Number {
                field: "kind",
                found: kind.into(),
                expected: "a kind of docs/store-formats.md",
            });
        }
    };
    Ok(Some(Item::Change(change)))
}

fn bytes<'a>(fields: &mut Fields<'a>, field: &'static str) -> Result<&'a [u8], Problem> {
    let length = fields.u16(field)?;
    fields.bytes(field, length.into())
}

fn text<'a>(fields: &mut Fields<'a>, field: &'static str) -> Result<&'a str, Problem> {
    let bytes = bytes(fields, field)?;
    core::str::from_utf8(bytes).map_err(|_| Problem::Text {
        field,
        found: excerpt(bytes),
        expected: "UTF-8",
    })
}

fn flag(fields: &mut Fields<'_>, field: &'static str) -> Result<bool, Problem> {
    match fields.u8(field)? {
        0 => Ok(false),
        1 => Ok(true),
        found => Err(Problem::Number {
            field,
            found: found.into(),
            expected: "0 or 1",
        }),
    }
}

fn connection(fields: &mut Fields<'_>) -> Result<ConnectionId, Problem> {
    match fields.u32("connection")? {
        0 => Err(Problem::Number {
            field: "connection",
            found: 0,
            expected: "a number that is not 0",
        }),
        number => Ok(ConnectionId::from_number(number)),
    }
}

fn domid(fields: &mut Fields<'_>) -> Result<DomId, Problem> {
    fields.u16("domid").map(DomId)
}

fn quota(fields: &mut Fields<'_>) -> Result<Quota, Problem> {
    let name = bytes(fields, "quota")?;
    Quota::from_name(name).ok_or_else(|| Problem::Text {
        field: "quota",
        found: excerpt(name),
        expected: "the name of a quota",
    })
}

fn permissions<'a>(
    fields: &mut Fields<'_>,
    list: &'a mut Vec<PermissionState>,
) -> Result<&'a [PermissionState], Problem> {
    let count = fields.u16("permissions")?;
    list.clear();
    for _ in 0..count {
        let letter = fields.u8("access")?;
        let access = match letter {
            b'n' => Access::NONE,
            b'r' => Access::READ,
            b'w' => Access::WRITE,
            b'b' => Access::BOTH,
            _ => {
                return Err(Problem::Number {
                    field: "access",
                    found: letter.into(),
                    expected: "n, r, w or b",
                });
            }
        };
        let stale = flag(fields, "stale")?;
        list.push(PermissionState {
            permission: Permission::new(domid(fields)?, access),
            stale,
        });
    }
    Ok(list)
}

/// Says which connection a change is about, where it is about one.
pub(super) fn connection_of(change: &Change<'_>) -> Option<ConnectionId> {
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
