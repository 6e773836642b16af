//! What the store answers, and what it does for it.

use xen::store::{Operation, Permission, StoreError};
use xen::{DomId, Errno, GRANT_RESERVED_XENSTORE, PAGE_SIZE};

use super::{Served, State, Tree};
use crate::fake_xen::FakeXen;

/// The paths above one, from the root on, and itself.
fn way(path: &str) -> impl Iterator<Item = &str> {
    assert!(path.starts_with('/') && !path.ends_with('/'), "{path}");
    let ends = path.match_indices('/').map(|(at, _)| at).skip(1);
    ends.chain([path.len()]).map(|end| &path[..end])
}

impl State {
    fn tree_of(&mut self, transaction: u32) -> &mut Tree {
        match transaction {
            0 => &mut self.tree,
            number => self.transactions.get_mut(&number).unwrap(),
        }
    }

    pub(super) fn answer(
        &mut self,
        xen: &FakeXen,
        operation: Operation,
        transaction: u32,
        payload: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let parts: Vec<&[u8]> = payload.split(|byte| *byte == 0).collect();
        let path = text(parts[0]);
        let domid = path.parse().map(DomId);
        match operation {
            Operation::TransactionStart => {
                self.next_transaction += 1;
                self.transactions.insert(self.next_transaction, self.tree.clone());
                return Ok(format!("{}\0", self.next_transaction).into_bytes());
            }
            Operation::TransactionEnd => {
                let tree = self.transactions.remove(&transaction).unwrap();
                if path == "T" {
                    if self.conflicts > 0 {
                        self.conflicts -= 1;
                        return Err(StoreError::Again);
                    }
                    self.tree = tree;
                }
            }
            Operation::Write => {
                let value = payload[path.len() + 1..].to_vec();
                let tree = self.tree_of(transaction);
                let mut permissions = vec![Permission::decode(b"n0").unwrap()];
                for path in way(&path) {
                    let node = tree.entry(path.into()).or_insert((Vec::new(), permissions));
                    permissions = node.1.clone();
                }
                tree.get_mut(&path).unwrap().0 = value;
            }
            Operation::SetPermissions => {
                let list = parts[1..parts.len() - 1].iter();
                let permissions = list.map(|text| Permission::decode(text).unwrap()).collect();
                let node = self.tree_of(transaction).get_mut(&path);
                node.ok_or(StoreError::NotFound)?.1 = permissions;
            }
            Operation::Rm => {
                let tree = self.tree_of(transaction);
                let (above, _) = path.rsplit_once('/').unwrap();
                if !tree.contains_key(&path) && !above.is_empty() && !tree.contains_key(above) {
                    return Err(StoreError::NotFound);
                }
                tree.retain(|other, _| *other != path && !other.starts_with(&format!("{path}/")));
            }
            Operation::Read => {
                let node = self.tree_of(transaction).get(&path);
                return Ok(node.ok_or(StoreError::NotFound)?.0.clone());
            }
            Operation::Introduce => {
                let [frame, port] = [1, 2].map(|index| text(parts[index]).parse::<u64>().unwrap());
                self.introduce(xen, domid.unwrap(), frame, u32::try_from(port).unwrap())?;
            }
            Operation::Release => self.release(xen, domid.unwrap())?,
            Operation::IsDomainIntroduced => {
                let known = self.served.contains_key(&domid.unwrap());
                return Ok(if known { b"T\0".to_vec() } else { b"F\0".to_vec() });
            }
            Operation::Control => match path.as_str() {
                "assign" => {
                    let domid = DomId(text(parts[1]).parse().unwrap());
                    self.assigned.insert(domid, text(parts[2]));
                }
                "print" => return Ok(b"nodes 7\nwatches \x1b[2J0\n\0".to_vec()),
                other => panic!("CONTROL {other}"),
            },
            other => panic!("a builder has no need of {}", other.name()),
        }
        Ok(b"OK\0".to_vec())
    }

    fn introduce(&mut self, xen: &FakeXen, domid: DomId, frame: u64, port: u32) -> Result<(), StoreError> {
        let mut machine = xen.machine_mut();
        let home = format!("/local/domain/{domid}/vm");
        let known = self.served.contains_key(&domid);
        if known || !self.assigned.contains_key(&domid) || !self.tree.contains_key(&home) {
            machine.violation(
                "INTRODUCE",
                Errno::EINVAL,
                format!("{domid}: known {known}, or neither assigned nor written"),
            );
            return Err(StoreError::Invalid);
        }
        let by = self.domid.unwrap();
        let mapping = machine
            .map_grant(by, domid, GRANT_RESERVED_XENSTORE)
            .map_err(|_| StoreError::Invalid)?;
        let ring = machine.frame_of(domid, frame).unwrap();
        assert_eq!(machine.mapping(mapping).1, [ring], "the frame that is granted is told");
        if machine.domains[&domid].pauses > 0 {
            assert_eq!(machine.page(ring), &[0; PAGE_SIZE], "an empty ring");
        }
        machine.bind_by(by, domid, port).map_err(|_| StoreError::Invalid)?;
        self.served.insert(
            domid,
            Served {
                port,
                mapping: Some(mapping),
            },
        );
        Ok(())
    }

    fn release(&mut self, xen: &FakeXen, domid: DomId) -> Result<(), StoreError> {
        let served = self.served.remove(&domid).ok_or(StoreError::NotFound)?;
        self.assigned.remove(&domid);
        self.tree.retain(|_, (_, permissions)| permissions[0].domid != domid);
        let mut machine = xen.machine_mut();
        if let Some(mapping) = served.mapping {
            machine.remove_mapping(mapping);
        }
        machine.unbind(domid, served.port);
        Ok(())
    }
}
