//! CONTROL: commands to the server itself. Each answer is text for people.

use alloc::string::String;
use alloc::vec::Vec;

use log::info;
use xen::DomId;
use xen::store::{Operation, StoreError};

use super::Server;
use super::domain_requests::quota_named;
use super::requests::{Done, Outcome};
use crate::domains::{Domain, Usage};
use crate::path::Path;
use crate::permissions;
use crate::quota::Quota;
use crate::request::{append, domid, number, printable, strings};
use crate::{Environment, Peer};
use xen::store::wire::MAX_PAYLOAD;

const HELP: &str = "\
help                          this
print [TEXT]                  log TEXT; without it: what each domain uses
quota                         quotas of domains that have none of their own
quota DOMID                   quotas of a domain, and what it uses
quota set [DOMID] QUOTA VALUE set one; 0 for none at all
log TEXT                      log TEXT
check                         count all nodes again and compare
assign DOMID NAME             which domain of the manifest a number stands for
explain DOMID OPERATION PATH  whether a domain may, and why
";

impl Server {
    pub(super) fn control(&mut self, payload: &[u8], answer: &mut Vec<u8>, env: &mut dyn Environment) -> Outcome {
        let words: Vec<&[u8]> = strings(payload).collect();
        match *words.as_slice() {
            [] => return Err(StoreError::Invalid.into()),
            [b"help"] => answer.extend_from_slice(HELP.as_bytes()),
            [b"print"] => self.print(answer),
            [b"print" | b"log", text] => {
                info!("control: {}", printable(text));
                answer.extend_from_slice(b"OK");
            }
            [b"quota"] => {
                for &quota in Quota::ALL {
                    let value = self.domains.defaults().get(quota);
                    append(answer, format_args!("{:<17}: {value}\n", quota.name()));
                }
            }
            [b"quota", who] => self.print_quotas(domid(who)?, answer)?,
            [b"quota", b"set", quota, value] => {
                self.change_quota(None, quota_named(quota)?, number(value)?, env);
                answer.extend_from_slice(b"OK");
            }
            [b"quota", b"set", who, quota, value] => {
                self.change_quota(Some(domid(who)?), quota_named(quota)?, number(value)?, env);
                answer.extend_from_slice(b"OK");
            }
            [b"check"] => {
                let problems = self.check();
                answer.extend_from_slice(if problems.is_empty() {
                    b"OK"
                } else {
                    problems.as_bytes()
                });
            }
            [b"assign", who, name] => {
                let name = core::str::from_utf8(name).map_err(|_| StoreError::Invalid)?;
                self.assign(domid(who)?, name, env);
                answer.extend_from_slice(b"OK");
            }
            [b"explain", who, operation, path] => {
                let operation = core::str::from_utf8(operation).unwrap_or_default();
                let operation = Operation::ALL
                    .iter()
                    .copied()
                    .find(|known| known.name().eq_ignore_ascii_case(operation))
                    .ok_or(StoreError::Invalid)?;
                let path = Path::from_bytes(path).ok_or(StoreError::Invalid)?;
                let who = domid(who)?;
                let permissions = self.explain_permissions(who, operation, path);
                append(
                    answer,
                    format_args!("{}\n{permissions}", self.explain(who, operation, &path)),
                );
            }
            _ => match env.control(&words) {
                Some(Ok(text)) => answer.extend_from_slice(&text),
                Some(Err(error)) => return Err(error.into()),
                None => return Err(StoreError::Invalid.into()),
            },
        }
        // What does not fit is cut: it is for people.
        answer.truncate(MAX_PAYLOAD - 1);
        answer.push(0);
        Ok(Done::All)
    }

    /// What each domain uses.
    fn print(&self, answer: &mut Vec<u8>) {
        let connections = self.connections.iter().count();
        let sockets = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.peer == Peer::Socket);
        append(
            answer,
            format_args!(
                "generation {}, connections {connections} (sockets {})\n",
                self.base.generation,
                sockets.count()
            ),
        );
        for (domid, domain) in self.domains.iter() {
            let Usage {
                nodes,
                node_bytes,
                watches,
                watch_bytes,
                transaction_bytes,
                output_bytes,
            } = domain.usage;
            append(
                answer,
                format_args!(
                    "domain {domid} ({}): {nodes} nodes {node_bytes} B, {watches} watches {watch_bytes} B, \
                     transactions {transaction_bytes} B, output {output_bytes} B\n",
                    self.policy.name_of(domid).unwrap_or("-"),
                ),
            );
        }
    }

    fn print_quotas(&self, domid: DomId, answer: &mut Vec<u8>) -> Result<(), StoreError> {
        let domain = self.domains.get(domid).ok_or(StoreError::NotFound)?;
        for &quota in Quota::ALL {
            let limit = self.domains.quota(domid, quota).unwrap_or_default();
            append(answer, format_args!("{:<17}: {limit}", quota.name()));
            if let Some(used) = self.used(domain, quota) {
                append(answer, format_args!(", {used} used"));
            }
            answer.push(b'\n');
        }
        Ok(())
    }

    /// How much of a quota is used; none where it is about one thing at a time.
    pub(super) fn used(&self, domain: &Domain, quota: Quota) -> Option<usize> {
        let connection = domain.connection.and_then(|id| self.connections.get(id));
        match quota {
            Quota::Nodes => Some(domain.usage.nodes),
            Quota::Memory => Some(domain.usage.memory()),
            Quota::Watches => Some(domain.usage.watches),
            Quota::Transactions => connection.map(|connection| connection.transactions.len()),
            Quota::Outstanding => connection.map(|connection| connection.output.answers()),
            Quota::Events => connection.map(|connection| connection.output.events()),
            Quota::TransactionOperations | Quota::NodePermissions | Quota::PathLength | Quota::NodeSize => None,
        }
    }

    /// Counts everything that is charged again; what is different is told.
    pub(super) fn check(&self) -> String {
        let mut counted = alloc::collections::BTreeMap::<DomId, Usage>::new();
        for node in self.base.tree.walk() {
            let usage = counted.entry(permissions::owner(&node.permissions)).or_default();
            usage.nodes += 1;
            usage.node_bytes += node.charge();
        }
        for (_, connection) in self.connections.iter() {
            let usage = counted.entry(connection.domid()).or_default();
            usage.watches += connection.watches.len();
            let watches = connection.watches.iter().filter_map(|&id| self.watches.get(id));
            usage.watch_bytes += watches.map(crate::watch::Watch::charge).sum::<usize>();
            let transactions = connection.transactions.values();
            usage.transaction_bytes += transactions.map(|transaction| transaction.bytes).sum::<usize>();
            if !connection.is_privileged() {
                usage.output_bytes += connection.output.charge();
            }
        }
        let mut problems = Vec::new();
        for (domid, domain) in self.domains.iter() {
            let counted = counted.remove(&domid).unwrap_or_default();
            if domain.usage != counted {
                append(
                    &mut problems,
                    format_args!("domain {domid}: {:?} charged, {counted:?} counted\n", domain.usage),
                );
            }
        }
        for (domid, usage) in counted {
            append(
                &mut problems,
                format_args!("domain {domid}: not known, {usage:?} counted\n"),
            );
        }
        String::from_utf8_lossy(&problems).into_owned()
    }
}
