//! `store-bench`: the same load on this project's store, C xenstored and oxenstored, in one run. Prints the table of figures, with
//! ratios and targets, and writes `target/bench/store.json`.
//!
//! Compare ratios within a run: on a machine that does something else beside, single figures say little.
#![forbid(unsafe_code)]

mod core_speed;
mod library_client;
mod load;
mod memory;
mod report;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use store_peers::StoreKind;

/// Measures stores beside each other.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// How often everything is measured; the table has medians
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Measures only this project's store
    #[arg(long)]
    only_ours: bool,
}

#[derive(Subcommand)]
enum Command {
    /// A builder of its own process, as store-bench starts them
    #[command(hide = true)]
    Build {
        /// The store's socket
        socket: PathBuf,
        /// The first domain
        first: u32,
        /// How many
        count: u32,
    },
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(Command::Build { socket, first, count }) = arguments.command {
        return load::build_as_told(&socket, first, count);
    }
    let kinds = if arguments.only_ours {
        &StoreKind::ALL[..1]
    } else {
        &StoreKind::ALL[..]
    };
    let mut figures = report::Figures::default();
    for round in 1..=arguments.rounds {
        for &kind in kinds {
            eprintln!("store-bench: round {round} of {}: {kind}", arguments.rounds);
            load::measure(kind, &mut figures).with_context(|| kind.to_string())?;
            memory::measure(kind, &mut figures).with_context(|| kind.to_string())?;
        }
    }
    let core = core_speed::measure()?;
    report::print(&figures, kinds, &core);
    report::save(&figures, kinds, &core)
}
