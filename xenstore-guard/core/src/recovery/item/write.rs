//! Items as they are written.

use alloc::vec::Vec;

use super::kind::*;
use super::{NO_DEPTH, NO_DOMAIN, STALE};
use crate::Change;
use crate::state::{ConnectionId, Peer, PermissionState};

/// Writes items behind what is in a frame.
#[derive(Debug)]
pub(in crate::recovery) struct Items<'a>(pub(in crate::recovery) &'a mut Vec<u8>);

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
    pub(in crate::recovery) fn change(&mut self, change: &Change<'_>) {
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

    pub(in crate::recovery) fn reply(&mut self, connection: ConnectionId, end: u64, message: &[u8]) {
        self.of(REPLY, connection).u64(end).bytes(message);
    }

    pub(in crate::recovery) fn input(&mut self, connection: ConnectionId, end: u64, bytes: &[u8]) {
        self.of(INPUT, connection).u64(end).bytes(bytes);
    }

    pub(in crate::recovery) fn large(
        &mut self,
        connection: ConnectionId,
        begin: u64,
        end: Option<u64>,
        message: &[u8],
    ) {
        self.of(LARGE, connection)
            .u64(begin)
            .u8(end.is_some().into())
            .u64(end.unwrap_or_default())
            .bytes(message);
    }
}
