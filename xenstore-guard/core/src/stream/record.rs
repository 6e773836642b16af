//! The records of a stream, each by itself, and how they stand in bytes. What a record means beside the others is not
//! looked at here.
//!
//! Source: Xen's docs/designs/xenstore-migration.md, version 2.

use alloc::vec::Vec;

use xen::DomId;
use xen::store::wire::Permission;

use super::body;
use super::error::{Problem, TooLarge};
use super::extra::Extra;
use super::fields::{Fields, Output};

/// What a stream begins with.
pub const IDENT: [u8; 8] = *b"xenstore";
/// Bytes of the stream's header.
pub const HEADER_BYTES: usize = 16;
/// Bytes of a record's header.
pub const RECORD_HEADER_BYTES: usize = 8;
/// The version that is written; 1 is read too.
pub const VERSION: u32 = 2;

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record<'a> {
    /// END.
    End,
    /// GLOBAL_DATA: file descriptors of the process that wrote the stream, -1 for none.
    Global {
        /// `rw-socket-fd`.
        socket: i32,
        /// `evtchn-fd`.
        event_channel: i32,
    },
    /// CONNECTION_DATA.
    Connection(Connection<'a>),
    /// WATCH_DATA, or WATCH_DATA_EXTENDED where the watch has a depth.
    Watch(Watch<'a>),
    /// TRANSACTION_DATA.
    Transaction {
        /// `conn-id`.
        connection: u32,
        /// `tx-id`.
        transaction: u32,
    },
    /// NODE_DATA.
    Node(Node<'a>),
    /// GLOBAL_QUOTA_DATA.
    GlobalQuotas {
        /// Those of each domain for which no other is set.
        domain: Vec<Quota<'a>>,
        /// Those of the whole store.
        global: Vec<Quota<'a>>,
    },
    /// DOMAIN_DATA.
    Domain {
        /// `domain-id`.
        domid: DomId,
        /// `features`; 0 in version 1.
        features: u32,
        /// Its quotas.
        quotas: Vec<Quota<'a>>,
    },
    /// One that the document does not have.
    Extra(Extra<'a>),
}

/// CONNECTION_DATA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection<'a> {
    /// `conn-id`, not 0.
    pub id: u32,
    /// `conn-spec`.
    pub peer: ConnectionPeer,
    /// Bytes that came and were not processed.
    pub input: &'a [u8],
    /// Bytes at the beginning of `output` that are the rest of a message.
    pub partial: u16,
    /// Bytes that wait to be sent.
    pub output: &'a [u8],
    /// `unique-id`.
    pub unique: Option<u64>,
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionPeer {
    /// A domain, by its ring.
    Ring {
        /// `domid`.
        domid: DomId,
        /// `tdomid`: whom it acts for.
        target: Option<DomId>,
        /// `evtchn`.
        port: u32,
    },
    /// A process, by a socket.
    Socket {
        /// `socket-fd`.
        descriptor: i32,
    },
}

/// WATCH_DATA and WATCH_DATA_EXTENDED.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch<'a> {
    /// `conn-id`.
    pub connection: u32,
    /// `wpath`: as the client named it, so that it may be relative. Without the NUL.
    pub path: &'a [u8],
    /// `token`, without the NUL.
    pub token: &'a [u8],
    /// `depth`.
    pub depth: Option<u16>,
}

/// NODE_DATA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node<'a> {
    /// Connection and transaction, where the node is a pending one.
    pub pending: Option<(u32, u32)>,
    /// `access`, where the node is a pending one.
    pub access: u16,
    /// `path`, without the NUL.
    pub path: &'a [u8],
    /// `value`.
    pub value: &'a [u8],
    /// `perm1` to `permN`.
    pub permissions: Vec<NodePermission>,
}

/// A permission of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodePermission {
    /// As it travels in SET_PERMS.
    pub permission: Permission,
    /// It was of a domain that is gone: the number may be another's now.
    pub stale: bool,
}

/// A quota: its name and value. 0 is unlimited.
pub type Quota<'a> = (&'a [u8], u32);

impl<'a> Record<'a> {
    /// Reads the body of a record.
    ///
    /// # Errors
    /// [`Problem`].
    pub fn decode(kind: u32, version: u32, body: &'a [u8]) -> Result<Self, Problem> {
        let mut fields = Fields::new(body);
        let record = match kind {
            0 => Self::End,
            1 => Self::Global {
                socket: fields.i32("rw-socket-fd")?,
                event_channel: fields.i32("evtchn-fd")?,
            },
            2 => Self::Connection(body::decode_connection(&mut fields)?),
            3 => Self::Watch(body::decode_watch(&mut fields, false)?),
            8 if version >= 2 => Self::Watch(body::decode_watch(&mut fields, true)?),
            4 => Self::Transaction {
                connection: fields.u32("conn-id")?,
                transaction: fields.u32("tx-id")?,
            },
            5 => Self::Node(body::decode_node(&mut fields)?),
            6 => body::decode_global_quotas(&mut fields)?,
            7 => body::decode_domain(&mut fields, version)?,
            kind => match Extra::decode(kind, &mut fields)? {
                Some(extra) => Self::Extra(extra),
                None => return Err(Problem::UnknownRecord { kind, version }),
            },
        };
        fields.finish()?;
        Ok(record)
    }

    /// Writes the record with its header and padding behind what is in `bytes`. The length in the header includes the padding, as
    /// C xenstored needs it.
    ///
    /// # Errors
    /// [`TooLarge`]; `bytes` is then of no use.
    pub fn encode(&self, bytes: &mut Vec<u8>) -> Result<(), TooLarge> {
        let mut output = Output::record(bytes);
        let kind = match self {
            Self::End => 0,
            Self::Global { socket, event_channel } => {
                output.u32(socket.cast_unsigned());
                output.u32(event_channel.cast_unsigned());
                1
            }
            Self::Connection(connection) => {
                body::encode_connection(connection, &mut output)?;
                2
            }
            Self::Watch(watch) => body::encode_watch(watch, &mut output)?,
            Self::Transaction {
                connection,
                transaction,
            } => {
                output.u32(*connection);
                output.u32(*transaction);
                4
            }
            Self::Node(node) => {
                body::encode_node(node, &mut output)?;
                5
            }
            Self::GlobalQuotas { domain, global } => {
                output.length("n-dom-quota", domain.len())?;
                output.length("n-glob-quota", global.len())?;
                body::encode_quotas(&[domain, global], &mut output);
                6
            }
            Self::Domain {
                domid,
                features,
                quotas,
            } => {
                output.u16(domid.0);
                output.length("n-quota", quotas.len())?;
                output.u32(*features);
                body::encode_quotas(&[quotas], &mut output);
                7
            }
            Self::Extra(extra) => extra.encode(&mut output)?,
        };
        output.finish(kind)
    }
}
