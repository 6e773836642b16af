//! What domb asks of the store, over any client.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use xen::DomId;
use xen::store::client::Transaction;
use xen::store::{Client, ClientError, Operation, Permission, StoreError, Transport};

use super::tree::Node;

/// How often a transaction is tried that others' changes are in the way of. The store lets a privileged client pass
/// after a few.
pub const MOST_ATTEMPTS: u32 = 16;

/// Why something asked of the store was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It refused.
    #[error("{operation} {subject}: {error}")]
    Refused {
        /// The operation, by its name in docs/misc/xenstore.txt.
        operation: &'static str,
        /// Path or number that it was about.
        subject: String,
        /// The answer.
        error: StoreError,
    },
    /// The request does not fit into a message.
    #[error("{0}")]
    TooLong(String),
    /// Others' changes were in the way each time.
    #[error("transaction: another change came in between {MOST_ATTEMPTS} times in a row")]
    Conflicts,
    /// There is no connection, or it failed: what the store made of the request is not known.
    #[error("no connection: {0}")]
    Connection(String),
}

impl Error {
    /// Whether the connection is of no use any more.
    #[must_use]
    pub fn is_connection(&self) -> bool {
        matches!(self, Self::Connection(_))
    }
}

impl<E: fmt::Display> From<ClientError<E>> for Error {
    fn from(error: ClientError<E>) -> Self {
        match error {
            ClientError::Refused {
                operation,
                subject,
                error,
            } => Self::Refused {
                operation,
                subject,
                error,
            },
            ClientError::TooLong { .. } => Self::TooLong(error.to_string()),
            // After a wrong answer nobody knows where the next one begins.
            ClientError::Protocol { .. } | ClientError::Transport { .. } => Self::Connection(error.to_string()),
        }
    }
}

/// Result of a request.
pub type Result<T> = core::result::Result<T, Error>;

/// Writes nodes in one transaction, in the place of everything at and below the paths in `replaced`.
///
/// # Errors
/// [`Error`]; nothing is written then, unless the connection failed.
pub fn write_tree<T>(client: &mut Client<T>, replaced: &[&str], nodes: &[Node]) -> Result<()>
where
    T: Transport<Error: fmt::Display>,
{
    for _ in 0..MOST_ATTEMPTS {
        let transaction = client.begin()?;
        if let Err(problem) = write_nodes(client, transaction, replaced, nodes) {
            if !problem.is_connection() {
                // Whether it is given up or not, the reason is the first problem.
                let _ = client.abort(transaction);
            }
            return Err(problem);
        }
        if client.commit(transaction)? {
            return Ok(());
        }
    }
    Err(Error::Conflicts)
}

fn write_nodes<T>(client: &mut Client<T>, transaction: Transaction, replaced: &[&str], nodes: &[Node]) -> Result<()>
where
    T: Transport<Error: fmt::Display>,
{
    for path in replaced {
        remove(client, transaction, path)?;
    }
    let mut written: BTreeMap<&str, &[Permission]> = BTreeMap::new();
    for node in nodes {
        client.write(transaction, &node.path, &node.value)?;
        // A new node inherits from the one above it: where nothing was before, most have nothing to add.
        let is_new = above(&node.path).any(|path| replaced.contains(&path));
        let inherited = above(&node.path).find_map(|path| written.get(path));
        if !is_new || inherited != Some(&node.permissions.as_slice()) {
            client.set_permissions(transaction, &node.path, &node.permissions)?;
        }
        written.insert(&node.path, &node.permissions);
    }
    Ok(())
}

/// The paths above an absolute one, from the nearest on.
fn above(path: &str) -> impl Iterator<Item = &str> {
    core::iter::successors(Some(path), |path| {
        path.rsplit_once('/')
            .map(|(above, _)| above)
            .filter(|path| !path.is_empty())
    })
    .skip(1)
}

