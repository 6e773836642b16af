//! `domb measure`: the records that domb will write into its event log, computed from files.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use domb_core::elf::Kernel;
use manifest::Manifest;
use measure::{Bank, Digests, EventLog, PcrValues, Record, record, replay};
use serde_json::{Map, Value, json};

use crate::Error;
use crate::host_manifest::HostManifest;
use crate::kernel_image;

/// The largest memory image of domb that is taken: 64 MiB. Its budget is a small part of that.
const DOMB_LIMIT: usize = 64 << 20;

/// domb itself, as Xen loads it.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    /// Its ELF file.
    pub file: Option<PathBuf>,
    /// Its command line.
    pub command_line: Option<String>,
}

/// Files of one guest, without a manifest.
#[derive(Debug, Clone)]
pub struct Guest {
    /// The domain's name.
    pub name: String,
    /// A kernel: a bzImage or an ELF file.
    pub kernel: Option<PathBuf>,
    /// An initial ramdisk.
    pub ramdisk: Option<PathBuf>,
    /// The kernel's command line.
    pub command_line: Option<String>,
}

/// The records of a host's start, in the log's order: domb, its command line, the manifest, and for each domain that
/// starts with the host its configuration, command line, kernel and ramdisk.
///
/// # Errors
/// [`Error::Read`] or [`Error::Domb`] for domb's own file.
pub fn host_records(host: &HostManifest, builder: &Builder) -> Result<Vec<Record>, Error> {
    let manifest = &host.manifest;
    let banks = &manifest.host.banks;
    let mut records = Vec::new();
    if let Some(path) = &builder.file {
        let file = read(path)?;
        let image = Kernel::parse(&file)
            .and_then(|kernel| kernel.memory_image(DOMB_LIMIT))
            .map_err(|source| Error::Domb {
                path: path.clone(),
                source,
            })?;
        records.push(record::domb(&Digests::of(banks, &image)));
    }
    if let Some(command_line) = &builder.command_line {
        records.push(record::domb_command_line(&Digests::of(banks, command_line.as_bytes())));
    }
    records.push(record::manifest(&Digests::of(banks, &manifest.encode())));
    let (order, _) = manifest.boot_order();
    records.extend(order.into_iter().flat_map(|index| records_of(manifest, index)));
    Ok(records)
}

/// The records of one domain's start.
///
/// # Errors
/// [`Error::NoDomain`] or [`Error::DomainRefused`].
pub fn domain_records(host: &HostManifest, name: &str) -> Result<Vec<Record>, Error> {
    let manifest = &host.manifest;
    let Some(index) = manifest.domains.iter().position(|domain| domain.name == name) else {
        let names: Vec<&str> = manifest.domains.iter().map(|domain| domain.name.as_str()).collect();
        return Err(Error::NoDomain {
            name: name.into(),
            accepted: names.join(", "),
        });
    };
    let (_, refused) = manifest.start_order();
    if let Some((_, reason)) = refused.into_iter().find(|(refused, _)| *refused == index) {
        return Err(Error::DomainRefused {
            name: name.into(),
            reason,
        });
    }
    Ok(records_of(manifest, index))
}

fn records_of(manifest: &Manifest, index: usize) -> Vec<Record> {
    let Some(domain) = manifest.domains.get(index) else {
        return Vec::new();
    };
    let banks = &manifest.host.banks;
    let digests = |image: &str| manifest.image(image).map(|image| &image.digests);
    let kernel = digests(&domain.kernel).map(|digests| record::kernel(&domain.name, digests));
    let ramdisk = domain
        .ramdisk
        .as_deref()
        .and_then(digests)
        .map(|digests| record::ramdisk(&domain.name, digests));
    [
        record::configuration(&domain.name, &Digests::of(banks, &domain.canonical())),
        record::command_line(&domain.name, &Digests::of(banks, domain.command_line.as_bytes())),
    ]
    .into_iter()
    .chain(kernel)
    .chain(ramdisk)
    .collect()
}

