//! Records that this store adds, for what the document's cannot say.
//!
//! Their types lie in the range that the document reserves for later. C xenstored (4.17 and later) logs that it does not know
//! such a record and goes on, so that it reads our streams.

use alloc::vec::Vec;

use xen::DomId;

use super::body::{DOMID_INVALID, decode_quotas, encode_quotas, text};
use super::error::{Problem, TooLarge};
use super::fields::{Fields, Output};
use super::record::Quota;

/// Type of [`Extra::Store`].
const STORE: u32 = 0x8047_5800;
/// Type of [`Extra::Domain`].
const DOMAIN: u32 = 0x8047_5801;
/// Type of [`Extra::Connection`].
const CONNECTION: u32 = 0x8047_5802;

/// `flags` of [`Extra::Domain`]: it was seen dead.
const FLAG_SHUTDOWN: u16 = 1;
/// `flags` of [`Extra::Connection`]: it is ignored.
const FLAG_IGNORED: u32 = 1;

/// A record that the document does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extra<'a> {
    /// Of the whole store. Body: `generation` (8 bytes).
    Store {
        /// Of the last change.
        generation: u64,
    },
    /// Of a domain. Body: `domid`, `flags` (0x0001: seen dead), `name-len` (with the NUL; 0 for none), `n-quota`, `tdomid`, padding
    /// (2 bytes each), `features` (4 bytes), `quota-val`s (4 bytes each), `quota-names`, `name`.
    Domain(ExtraDomain<'a>),
    /// Of a connection that came before. Body: `conn-id`, `flags` (0x00000001: ignored), `evtchn`, padding (4 bytes each), `ring` (8
    /// bytes).
    Connection {
        /// `conn-id`.
        connection: u32,
        /// It is not served any more.
        ignored: bool,
        /// The domain's port, as INTRODUCE told it; CONNECTION_DATA has the port of the server's end.
        port: u32,
        /// The frame of the ring, as INTRODUCE told it.
        ring: u64,
    },
}

/// What [`Extra::Domain`] says. Of an introduced domain, DOMAIN_DATA and CONNECTION_DATA say target, features and quotas; C
/// xenstored does not allow them for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraDomain<'a> {
    /// Which domain.
    pub domid: DomId,
    /// It was seen dead.
    pub shutdown: bool,
    /// The manifest's name of it, without the NUL.
    pub name: Option<&'a [u8]>,
    /// Whom it acts for.
    pub target: Option<DomId>,
    /// Features that its ring is to offer.
    pub features: u32,
    /// Its quotas.
    pub quotas: Vec<Quota<'a>>,
}

impl<'a> Extra<'a> {
    /// Reads the body of a record of a type that the document does not have; none where we do not have it either.
    pub(super) fn decode(kind: u32, fields: &mut Fields<'a>) -> Result<Option<Self>, Problem> {
        let unknown_flags = |found: u32| Problem::Number {
            field: "flags",
            found: found.into(),
            expected: "0 or 1",
        };
        Ok(Some(match kind {
            STORE => Self::Store {
                generation: fields.u64("generation")?,
            },
            CONNECTION => {
                let connection = fields.u32("conn-id")?;
                let flags = fields.u32("flags")?;
                if flags & !FLAG_IGNORED != 0 {
                    return Err(unknown_flags(flags));
                }
                let port = fields.u32("evtchn")?;
                fields.u32("pad")?;
                Self::Connection {
                    connection,
                    ignored: flags & FLAG_IGNORED != 0,
                    port,
                    ring: fields.u64("ring")?,
                }
            }
            DOMAIN => {
                let number = DomId(fields.u16("domid")?);
                let flags = fields.u16("flags")?;
                if flags & !FLAG_SHUTDOWN != 0 {
                    return Err(unknown_flags(flags.into()));
                }
                let name = fields.u16("name-len")?;
                let quotas = fields.u16("n-quota")?;
                let target = match fields.u16("tdomid")? {
                    DOMID_INVALID => None,
                    target => Some(DomId(target)),
                };
                fields.u16("pad")?;
                let features = fields.u32("features")?;
                let quotas = decode_quotas(fields, quotas.into())?;
                let name = match name {
                    0 => None,
                    length => Some(text(fields, "name", length)?),
                };
                Self::Domain(ExtraDomain {
                    domid: number,
                    shutdown: flags & FLAG_SHUTDOWN != 0,
                    name,
                    target,
                    features,
                    quotas,
                })
            }
            _ => return Ok(None),
        }))
    }

    /// Writes the body; the record's type.
    pub(super) fn encode(&self, output: &mut Output<'_>) -> Result<u32, TooLarge> {
        match self {
            Self::Store { generation } => {
                output.u64(*generation);
                Ok(STORE)
            }
            Self::Connection {
                connection,
                ignored,
                port,
                ring,
            } => {
                output.u32(*connection);
                output.u32(if *ignored { FLAG_IGNORED } else { 0 });
                output.u32(*port);
                output.u32(0);
                output.u64(*ring);
                Ok(CONNECTION)
            }
            Self::Domain(domain) => {
                output.u16(domain.domid.0);
                output.u16(if domain.shutdown { FLAG_SHUTDOWN } else { 0 });
                output.length("name", domain.name.map_or(0, |name| name.len() + 1))?;
                output.length("n-quota", domain.quotas.len())?;
                output.u16(domain.target.map_or(DOMID_INVALID, |target| target.0));
                output.u16(0);
                output.u32(domain.features);
                encode_quotas(&[&domain.quotas], output);
                if let Some(name) = domain.name {
                    output.text(name);
                }
                Ok(DOMAIN)
            }
        }
    }
}
