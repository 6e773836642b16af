//! Log lines about refusals that whoever runs the system should know of.

use log::warn;
use xen::DomId;
use xen::store::Operation;
use xen::store::wire::Header;

use super::Server;
use crate::Environment;
use crate::operations::Refusal;
use crate::quota::Quota;
use crate::report::Topic;
use crate::request::{first_string, printable};
use crate::state::ConnectionId;

impl Server {
    /// Logs a refusal that whoever runs the system should know of.
    pub(super) fn report(
        &mut self,
        id: ConnectionId,
        header: Header,
        payload: &[u8],
        refusal: Refusal,
        env: &dyn Environment,
    ) {
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        let domid = connection.domid();
        match refusal {
            Refusal::Plain(_) => {}
            Refusal::Quota {
                domid,
                quota,
                used,
                limit,
            } => self.report_quota(domid, quota, used, limit, env),
            Refusal::Denied(rule) => {
                if let Some(domain) = self.domains.get_mut(domid)
                    && let Some(left_out) = domain
                        .reports
                        .get_or_insert_default()
                        .may_tell(Topic::Denial, env.now())
                {
                    let name = self.policy.name_of(domid).unwrap_or("-");
                    let operation = Operation::from_number(header.operation).map_or("-", Operation::name);
                    let path = printable(first_string(payload).map_or(&[], |(path, _)| path));
                    warn!(
                        "denied domain {domid} ({name}): {operation} {path}: rule {rule}{}",
                        LeftOut(left_out)
                    );
                }
            }
        }
    }

    /// Logs that a domain has used up a quota: what it would have needed.
    pub(super) fn report_quota(
        &mut self,
        domid: DomId,
        quota: Quota,
        needed: usize,
        limit: usize,
        env: &dyn Environment,
    ) {
        let used = self.domains.get(domid).and_then(|domain| self.used(domain, quota));
        if let Some(domain) = self.domains.get_mut(domid)
            && let Some(left_out) = domain.reports.get_or_insert_default().may_tell(Topic::Quota, env.now())
        {
            let (name, quota) = (self.policy.name_of(domid).unwrap_or("-"), quota.name());
            let left_out = LeftOut(left_out);
            match used {
                Some(used) => {
                    warn!("domain {domid} ({name}): quota {quota}: {used} of {limit} used, {needed} needed{left_out}");
                }
                None => warn!("domain {domid} ({name}): quota {quota}: {needed} needed, {limit} allowed{left_out}"),
            }
        }
    }
}

/// How many lines did not come before this one.
struct LeftOut(u32);

impl core::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            0 => Ok(()),
            count => write!(f, " ({count} such lines left out)"),
        }
    }
}
