//! The host tool `domb`: the command line around the library.

#![forbid(unsafe_code)]

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use domb::arguments::{Arguments, BundleArguments, Command, ConvertArguments, MeasureArguments};
use domb::host_manifest::HostManifest;
use domb::key_file::hexadecimal;
use domb::policy_command::{self, ExplainArguments, PolicyCommand};
use domb::sign_command::{self, KeysCommand, SignArguments};
use domb::{Error, Progress, bundle_command, convert_command, manage, measure_command};
use manifest::toml::SourceErrors;

/// The exit status of what the policy denies.
const DENIED: u8 = 3;

fn main() -> ExitCode {
    let done = |()| ExitCode::SUCCESS;
    let result = match Arguments::parse().command {
        Command::Bundle(arguments) => bundle(&arguments).map(done),
        Command::Measure(arguments) => measure(arguments).map(done),
        Command::Convert(arguments) => convert(&arguments).map(done),
        Command::Sign(arguments) => sign(&arguments).map(done),
        Command::Keys(KeysCommand::Public { file }) => public(&file).map(done),
        Command::Policy(PolicyCommand::Explain(arguments)) => explain(&arguments),
        Command::Manage(command) => manage::run(&command).and_then(|text| print(&text)).map(done),
    };
    match result {
        Ok(status) => status,
        Err(error) => {
            // Places in a file stand at the start of the line, where editors look for them.
            let placed = matches!(error.downcast_ref(), Some(Error::Manifest(SourceErrors(_))));
            eprintln!("{}{error:#}", if placed { "" } else { "domb: " });
            ExitCode::FAILURE
        }
    }
}

fn warn(line: &str) {
    eprintln!("warning: {line}");
}

fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        // Whoever read it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("standard output"),
    }
}

fn bundle(arguments: &BundleArguments) -> anyhow::Result<()> {
    let written = bundle_command::run(
        &arguments.host,
        &arguments.output,
        arguments.force,
        Progress::on_terminal(),
        warn,
    )?;
    print(&format!(
        "{}: {} bytes, {} domains, {} images, manifest sha256 {}\n",
        arguments.output.display(),
        written.size,
        written.domains,
        written.images,
        written.manifest
    ))
}

fn convert(arguments: &ConvertArguments) -> anyhow::Result<()> {
    let converted = convert_command::run(&arguments.file)?;
    for note in &converted.notes.0 {
        // The place stands at the start of the line, as in errors.
        eprintln!("{note}");
    }
    match &arguments.output {
        Some(path) => Ok(convert_command::write(path, &converted.toml)?),
        None => print(&converted.toml),
    }
}

fn measure(arguments: MeasureArguments) -> anyhow::Result<()> {
    let (records, banks) = if let Some(path) = &arguments.host {
        let host = HostManifest::load(path, Progress::on_terminal())?;
        host.faults.iter().for_each(|fault| warn(&fault.to_string()));
        let records = if let Some(domain) = &arguments.domain {
            measure_command::domain_records(&host, domain)?
        } else {
            let builder = measure_command::Builder {
                file: arguments.domb,
                command_line: arguments.domb_cmdline,
            };
            measure_command::host_records(&host, &builder)?
        };
        (records, host.manifest.host.banks)
    } else {
        let guest = measure_command::Guest {
            name: arguments.name,
            kernel: arguments.kernel,
            ramdisk: arguments.ramdisk,
            command_line: arguments.cmdline,
        };
        (measure_command::guest_records(&guest, &arguments.bank)?, arguments.bank)
    };
    let (log, values) = measure_command::event_log(&records, &banks)?;
    if let Some(path) = &arguments.event_log {
        std::fs::write(path, log.bytes()).map_err(|source| Error::Write {
            path: path.clone(),
            source,
        })?;
    }
    let values = arguments.pcrs.then_some(&values);
    if arguments.json {
        print(&format!("{:#}\n", measure_command::json(&records, values)))
    } else {
        print(&measure_command::text(&records, values))
    }
}

fn sign(arguments: &SignArguments) -> anyhow::Result<()> {
    let (path, signature) = sign_command::sign(arguments, Progress::on_terminal())?;
    print(&format!(
        "{}: {} {:?} signed by ed25519:{}\n",
        path.display(),
        signature.purpose,
        signature.sha256,
        hexadecimal(&signature.key)
    ))
}

fn public(file: &std::path::Path) -> anyhow::Result<()> {
    print(&format!("{}\n", sign_command::public(file)?))
}

fn explain(arguments: &ExplainArguments) -> anyhow::Result<ExitCode> {
    let explained = policy_command::explain(arguments, Progress::on_terminal(), warn)?;
    if arguments.json {
        print(&format!("{:#}\n", policy_command::json(&explained)))?;
    } else {
        print(&policy_command::text(&explained))?;
    }
    let denied = explained.iter().any(|one| one.decision.is_err());
    Ok(if denied { DENIED.into() } else { ExitCode::SUCCESS })
}