/// Removes a node and all below it; one that is not there is fine.
///
/// # Errors
/// [`Error`].
pub fn remove<T>(client: &mut Client<T>, transaction: Transaction, path: &str) -> Result<()>
where
    T: Transport<Error: fmt::Display>,
{
    match client.remove(transaction, path) {
        Ok(())
        | Err(ClientError::Refused {
            error: StoreError::NotFound,
            ..
        }) => Ok(()),
        Err(problem) => Err(problem.into()),
    }
}

/// Tells the store which domain of the manifest has a number, and has it serve that domain.
///
/// # Errors
/// [`Error`].
pub fn introduce<T>(client: &mut Client<T>, domid: DomId, name: &str, (frame, port): (u64, u32)) -> Result<()>
where
    T: Transport<Error: fmt::Display>,
{
    client.control(&["assign", &domid.to_string(), name])?;
    client.introduce(domid, frame, port)?;
    Ok(())
}

/// Has the store forget a domain; one that it does not know is fine.
///
/// # Errors
/// [`Error`].
pub fn release<T>(client: &mut Client<T>, domid: DomId) -> Result<()>
where
    T: Transport<Error: fmt::Display>,
{
    match client.release(domid) {
        // The second one is for a domain that it has heard of but does not serve (`find_connected_domain` of xenstored).
        Ok(())
        | Err(ClientError::Refused {
            error: StoreError::NotFound | StoreError::Invalid,
            ..
        }) => Ok(()),
        Err(problem) => Err(problem.into()),
    }
}

/// Whether the store serves a domain.
///
/// # Errors
/// [`Error`].
pub fn is_introduced<T>(client: &mut Client<T>, domid: DomId) -> Result<bool>
where
    T: Transport<Error: fmt::Display>,
{
    let subject = domid.to_string();
    let answer = client.request(
        Operation::IsDomainIntroduced,
        Transaction::NONE,
        &subject,
        &[subject.as_bytes(), b"\0"],
    )?;
    Ok(answer.starts_with(b"T"))
}

/// A node's value; none where there is no such node.
///
/// # Errors
/// [`Error`].
pub fn read<T>(client: &mut Client<T>, path: &str) -> Result<Option<Vec<u8>>>
where
    T: Transport<Error: fmt::Display>,
{
    match client.read(Transaction::NONE, path) {
        Ok(value) => Ok(Some(value)),
        Err(ClientError::Refused {
            error: StoreError::NotFound,
            ..
        }) => Ok(None),
        Err(problem) => Err(problem.into()),
    }
}

/// Sets a node's value.
///
/// # Errors
/// [`Error`].
pub fn write<T>(client: &mut Client<T>, path: &str, value: &str) -> Result<()>
where
    T: Transport<Error: fmt::Display>,
{
    Ok(client.write(Transaction::NONE, path, value.as_bytes())?)
}

/// A command to the store itself; its answer.
///
/// # Errors
/// [`Error`].
pub fn control<T>(client: &mut Client<T>, words: &[&str]) -> Result<String>
where
    T: Transport<Error: fmt::Display>,
{
    Ok(client.control(words)?)
}

/// Has the store forget a domain that is gone or going, with all its nodes.
///
/// # Errors
/// [`Error`].
pub fn forget<T>(client: &mut Client<T>, domid: DomId, vm: &str) -> Result<()>
where
    T: Transport<Error: fmt::Display>,
{
    // First of all it can write nothing more.
    release(client, domid)?;
    remove(client, Transaction::NONE, &super::tree::home(domid))?;
    remove(client, Transaction::NONE, vm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_up_ends_before_the_root() {
        assert_eq!(above("/a/b/c").collect::<Vec<_>>(), ["/a/b", "/a"]);
        assert_eq!(above("/a").count(), 0);
    }

    #[test]
    fn a_wrong_answer_is_the_end_of_the_connection() {
        let wrong: ClientError<&str> = ClientError::Protocol {
            operation: "READ",
            problem: "it answers another request",
        };
        let error = Error::from(wrong);
        assert!(error.is_connection());
        assert_eq!(
            error.to_string(),
            "no connection: READ: the store's answer is wrong: it answers another request"
        );
    }
}
