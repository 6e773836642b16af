//! The bodies of the document's records, field by field.

use alloc::vec::Vec;

use xen::DomId;
use xen::store::wire::{Access, Permission};

use super::error::{Problem, TooLarge, excerpt};
use super::fields::{Fields, Output};
use super::record::{Connection, ConnectionPeer, Node, NodePermission, Quota, Record, Watch};

/// No domain (`DOMID_INVALID`).
pub(crate) const DOMID_INVALID: u16 = 0x7ff4;
/// Depth of a watch that has none, in WATCH_DATA_EXTENDED.
const UNLIMITED_DEPTH: u16 = 0xffff;
/// `fields` of CONNECTION_DATA: `unique-id` is there.
const FIELD_UNIQUE_ID: u16 = 1;
/// `flags` of a permission: it is of a domain that is gone.
const FLAG_STALE: u8 = 1;

pub(super) fn decode_connection<'a>(fields: &mut Fields<'a>) -> Result<Connection<'a>, Problem> {
    let id = fields.u32("conn-id")?;
    if id == 0 {
        return Err(Problem::Number {
            field: "conn-id",
            found: 0,
            expected: "a number that is not 0",
        });
    }
    let kind = fields.u16("conn-type")?;
    let optional = fields.u16("fields")?;
    if optional & !FIELD_UNIQUE_ID != 0 {
        return Err(Problem::Number {
            field: "fields",
            found: optional.into(),
            expected: "0 or 1",
        });
    }
    let peer = match kind {
        0 => ConnectionPeer::Ring {
            domid: DomId(fields.u16("domid")?),
            target: match fields.u16("tdomid")? {
                DOMID_INVALID => None,
                number => Some(DomId(number)),
            },
            port: fields.u32("evtchn")?,
        },
        1 => {
            let descriptor = fields.i32("socket-fd")?;
            fields.u32("pad")?;
            ConnectionPeer::Socket { descriptor }
        }
        _ => {
            return Err(Problem::Number {
                field: "conn-type",
                found: kind.into(),
                expected: "0 (shared ring) or 1 (socket)",
            });
        }
    };
    let input = fields.u16("in-data-len")?;
    let partial = fields.u16("out-resp-len")?;
    let output = fields.u32("out-data-len")?;
    if u32::from(partial) > output {
        return Err(Problem::Number {
            field: "out-resp-len",
            found: partial.into(),
            expected: "at most out-data-len",
        });
    }
    let input = fields.bytes("in-data", input.into())?;
    let output = fields.bytes("out-data", output as usize)?;
    let unique = if optional & FIELD_UNIQUE_ID == 0 {
        None
    } else {
        fields.align()?;
        Some(fields.u64("unique-id")?)
    };
    Ok(Connection {
        id,
        peer,
        input,
        partial,
        output,
        unique,
    })
}

pub(super) fn encode_connection(connection: &Connection<'_>, output: &mut Output<'_>) -> Result<(), TooLarge> {
    output.u32(connection.id);
    let optional = if connection.unique.is_some() {
        FIELD_UNIQUE_ID
    } else {
        0
    };
    match connection.peer {
        ConnectionPeer::Ring { domid, target, port } => {
            output.u16(0);
            output.u16(optional);
            output.u16(domid.0);
            output.u16(target.map_or(DOMID_INVALID, |target| target.0));
            output.u32(port);
        }
        ConnectionPeer::Socket { descriptor } => {
            output.u16(1);
            output.u16(optional);
            output.u32(descriptor.cast_unsigned());
            output.u32(0);
        }
    }
    output.length("in-data", connection.input.len())?;
    output.u16(connection.partial);
    output.u32(u32::try_from(connection.output.len()).map_err(|_| TooLarge {
        what: "out-data",
        size: connection.output.len(),
        most: u32::MAX as usize,
    })?);
    output.bytes(connection.input);
    output.bytes(connection.output);
    if let Some(unique) = connection.unique {
        output.align();
        output.u64(unique);
    }
    Ok(())
}

/// A text of `length` bytes with the NUL at its end.
pub(super) fn text<'a>(fields: &mut Fields<'a>, field: &'static str, length: u16) -> Result<&'a [u8], Problem> {
    let bytes = fields.bytes(field, length.into())?;
    match bytes.split_last() {
        Some((0, text)) if !text.contains(&0) => Ok(text),
        _ => Err(Problem::Text {
            field,
            found: excerpt(bytes),
            expected: "one NUL, at the end",
        }),
    }
}

pub(super) fn decode_watch<'a>(fields: &mut Fields<'a>, extended: bool) -> Result<Watch<'a>, Problem> {
    let connection = fields.u32("conn-id")?;
    let path = fields.u16("wpath-len")?;
    let token = fields.u16("token-len")?;
    let depth = if extended {
        let depth = fields.u16("depth")?;
        fields.u16("pad")?;
        Some(depth).filter(|&depth| depth != UNLIMITED_DEPTH)
    } else {
        None
    };
    Ok(Watch {
        connection,
        path: text(fields, "wpath", path)?,
        token: text(fields, "token", token)?,
        depth,
    })
}

