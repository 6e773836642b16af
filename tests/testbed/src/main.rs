//! `testbed`: set-up, and real Xen on an emulated machine for a look by hand.
#![forbid(unsafe_code)]

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use testbed::dom0::{self, Guests};
use testbed::initramfs::Initramfs;
use testbed::{Assets, KernelFlavour, Machine, XenVersion};

#[derive(Parser)]
#[command(about)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Brings what the testbed needs: packages, Xen, kernels, QEMU. Quick where it is there already
    Setup {
        /// Asks for newer packages even if all is there
        #[arg(long)]
        refresh: bool,
    },
    /// Prints where set-up put things, as JSON
    Assets,
    /// Writes the ramdisk of a scenario guest, whose init prints GUEST-READY
    GuestRamdisk {
        /// The file to write
        #[arg(short, long)]
        output: PathBuf,
        /// Compresses it with gzip
        #[arg(long)]
        gzip: bool,
        /// Kernel modules of the standard kernel that the init loads
        #[arg(long = "module")]
        modules: Vec<String>,
        /// Takes the modules from the cloud kernel
        #[arg(long)]
        cloud: bool,
    },
    /// Measures the stock Dom0, and writes target/bench/dom0.json
    Dom0 {
        /// The tiny PV domain's ELF
        #[arg(long)]
        tiny: Option<PathBuf>,
        /// How many of them
        #[arg(long, default_value_t = 40)]
        tiny_count: u32,
        /// How often each Debian guest is created
        #[arg(long, default_value_t = 3)]
        guest_count: u32,
        /// Xen's version: 4.17 or 4.20
        #[arg(long, default_value_t)]
        xen: XenVersion,
    },
    /// Boots Xen and shows its console until the machine ends
    Boot(Box<Boot>),
}

#[derive(clap::Args)]
struct Boot {
    /// The initial domain: an ELF or a bzImage
    kernel: PathBuf,
    /// Its command line
    #[arg(long, default_value = "")]
    command_line: String,
    /// Its ramdisk
    #[arg(long)]
    ramdisk: Option<PathBuf>,
    /// Xen's version: 4.17 or 4.20
    #[arg(long, default_value_t)]
    xen: XenVersion,
    /// Options for Xen
    #[arg(long = "xen-option")]
    xen_options: Vec<String>,
    /// The initial domain's memory
    #[arg(long, default_value = "128M")]
    dom0_memory: String,
    /// The machine's memory in MiB
    #[arg(long, default_value_t = 4096)]
    memory: u64,
    /// The machine's processors
    #[arg(long, default_value_t = 2)]
    cpus: u32,
    /// Ends the machine after so many seconds
    #[arg(long, default_value_t = 120)]
    limit: u64,
    /// Ends the machine when a line matches
    #[arg(long)]
    until: Option<String>,
    /// Names the log directory, target/scenarios/NAME
    #[arg(long, default_value = "by-hand")]
    name: String,
    /// Further arguments for QEMU
    #[arg(last = true)]
    qemu: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Setup { refresh } => {
            testbed::setup::run(refresh)?;
        }
        Task::Assets => println!("{}", serde_json::to_string_pretty(&Assets::load()?)?),
        Task::GuestRamdisk {
            output,
            gzip,
            modules,
            cloud,
        } => {
            let assets = Assets::load()?;
            let flavour = if cloud {
                KernelFlavour::Cloud
            } else {
                KernelFlavour::Standard
            };
            let modules: Vec<&str> = modules.iter().map(String::as_str).collect();
            let ramdisk = Initramfs::guest(&assets)?.modules(assets.kernel(flavour)?, &modules)?;
            let write = if gzip { Initramfs::write_gzip } else { Initramfs::write };
            write(&ramdisk, &output)?;
        }
        Task::Dom0 {
            tiny,
            tiny_count,
            guest_count,
            xen,
        } => {
            let guests = Guests {
                tiny,
                tiny_count,
                guest_count,
            };
            let baseline = dom0::run_baseline(&Assets::load()?, xen, &guests)?;
            for (name, values) in &baseline.values {
                println!(
                    "{name:<24} median of {:<3} {:.3}",
                    values.len(),
                    baseline.median(name).unwrap_or_default()
                );
            }
        }
        Task::Boot(boot) => show(*boot)?,
    }
    Ok(())
}

fn show(boot: Boot) -> anyhow::Result<()> {
    let limit = Duration::from_secs(boot.limit);
    let mut machine = Machine::new(&boot.name, &boot.kernel)
        .xen(boot.xen)
        .dom0_memory(&boot.dom0_memory)
        .command_line(&boot.command_line)
        .memory_mib(boot.memory)
        .cpus(boot.cpus)
        .limit(limit)
        .arguments(boot.qemu)
        .nothing_fatal();
    for option in &boot.xen_options {
        machine = machine.xen_option(option);
    }
    if let Some(ramdisk) = &boot.ramdisk {
        machine = machine.ramdisk(ramdisk);
    }
    let mut running = machine.power_on(&Assets::load()?)?;
    let until = boot.until.as_deref().map(regex::Regex::new).transpose()?;
    let mut out = std::io::stdout();
    while let Ok(found) = running.expect("", limit) {
        writeln!(out, "[{:>13.6}] {}", found.line.at.as_secs_f64(), found.line.text)?;
        if until.as_ref().is_some_and(|until| until.is_match(&found.line.text)) {
            break;
        }
    }
    eprintln!(
        "testbed: {}; the log is {}",
        why(&running),
        running.directory().join("console.log").display()
    );
    Ok(())
}

fn why(running: &testbed::Running) -> String {
    running
        .console()
        .ended()
        .unwrap_or_else(|| "the line has come".to_owned())
}
