//! A store with domains.

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use xen::DomId;

use crate::client::Client;
use crate::ring_link::{self, RingLink};
use crate::socket_link::SocketLink;
use crate::store::{Options, Store, StoreKind};

/// A domain over its ring.
pub type Guest = Client<RingLink>;

/// A store, its privileged client, and domains.
pub struct Scene {
    /// The store.
    pub store: Store,
    /// The privileged client, over the socket.
    pub builder: Client<SocketLink>,
}

impl Scene {
    /// A store without domains.
    pub fn new(kind: StoreKind) -> Result<Self> {
        Self::with(kind, &Options::default())
    }

    /// The same with options.
    pub fn with(kind: StoreKind, options: &Options) -> Result<Self> {
        let store = Store::start_with(kind, options)?;
        let builder = Client::new(SocketLink::connect(&store.socket())?);
        Ok(Self { store, builder })
    }

    /// A further privileged client.
    pub fn socket_client(&self) -> Result<Client<SocketLink>> {
        Ok(Client::new(SocketLink::connect(&self.store.socket())?))
    }

    /// Builds a domain as toolstacks do: a home that it owns, then INTRODUCE.
    pub fn guest(&mut self, domid: u16) -> Result<Guest> {
        let home = format!("/local/domain/{domid}");
        // To a domain that does not exist yet nothing can be given.
        RingLink::new(&self.store.rings(), DomId(domid))?;
        ensure!(self.builder.mkdir(0, &home)?.is_done(), "{home}");
        ensure!(
            self.builder.set_permissions(0, &home, &format!("n{domid}"))?.is_done(),
            "{home}"
        );
        self.introduce(domid)
    }

    /// Makes a domain's ring and introduces it; nothing else.
    pub fn introduce(&mut self, domid: u16) -> Result<Guest> {
        let link = RingLink::new(&self.store.rings(), DomId(domid))?;
        let answer = self.builder.introduce(DomId(domid))?;
        ensure!(answer.is_done(), "INTRODUCE {domid}: {answer:?}");
        Ok(Client::new(link))
    }

    /// Destroys a domain as Xen does: it is gone, and the store is told that some domain changed.
    pub fn destroy(&mut self, domid: u16) -> Result<()> {
        self.forget_files(domid)?;
        ring_link::kick_domain_changed(&self.store.rings())
    }

    /// Takes a domain's files away, without telling anybody.
    pub fn forget_files(&self, domid: u16) -> Result<()> {
        for file in [format!("ring.{domid}"), format!("evt.out.{domid}")] {
            fs::remove_file(self.ring_file(&file))?;
        }
        Ok(())
    }

    /// Marks a domain as one that Xen is destroying, and tells the store that some domain changed.
    pub fn mark_dying(&mut self, domid: u16) -> Result<()> {
        fs::write(self.ring_file(&format!("dom.{domid}.dying")), "")?;
        ring_link::kick_domain_changed(&self.store.rings())
    }

    fn ring_file(&self, name: &str) -> PathBuf {
        self.store.rings().join(name)
    }

    /// Waits until the store has done what came before, on whatever connection.
    pub fn settle(&mut self) -> Result<()> {
        ensure!(self.builder.read(0, "/")?.is_done());
        Ok(())
    }

    /// Memory that the store has in use, in KiB.
    pub fn resident_kib(&self) -> Result<u64> {
        crate::process::resident_kib(self.store.pid())
    }
}
