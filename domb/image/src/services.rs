//! What domb does for domains that run.

use alloc::string::String;
use alloc::vec::Vec;

use domb_core::build::ChannelOffer;
use domb_core::host::Services;
use domb_core::management::LogLine;
use log::Level;
use stubdom::{lending, logger};
use xen::grant_table::{CopyError, GrantedBytes};
use xen::{DomId, version};

use crate::channels::Channels;
use crate::consoles::Relays;

/// Consoles and channels.
#[derive(Default)]
pub(crate) struct Peers {
    consoles: Relays,
    pub(crate) channels: Channels,
}

impl Services for Peers {
    fn attach(&mut self, name: &str, domid: DomId, port: u32) -> xen::Result<()> {
        self.consoles.attach(name, domid, port)
    }

    fn detach(&mut self, domid: DomId) {
        self.consoles.detach(domid);
    }

    fn offer_channels(&mut self, name: &str, domid: DomId, count: u16) -> xen::Result<Vec<ChannelOffer>> {
        self.channels.offer(name, domid, count)
    }

    fn withdraw_channels(&mut self, domid: DomId) {
        self.channels.withdraw(domid);
    }

    fn copy_granted(&mut self, from: DomId, pieces: &[GrantedBytes], to: &mut [u8]) -> Result<(), CopyError> {
        lending::copy_granted(from, pieces, to)
    }

    fn log_lines(&mut self, from: u64, bytes: usize) -> (Vec<LogLine>, u64) {
        let (lines, next) = logger::lines(from, bytes);
        let lines = lines.into_iter().map(|line| LogLine {
            sequence: line.number,
            system_time_ns: line.time_ns,
            level: match line.level {
                Level::Error => 1,
                Level::Warn => 2,
                Level::Info => 3,
                Level::Debug => 4,
                Level::Trace => 5,
            },
            text: line.text,
        });
        (lines.collect(), next)
    }

    fn xen_extra_version(&mut self) -> String {
        version::extra_version().unwrap_or_default()
    }
}
