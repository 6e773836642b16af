//! A client of the store.

use alloc::format;
use alloc::string::{String, ToString};

use stubdom::store::{RingError, RingTransport};
use stubdom::{Domain, Exit, executor};
use xen::store::client::Transaction;
use xen::store::{Client, ClientError};

/// Longer than a store takes to be built again.
const PATIENCE_NS: u64 = 60_000_000_000;
/// Writes between two lines of the log.
const WRITES_PER_LINE: u64 = 50;

type Store = Client<RingTransport>;
type Result<T> = core::result::Result<T, ClientError<RingError>>;

/// Says who this domain is, as the store has it, and waits to be told to end; with `load` it writes and reads meanwhile.
pub(crate) async fn run(domain: &Domain, load: bool) -> Exit {
    let transport = domain
        .store
        .as_ref()
        .and_then(|connection| RingTransport::of_domain(connection, PATIENCE_NS));
    let Some(transport) = transport else {
        panic!("no store serves this domain")
    };
    match talk(&mut Client::new(transport), load).await {
        Ok(exit) => exit,
        Err(problem) => panic!("store: {problem}"),
    }
}

async fn talk(store: &mut Store, load: bool) -> Result<Exit> {
    store.watch("control/shutdown", "end")?;
    let domid = text(store, "domid")?;
    let name = text(store, "name")?;
    store.write(Transaction::NONE, "data/greeting", name.as_bytes())?;
    let back = text(store, "data/greeting")?;
    log::info!("store: domid={domid} name={name} data={back}");
    let mut writes = 0u64;
    loop {
        while let Some(event) = store.event()? {
            if event.token != "end" {
                continue;
            }
            let exit = match text(store, "control/shutdown").unwrap_or_default().as_str() {
                "poweroff" => Exit::Poweroff,
                "reboot" => Exit::Reboot,
                _ => continue,
            };
            store.write(Transaction::NONE, "control/shutdown", b"")?;
            log::info!("store: told to end writes={writes}");
            return Ok(exit);
        }
        if !load {
            store.transport().events().next().await;
            continue;
        }
        writes += 1;
        write_and_check(store, writes)?;
        if writes.is_multiple_of(WRITES_PER_LINE) {
            log::info!("store: {writes} writes");
        }
        executor::yield_now().await;
    }
}

/// Writes a number in one of several ways, and finds it again.
fn write_and_check(store: &mut Store, number: u64) -> Result<()> {
    let path = format!("data/load/{}", number % 16);
    let value = number.to_string();
    if number.is_multiple_of(8) {
        loop {
            let transaction = store.begin()?;
            store.write(transaction, &path, value.as_bytes())?;
            store.write(transaction, "data/last", value.as_bytes())?;
            if store.commit(transaction)? {
                break;
            }
        }
        assert_eq!(text(store, "data/last")?, value, "a committed transaction is not there");
    } else {
        store.write(Transaction::NONE, &path, value.as_bytes())?;
    }
    assert_eq!(text(store, &path)?, value, "an acknowledged write is not there");
    Ok(())
}

fn text(store: &mut Store, path: &str) -> Result<String> {
    let value = store.read(Transaction::NONE, path)?;
    Ok(String::from_utf8_lossy(&value).into_owned())
}
