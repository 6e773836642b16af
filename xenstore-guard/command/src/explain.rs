//! What a policy says to one request.

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use xen::DomId;
use xen::store::{Client, Operation, Transport};
use xenstore_guard_core::policy::{Kind, Policy};

use crate::arguments::{Assignment, ExplainArguments};
use crate::{Error, policy_file};

/// An answer, for people and for scripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Why.
    pub text: String,
    /// Whether it would be done.
    pub allowed: bool,
}

/// Asks the policy of a manifest, or a running store.
///
/// # Errors
/// A name, an operation or a path that is none; the manifest is wrong; the store does not answer.
pub fn run(arguments: &ExplainArguments) -> Result<Answer, Error> {
    let operation = operation(&arguments.operation)?;
    match &arguments.policy {
        Some(policy) => by_manifest(policy, arguments, operation),
        None => by_store(arguments, operation),
    }
}

fn operation(name: &str) -> Result<Operation, Error> {
    let known = Operation::ALL
        .iter()
        .copied()
        .filter(|&operation| Kind::of(operation).is_some());
    let found = known
        .clone()
        .find(|operation| operation.name().eq_ignore_ascii_case(name));
    found.ok_or_else(|| Error::NoOperation {
        name: name.to_owned(),
        accepted: known.map(Operation::name).collect::<Vec<_>>().join(", "),
    })
}

fn by_manifest(file: &Path, arguments: &ExplainArguments, operation: Operation) -> Result<Answer, Error> {
    let manifest = policy_file::read(file)?;
    let names: Vec<&str> = manifest.domains.iter().map(|domain| domain.name.as_str()).collect();
    let (domid, name) = subject(&arguments.domain, &arguments.assign, &names)?;
    let mut policy = Policy::from_manifest(&manifest);
    for assignment in &arguments.assign {
        policy.assign(assignment.domid, &assignment.name);
    }
    if let Some(name) = name {
        policy.assign(domid, name);
    }
    let path = absolute(&arguments.path, domid)?;
    let explanation = policy.explain(domid, operation, &path);
    Ok(Answer {
        text: format!("{explanation}\n"),
        allowed: explanation.decision.allowed,
    })
}

/// Who is asked about: its number, and its name where it was named.
fn subject<'a>(domain: &'a str, assigned: &[Assignment], names: &[&str]) -> Result<(DomId, Option<&'a str>), Error> {
    if let Ok(domid) = domain.parse() {
        return Ok((DomId(domid), None));
    }
    if !names.contains(&domain) {
        return Err(Error::NoDomain {
            name: domain.to_owned(),
            accepted: names.join(", "),
        });
    }
    let number = assigned.iter().find(|assignment| assignment.name == domain);
    let free = (1..).find(|&number| assigned.iter().all(|assignment| assignment.domid.0 != number));
    let domid = number.map_or(DomId(free.unwrap_or(1)), |assignment| assignment.domid);
    Ok((domid, Some(domain)))
}

/// A path as the store sees it.
fn absolute(path: &str, domid: DomId) -> Result<String, Error> {
    let absolute = if path.starts_with(['/', '@']) {
        path.to_owned()
    } else {
        format!("/local/domain/{domid}/{path}")
    };
    match xenstore_guard_core::Path::new(&absolute) {
        Some(_) => Ok(absolute),
        None => Err(Error::NotAPath(path.to_owned())),
    }
}

fn by_store(arguments: &ExplainArguments, operation: Operation) -> Result<Answer, Error> {
    let Ok(domid) = arguments.domain.parse() else {
        return Err(Error::NotANumber(arguments.domain.clone()));
    };
    let path = absolute(&arguments.path, DomId(domid))?;
    let socket = UnixStream::connect(&arguments.socket).map_err(|source| Error::Socket {
        path: arguments.socket.clone(),
        operation: "connect",
        source,
    })?;
    let words = ["explain", &arguments.domain, operation.name(), &path];
    let mut text = Client::new(Socket(socket))
        .control(&words)
        .map_err(|error| Error::Store(format!("{}: {error}", arguments.socket.display())))?;
    // The store tells what its policy decides, then what the node's permissions say, which have a say where the policy did not
    // grant it.
    let granted = text.contains("\nallowed, whatever");
    let refused = text.contains("\ndenied: ") || (!granted && text.trim_end().ends_with("refuse it"));
    if !text.ends_with('\n') {
        writeln!(text).unwrap_or_default();
    }
    Ok(Answer {
        text,
        allowed: !refused,
    })
}

/// A store's socket.
struct Socket(UnixStream);

impl Transport for Socket {
    type Error = io::Error;

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => Ok(count),
        }
    }

    /// Events are not asked for here.
    fn poll(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_from_the_domains_home_on() {
        assert_eq!(absolute("data/x", DomId(7)).unwrap(), "/local/domain/7/data/x");
        assert_eq!(absolute("/tool", DomId(7)).unwrap(), "/tool");
        for path in ["", "/a//b", "a/", "a b"] {
            assert!(matches!(absolute(path, DomId(7)), Err(Error::NotAPath(_))), "{path:?}");
        }
    }

    #[test]
    fn a_domain_is_a_number_or_a_name_of_the_manifest() {
        let assigned: Vec<Assignment> = vec!["1=net1".parse().unwrap(), "5=web".parse().unwrap()];
        let names = ["net1", "web", "db"];
        assert_eq!(subject("9", &assigned, &names).unwrap(), (DomId(9), None));
        assert_eq!(subject("web", &assigned, &names).unwrap(), (DomId(5), Some("web")));
        assert_eq!(subject("db", &assigned, &names).unwrap(), (DomId(2), Some("db")));
        let error = subject("dbx", &assigned, &names).unwrap_err().to_string();
        assert_eq!(
            error,
            "no domain \"dbx\" in the manifest; accepted: a number, net1, web, db"
        );
    }

    #[test]
    fn only_operations_on_nodes_are_explained() {
        assert_eq!(operation("write").unwrap(), Operation::Write);
        let error = operation("INTRODUCE").unwrap_err().to_string();
        assert!(error.contains("accepted: DIRECTORY, READ, "), "{error}");
    }
}
