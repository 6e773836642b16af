//! Commands of the management domain: each asks domb over a channel, and prints what it answers.

mod create;
mod tables;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use domb_core::management::{DomainEntry, Done, Guest, HostReport, Request};
use manifest::uuid;

use crate::Progress;
use crate::arguments::{CreateArguments, Manage};
use crate::management::{Client, Connection, connect};

/// Where the nodes of the channels are, from the domain's home on.
const CHANNELS: &str = "domb";
/// Where processes tell each other which channel is free.
const LOCKS: &str = "/run/domb";

/// A connection to domb.
type Domb = Client<Connection>;

/// Asks domb for what the command says; what is to be printed.
///
/// # Errors
/// There is no connection, domb refuses, or a file cannot be used.
pub fn run(command: &Manage) -> Result<String> {
    fs::create_dir_all(LOCKS).with_context(|| format!("create {LOCKS}"))?;
    let mut domb = Client::new(connect(CHANNELS, Path::new(LOCKS))?);
    match command {
        Manage::List { domains } => list(&mut domb, domains),
        Manage::Info => Ok(tables::host(&host(&mut domb)?)),
        Manage::Create(arguments) => create(&mut domb, arguments),
        Manage::Start { domain } => {
            let guest = guest(domain);
            let Done::Create { domid } = ask(&mut domb, &Request::Start { guest })? else {
                return unexpected();
            };
            Ok(format!("{domid}\n"))
        }
        Manage::Destroy { domain } => done(&mut domb, &Request::Destroy { guest: guest(domain) }),
        Manage::Shutdown { domains } => each(&mut domb, domains, |guest| Request::Shutdown { guest }),
        Manage::Reboot { domains } => each(&mut domb, domains, |guest| Request::Reboot { guest }),
        Manage::Pause { domain } => done(&mut domb, &Request::Pause { guest: guest(domain) }),
        Manage::Unpause { domain } => done(&mut domb, &Request::Unpause { guest: guest(domain) }),
        Manage::MemSet { domain, memory } => {
            let (guest, kib) = (guest(domain), memory.kib());
            done(&mut domb, &Request::MemorySet { guest, kib })
        }
        Manage::VcpuSet { domain, vcpus } => {
            let (guest, count) = (guest(domain), *vcpus);
            done(&mut domb, &Request::VcpuSet { guest, count })
        }
        Manage::VcpuList { domains } => vcpu_list(&mut domb, domains),
        Manage::Domid { name } => {
            let found = one(&mut domb, name)?;
            Ok(format!("{}\n", found.domid))
        }
        Manage::Domname { domid } => {
            let found = one(&mut domb, &domid.to_string())?;
            Ok(format!("{}\n", found.name))
        }
        Manage::Uptime { domains } => {
            let host = host(&mut domb)?;
            let found = chosen(&mut domb, domains)?;
            Ok(tables::uptime(&found, host.system_time_ns))
        }
        Manage::Dmesg { clear } => dmesg(&mut domb, *clear),
        Manage::Log => log(&mut domb),
    }
}

/// Which domain a word means: a number, a UUID, else a name.
fn guest(word: &str) -> Guest {
    if let Ok(domid) = word.parse() {
        return Guest::Id { domid };
    }
    match uuid::parse(word) {
        Some(uuid) => Guest::Uuid { uuid },
        None => Guest::Name { name: word.into() },
    }
}

fn ask(domb: &mut Domb, request: &Request) -> Result<Done> {
    Ok(domb.call(request, &mut |_| ())?)
}

fn done(domb: &mut Domb, request: &Request) -> Result<String> {
    ask(domb, request)?;
    Ok(String::new())
}

fn unexpected<T>() -> Result<T> {
    bail!("domb answered something else than was asked for")
}

fn each(domb: &mut Domb, domains: &[String], request: impl Fn(Guest) -> Request) -> Result<String> {
    for domain in domains {
        ask(domb, &request(guest(domain))).with_context(|| domain.clone())?;
    }
    Ok(String::new())
}

fn host(domb: &mut Domb) -> Result<HostReport> {
    match ask(domb, &Request::HostInfo)? {
        Done::HostInfo { host } => Ok(host),
        _ => unexpected(),
    }
}

/// Every domain that domb tells this one of.
fn all(domb: &mut Domb) -> Result<Vec<DomainEntry>> {
    let (mut found, mut from) = (Vec::new(), 0);
    loop {
        let Done::List { domains, next } = ask(domb, &Request::List { from })? else {
            return unexpected();
        };
        found.extend(domains);
        match next {
            Some(next) if next > from => from = next,
            _ => return Ok(found),
        }
    }
}

/// The domains that are named, or all.
fn chosen(domb: &mut Domb, domains: &[String]) -> Result<Vec<DomainEntry>> {
    if domains.is_empty() {
        return all(domb);
    }
    domains.iter().map(|domain| one(domb, domain)).collect()
}

fn one(domb: &mut Domb, word: &str) -> Result<DomainEntry> {
    let wanted = guest(word);
    let is = |entry: &DomainEntry| match &wanted {
        Guest::Id { domid } => entry.domid == *domid,
        Guest::Name { name } => entry.name == *name,
        Guest::Uuid { uuid } => entry.uuid == *uuid,
    };
    let found = all(domb)?.into_iter().find(is);
    found.with_context(|| format!("{word}: no such domain, or none that this one may know of"))
}

fn list(domb: &mut Domb, domains: &[String]) -> Result<String> {
    Ok(tables::domains(&chosen(domb, domains)?))
}

fn vcpu_list(domb: &mut Domb, domains: &[String]) -> Result<String> {
    let mut found = Vec::new();
    for domain in chosen(domb, domains)? {
        let guest = Guest::Id { domid: domain.domid };
        let Done::Info { domain, vcpus, .. } = ask(domb, &Request::Info { guest })? else {
            return unexpected();
        };
        found.push((domain, vcpus));
    }
    let cpus = host(domb)?.cpus;
    Ok(tables::vcpus(&found, cpus))
}

fn create(domb: &mut Domb, arguments: &CreateArguments) -> Result<String> {
    let domid = create::run(domb, arguments, Progress::on_terminal())?;
    Ok(format!("{domid}\n"))
}

/// Xen's log.
fn dmesg(domb: &mut Domb, clear: bool) -> Result<String> {
    let (mut all, mut index) = (Vec::new(), 0);
    loop {
        let Done::XenLog { text, next } = ask(domb, &Request::XenLog { index, clear: false })? else {
            return unexpected();
        };
        if text.is_empty() {
            break;
        }
        all.extend(text);
        index = next;
    }
    if clear {
        ask(domb, &Request::XenLog { index, clear })?;
    }
    Ok(String::from_utf8_lossy(&all).into_owned())
}

/// domb's own log, as far as it keeps it.
fn log(domb: &mut Domb) -> Result<String> {
    let (mut text, mut sequence) = (String::new(), 0);
    loop {
        let Done::HostLog { lines, next } = ask(domb, &Request::HostLog { sequence })? else {
            return unexpected();
        };
        if lines.is_empty() {
            return Ok(text);
        }
        text += &tables::log(&lines);
        sequence = next;
    }
}
