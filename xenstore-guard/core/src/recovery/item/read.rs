//! Items as they are read. Nothing in them is believed.

use alloc::vec::Vec;

use xen::DomId;
use xen::store::wire::{Access, Permission};

use super::kind::*;
use super::{Item, NO_DEPTH, NO_DOMAIN};
use crate::Change;
use crate::quota::Quota;
use crate::state::{ConnectionId, Peer, PermissionState};
use crate::stream::{Fields, Problem, excerpt};

/// Reads the next item; none at the end. `list` is where permissions are put.
pub(in crate::recovery) fn next<'a, 'b: 'a>(
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
