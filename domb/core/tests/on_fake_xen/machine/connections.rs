//! What domains have of each other: mapped grants, bound event channels.

use xen::{DomId, Errno};

use super::Machine;

impl Machine {
    /// Maps the page that a domain granted to another under a reference; the mapping.
    pub(crate) fn map_grant(&mut self, by: DomId, domid: DomId, reference: u32) -> xen::Result<u64> {
        const OP: &str = "GNTTABOP_map_grant_ref";
        let grant = self.alive(OP, domid)?.grants.get(&reference).copied();
        let Some(grant) = grant.filter(|grant| grant.to == by) else {
            return Err(self.violation(OP, Errno::EINVAL, format!("{reference} of {domid} for {by}: {grant:?}")));
        };
        let frames = self.mappable(OP, domid, &[grant.frame])?;
        let id = self.add_mapping(domid, frames);
        self.mapped_by.insert(id, by);
        Ok(id)
    }

    fn check_bind(&mut self, by: DomId, domid: DomId, port: u32) -> xen::Result<()> {
        const OP: &str = "EVTCHNOP_bind_interdomain";
        let remote = self.alive(OP, domid)?.ports.get(port as usize - 1).copied();
        let taken = self.own_ports.values().any(|&end| end == (domid, port)) || self.bound.contains_key(&(domid, port));
        if remote != Some(by) || taken {
            return Err(self.violation(
                OP,
                Errno::EINVAL,
                format!("port {port} is for {remote:?} and not {by}, taken: {taken}"),
            ));
        }
        Ok(())
    }

    /// Binds a port of a domain that is not the initial one to one of another.
    pub(crate) fn bind_by(&mut self, by: DomId, domid: DomId, port: u32) -> xen::Result<()> {
        self.check_bind(by, domid, port)?;
        self.bound.insert((domid, port), by);
        Ok(())
    }

    /// Takes that back.
    pub(crate) fn unbind(&mut self, domid: DomId, port: u32) {
        self.bound.remove(&(domid, port));
    }

    /// Binds a port of the initial domain to one of another.
    pub(crate) fn bind(&mut self, domid: DomId, port: u32) -> xen::Result<u32> {
        const OP: &str = "EVTCHNOP_bind_interdomain";
        self.call(OP)?;
        self.check_bind(DomId::INITIAL, domid, port)?;
        let own = self.next_port;
        self.next_port += 1;
        self.own_ports.insert(own, (domid, port));
        Ok(own)
    }
}
