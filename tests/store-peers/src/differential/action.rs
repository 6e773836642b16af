//! One step of one client.

use std::fmt;

use xen::store::Operation;

/// Clients of the socket.
pub const SOCKETS: usize = 2;
/// Domains, 1 and on.
pub const GUESTS: usize = 3;
/// All clients: first those of the socket, then the domains.
pub const CLIENTS: usize = SOCKETS + GUESTS;

/// What a client does.
#[derive(Clone, PartialEq, Eq)]
pub struct Action {
    /// Which client, below [`CLIENTS`].
    pub client: usize,
    /// In which of its transactions, where that is open; else in none.
    pub transaction: Option<usize>,
    /// What it asks for.
    pub request: Request,
}

/// What a client asks for.
#[derive(Clone, PartialEq, Eq)]
pub enum Request {
    /// A message as it is. Requests that change which transactions there are have cases of their own.
    Plain(Operation, Vec<u8>),
    /// A number that is no operation, or none of those above.
    Unknown(u32, Vec<u8>),
    /// TRANSACTION_START, to be known as this one.
    Begin(usize),
    /// TRANSACTION_END of this one; where the store says EAGAIN, all that was done in it is done again.
    End(usize, bool),
}

/// Bytes as a person reads them.
struct Shown<'a>(&'a [u8]);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() > 100 {
            write!(formatter, "{} bytes", self.0.len())
        } else {
            write!(formatter, "{}", self.0.escape_ascii())
        }
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.client {
            socket if socket < SOCKETS => write!(formatter, "socket {socket}")?,
            guest => write!(formatter, "domain {}", guest - SOCKETS + 1)?,
        }
        if let Some(transaction) = self.transaction {
            write!(formatter, ", transaction {transaction}")?;
        }
        write!(formatter, ": {:?}", self.request)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(operation, payload) => write!(formatter, "{} {:?}", operation.name(), Shown(payload)),
            Self::Unknown(number, payload) => write!(formatter, "operation {number} {:?}", Shown(payload)),
            Self::Begin(transaction) => write!(formatter, "TRANSACTION_START {transaction}"),
            Self::End(transaction, commit) => write!(formatter, "TRANSACTION_END {transaction} {commit}"),
        }
    }
}