/// The records of a guest's command line, kernel and ramdisk, as far as they are given. Its configuration is part of a
/// manifest, and so has no record here.
///
/// # Errors
/// [`Error::Read`], [`Error::Kernel`] or [`Error::NoKernel`].
pub fn guest_records(guest: &Guest, banks: &[Bank]) -> Result<Vec<Record>, Error> {
    let mut records = Vec::new();
    if let Some(command_line) = &guest.command_line {
        records.push(record::command_line(
            &guest.name,
            &Digests::of(banks, command_line.as_bytes()),
        ));
    }
    if let Some(path) = &guest.kernel {
        let file = read(path)?;
        let unpacked = kernel_image::unpack(&file).map_err(|source| Error::Kernel {
            path: path.clone(),
            source,
        })?;
        if !unpacked.is_elf() {
            return Err(Error::NoKernel { path: path.clone() });
        }
        records.push(record::kernel(&guest.name, &Digests::of(banks, &unpacked.bytes)));
    }
    if let Some(path) = &guest.ramdisk {
        // As `domb bundle` takes it: a file is unpacked by what it holds, not by what it is used for.
        let file = read(path)?;
        let unpacked = kernel_image::unpack(&file).map_err(|source| Error::Kernel {
            path: path.clone(),
            source,
        })?;
        records.push(record::ramdisk(&guest.name, &Digests::of(banks, &unpacked.bytes)));
    }
    Ok(records)
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::Read {
        path: path.to_path_buf(),
        source,
    })
}

/// The event log with these records, and the PCR values that it leads to.
///
/// # Errors
/// [`Error::EventLog`].
pub fn event_log(records: &[Record], banks: &[Bank]) -> Result<(EventLog, PcrValues), Error> {
    let failed = |error: &dyn std::error::Error| Error::EventLog(error.to_string());
    let mut log = EventLog::new(banks).map_err(|error| failed(&error))?;
    for record in records {
        log.record(record).map_err(|error| failed(&error))?;
    }
    let values = replay(log.bytes()).map_err(|error| failed(&error))?;
    Ok((log, values))
}

/// The numbers of the PCRs that the records extend, ascending.
fn extended(records: &[Record]) -> Vec<u32> {
    let mut pcrs: Vec<u32> = records.iter().map(|record| record.pcr).collect();
    pcrs.sort_unstable();
    pcrs.dedup();
    pcrs
}

/// The records as text, one a line and bank: PCR, bank, digest, what was hashed; then the PCR values, if they are asked for.
#[must_use]
pub fn text(records: &[Record], values: Option<&PcrValues>) -> String {
    let mut text = String::new();
    for record in records {
        for digest in &record.digests {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{:3} {} {digest} {}", record.pcr, digest.bank(), record.data);
        }
    }
    for (values, pcr) in values
        .iter()
        .flat_map(|values| extended(records).into_iter().map(move |pcr| (values, pcr)))
    {
        for digest in values.banks().filter_map(|bank| values.get(bank, pcr)) {
            let _ = writeln!(text, "{pcr:3} {} {digest} = value of the PCR", digest.bank());
        }
    }
    text
}

/// The records as JSON: `{"records": [{"pcr", "type", "event", "digests": {BANK: HEX}}], "pcrs": {BANK: {PCR: HEX}}}`; `pcrs` only
/// if the values are asked for.
#[must_use]
pub fn json(records: &[Record], values: Option<&PcrValues>) -> Value {
    let records_json: Vec<Value> = records
        .iter()
        .map(|record| {
            let digests: Map<String, Value> = record
                .digests
                .iter()
                .map(|digest| (digest.bank().to_string(), digest.to_string().into()))
                .collect();
            json!({"pcr": record.pcr, "type": record.event_type.to_string(), "event": record.data, "digests": digests})
        })
        .collect();
    let mut document = json!({"records": records_json});
    if let (Some(values), Some(document)) = (values, document.as_object_mut()) {
        let banks: Map<String, Value> = values
            .banks()
            .map(|bank| {
                let pcrs: Map<String, Value> = extended(records)
                    .into_iter()
                    .filter_map(|pcr| Some((pcr.to_string(), values.get(bank, pcr)?.to_string().into())))
                    .collect();
                (bank.to_string(), pcrs.into())
            })
            .collect();
        document.insert("pcrs".into(), banks.into());
    }
    document
}
