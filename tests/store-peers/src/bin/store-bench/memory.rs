//! Memory that the trees of guests take.

use std::fs::File;

use anyhow::{Result, ensure};
use store_peers::{Store, StoreKind, resident_kib};
use xen::PAGE_SIZE;

use crate::library_client::LibraryClient;
use crate::load::KEYS;
use crate::report::{Figure, Figures};

/// Guests whose trees are written.
const GUESTS: u32 = 1000;
/// The domain that serves their devices.
const BACKEND: u32 = GUESTS + 1;

/// Writes the trees of guests as a toolstack does, with the backends' side and all permissions, a transaction for each; notes by how much
/// the store's memory grew.
pub(crate) fn measure(kind: StoreKind, figures: &mut Figures) -> Result<()> {
    let store = Store::start(kind)?;
    for domid in 1..=BACKEND {
        File::create(store.rings().join(format!("ring.{domid}")))?.set_len(PAGE_SIZE as u64)?;
    }
    let mut client = LibraryClient::connect(&store.socket())?;
    client.write(0, &format!("/local/domain/{BACKEND}/backend"), b"")?;
    // Once before, so that what a store needs at its first request is not counted.
    guest(&mut client, GUESTS)?;
    let before = resident_kib(store.pid())?;
    for domid in 1..=GUESTS {
        guest(&mut client, domid)?;
    }
    let after = resident_kib(store.pid())?;
    let grown = after.saturating_sub(before);
    figures.note(kind, Figure::Memory, f64::from(u32::try_from(grown)?));
    Ok(())
}

fn guest(client: &mut LibraryClient, domid: u32) -> Result<()> {
    let home = format!("/local/domain/{domid}");
    let transaction = client.begin()?;
    let (owner, reader) = (format!("n{domid}"), format!("r{domid}"));
    client.write(transaction, &home, b"")?;
    client.set_permissions(transaction, &home, &["n0".to_owned(), reader.clone()])?;
    for key in KEYS {
        client.write(transaction, &format!("{home}/{key}"), b"value-123")?;
    }
    for key in ["control/shutdown", "data", "drivers", "feature", "attr", "error"] {
        let path = format!("{home}/{key}");
        client.write(transaction, &path, b"")?;
        client.set_permissions(transaction, &path, std::slice::from_ref(&owner))?;
    }
    for (class, device) in [("vif", "0"), ("vbd", "51712")] {
        let front = format!("{home}/device/{class}/{device}");
        client.set_permissions(transaction, &front, &[owner.clone(), format!("r{BACKEND}")])?;
        let back = format!("/local/domain/{BACKEND}/backend/{class}/{domid}/{device}");
        client.write(transaction, &back, b"")?;
        client.set_permissions(transaction, &back, &[format!("n{BACKEND}"), reader.clone()])?;
        for (key, value) in [
            ("frontend", front.as_str()),
            ("frontend-id", &domid.to_string()),
            ("online", "1"),
            ("state", "1"),
        ] {
            client.write(transaction, &format!("{back}/{key}"), value.as_bytes())?;
        }
    }
    ensure!(client.commit(transaction)?, "a builder that is alone has to try again");
    Ok(())
}