pub(super) fn encode_watch(watch: &Watch<'_>, output: &mut Output<'_>) -> Result<u32, TooLarge> {
    output.u32(watch.connection);
    output.length("wpath", watch.path.len() + 1)?;
    output.length("token", watch.token.len() + 1)?;
    let kind = match watch.depth {
        None => 3,
        Some(depth) => {
            output.u16(depth);
            output.u16(0);
            8
        }
    };
    output.text(watch.path);
    output.text(watch.token);
    Ok(kind)
}

pub(super) fn decode_node<'a>(fields: &mut Fields<'a>) -> Result<Node<'a>, Problem> {
    let connection = fields.u32("conn-id")?;
    let transaction = fields.u32("tx-id")?;
    let path = fields.u16("path-len")?;
    let value = fields.u16("value-len")?;
    let access = fields.u16("access")?;
    let count = fields.u16("perm-count")?;
    let permissions = (0..count)
        .map(|_| decode_permission(fields))
        .collect::<Result<_, Problem>>()?;
    let pending = (connection != 0).then_some((connection, transaction));
    Ok(Node {
        pending,
        access: if pending.is_some() { access } else { 0 },
        path: text(fields, "path", path)?,
        value: fields.bytes("value", value.into())?,
        permissions,
    })
}

fn decode_permission(fields: &mut Fields<'_>) -> Result<NodePermission, Problem> {
    let letter = fields.u8("perm")?;
    let access = match letter {
        b'n' => Access::NONE,
        b'r' => Access::READ,
        b'w' => Access::WRITE,
        b'b' => Access::BOTH,
        _ => {
            return Err(Problem::Number {
                field: "perm",
                found: letter.into(),
                expected: "n, r, w or b",
            });
        }
    };
    let flags = fields.u8("flags")?;
    if flags & !FLAG_STALE != 0 {
        return Err(Problem::Number {
            field: "flags",
            found: flags.into(),
            expected: "0 or 1",
        });
    }
    let domid = DomId(fields.u16("domid")?);
    Ok(NodePermission {
        permission: Permission::new(domid, access),
        stale: flags & FLAG_STALE != 0,
    })
}

pub(super) fn encode_node(node: &Node<'_>, output: &mut Output<'_>) -> Result<(), TooLarge> {
    let (connection, transaction) = node.pending.unwrap_or((0, 0));
    output.u32(connection);
    output.u32(transaction);
    output.length("path", node.path.len() + 1)?;
    output.length("value", node.value.len())?;
    output.u16(node.access);
    output.length("permissions", node.permissions.len())?;
    for entry in &node.permissions {
        output.u8(match (entry.permission.access.read, entry.permission.access.write) {
            (false, false) => b'n',
            (true, false) => b'r',
            (false, true) => b'w',
            (true, true) => b'b',
        });
        output.u8(if entry.stale { FLAG_STALE } else { 0 });
        output.u16(entry.permission.domid.0);
    }
    output.text(node.path);
    output.bytes(node.value);
    Ok(())
}

pub(super) fn decode_global_quotas<'a>(fields: &mut Fields<'a>) -> Result<Record<'a>, Problem> {
    let of_domains = fields.u16("n-dom-quota")?;
    let of_all = fields.u16("n-glob-quota")?;
    let mut domain = decode_quotas(fields, usize::from(of_domains) + usize::from(of_all))?;
    let global = domain.split_off(usize::from(of_domains).min(domain.len()));
    Ok(Record::GlobalQuotas { domain, global })
}

pub(super) fn decode_domain<'a>(fields: &mut Fields<'a>, version: u32) -> Result<Record<'a>, Problem> {
    let domid = DomId(fields.u16("domain-id")?);
    let count = fields.u16("n-quota")?;
    let features = fields.u32("features")?;
    Ok(Record::Domain {
        domid,
        features: if version >= 2 { features } else { 0 },
        quotas: decode_quotas(fields, count.into())?,
    })
}

pub(super) fn decode_quotas<'a>(fields: &mut Fields<'a>, count: usize) -> Result<Vec<Quota<'a>>, Problem> {
    let values: Vec<u32> = (0..count)
        .map(|_| fields.u32("quota-val"))
        .collect::<Result<_, Problem>>()?;
    values
        .into_iter()
        .map(|value| Ok((fields.until_nul("quota-names")?, value)))
        .collect()
}

pub(super) fn encode_quotas(lists: &[&[Quota<'_>]], output: &mut Output<'_>) {
    for (_, value) in lists.iter().copied().flatten() {
        output.u32(*value);
    }
    for (name, _) in lists.iter().copied().flatten() {
        output.text(name);
    }
}
