//! Runs as root in a hostile Linux guest: sends the store, through the kernel's own `/dev/xen/xenbus`, everything that a
//! guest must not be able to do, and prints each answer.
//!
//! `store-prober OWN VICTIM`: `OWN` is this domain's number, `VICTIM` another guest's. A line an attempt:
//! `ATTEMPT <number> <operation> <path> <answer>`; in the end `ATTEMPTS <number> allowed=<number>`.
#![forbid(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};

use anyhow::{Context, Result, bail};
use xen::DomId;
use xen::store::client::Transaction;
use xen::store::{Access, Client, ClientError, Operation, Permission, Transport};

/// The kernel's door to the store.
struct Device(File);

impl Transport for Device {
    type Error = std::io::Error;

    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => Ok(count),
        }
    }

    fn poll(&mut self, _buffer: &mut [u8]) -> std::io::Result<usize> {
        // Nothing here waits for events.
        Ok(0)
    }
}

type Store = Client<Device>;
type Answer<T> = std::result::Result<T, ClientError<std::io::Error>>;

struct Prober {
    store: Store,
    attempts: u32,
    allowed: u32,
}

impl Prober {
    fn attempt<T>(&mut self, operation: Operation, path: &str, try_it: impl FnOnce(&mut Store) -> Answer<T>) {
        self.attempts += 1;
        let answer = match try_it(&mut self.store) {
            Ok(_) => {
                self.allowed += 1;
                "ALLOWED".to_owned()
            }
            Err(ClientError::Refused { error, .. }) => error.name().to_owned(),
            Err(other) => format!("failed: {other}"),
        };
        println!("ATTEMPT {} {} {path} {answer}", self.attempts, operation.name());
    }

    /// Everything that would change a node.
    fn change(&mut self, path: &str, own: DomId) {
        let none = Transaction::NONE;
        self.attempt(Operation::Write, path, |store| store.write(none, path, b"0"));
        self.attempt(Operation::Mkdir, path, |store| store.make_directory(none, path));
        self.attempt(Operation::Rm, path, |store| store.remove(none, path));
        let mine = [Permission::new(own, Access::BOTH)];
        self.attempt(Operation::SetPermissions, path, |store| {
            store.set_permissions(none, path, &mine)
        });
        // The same within a transaction: what counts is what is there after the commit.
        let Ok(transaction) = self.store.begin() else { return };
        self.attempt(Operation::Write, path, |store| store.write(transaction, path, b"0"));
        // Refused or not, the transaction is to end.
        let _ = self.store.commit(transaction);
    }

    fn look(&mut self, path: &str) {
        let none = Transaction::NONE;
        let named = [path.as_bytes(), b"\0"];
        self.attempt(Operation::Read, path, |store| store.read(none, path));
        for operation in [Operation::Directory, Operation::GetPermissions] {
            self.attempt(operation, path, |store| store.request(operation, none, path, &named));
        }
    }

    /// An operation that only the builder has.
    fn privileged(&mut self, operation: Operation, words: &[&str]) {
        let mut bytes = Vec::new();
        for word in words {
            bytes.extend_from_slice(word.as_bytes());
            bytes.push(0);
        }
        let subject = words.join(",");
        self.attempt(operation, &subject, |store| {
            store.request(operation, Transaction::NONE, &subject, &[&bytes])
        });
    }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |what: &str| -> Result<DomId> {
        let text = arguments
            .next()
            .with_context(|| format!("{what}: which domain number?"))?;
        Ok(DomId(text.parse().with_context(|| format!("{what}: {text}"))?))
    };
    let (own, victim) = (number("OWN")?, number("VICTIM")?);
    if own == victim {
        bail!("OWN and VICTIM are the same");
    }
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/xen/xenbus")
        .context("open /dev/xen/xenbus")?;
    let mut prober = Prober {
        store: Client::new(Device(device)),
        attempts: 0,
        allowed: 0,
    };
    for path in [
        "/".to_owned(),
        "/tool/xenstored/domid".to_owned(),
        "/tool/xenconsoled/domid".to_owned(),
        "/tool/evil".to_owned(),
        "/vm/00000000-0000-0000-0000-000000000000/name".to_owned(),
        "/local/domain/0/name".to_owned(),
        format!("/local/domain/0/backend/vbd/{own}/51712/params"),
        format!("/local/domain/0/backend/vif/{own}/0/state"),
        format!("/local/domain/{victim}"),
        format!("/local/domain/{victim}/name"),
        format!("/local/domain/{victim}/data/secret"),
        format!("/local/domain/{victim}/control/shutdown"),
        format!("/local/domain/{victim}/memory/target"),
        format!("/local/domain/{victim}/device/vbd/51712/backend-id"),
        format!("/local/domain/{victim}/backend/vbd/{own}/51712/params"),
        format!("/local/domain/{victim}/console/ring-ref"),
        format!("/local/domain/{own}/name"),
        format!("/local/domain/{own}/domid"),
        format!("/local/domain/{own}/vm"),
        format!("/local/domain/{own}/memory/target"),
        format!("/local/domain/{own}/cpu/0/availability"),
        format!("/local/domain/{own}/console/port"),
        format!("/local/domain/{own}/store/ring-ref"),
        format!("/local/domain/{own}/device/vbd/51712/backend"),
        format!("/local/domain/{own}/device/vbd/51712/backend-id"),
        format!("/local/domain/{own}/device/vif/0/mac"),
        format!("/local/domain/{own}/backend/vbd/{victim}/51712/params"),
        "@releaseDomain".to_owned(),
        "@introduceDomain".to_owned(),
    ] {
        prober.change(&path, own);
    }
    for private in ["data", "data/secret", "console", "console/ring-ref", "device", "vtpm"] {
        prober.look(&format!("/local/domain/{victim}/{private}"));
    }
    let (own, victim) = (own.to_string(), victim.to_string());
    prober.privileged(Operation::Introduce, &[&victim, "0", "1"]);
    prober.privileged(Operation::Introduce, &["77", "0", "1"]);
    prober.privileged(Operation::Release, &[&victim]);
    prober.privileged(Operation::Release, &["0"]);
    prober.privileged(Operation::Resume, &[&victim]);
    prober.privileged(Operation::SetTarget, &[&own, &victim]);
    prober.privileged(Operation::Control, &["assign", &own, "builder"]);
    prober.privileged(Operation::Control, &["quota", "set", "nodes", "1000000"]);
    prober.privileged(Operation::SetQuota, &[&own, "nodes", "1000000"]);
    prober.privileged(Operation::SetFeature, &[&victim, "0"]);
    println!("ATTEMPTS {} allowed={}", prober.attempts, prober.allowed);
    Ok(())
}
