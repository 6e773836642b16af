//! The table.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use store_peers::StoreKind;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    Read,
    Write,
    FirstDomains,
    MoreDomains,
    LastDomains,
    Flatness,
    AtOnce,
    Retries,
    WatchedWrite,
    WatchedToUnwatched,
    Memory,
}

/// What has to be reached.
enum Target {
    /// So many times what the better peer reaches.
    Times(f64),
    /// At least this, whatever the peers do.
    AtLeast(f64),
    /// At most this, whatever the peers do.
    AtMost(f64),
    /// At most so many times what oxenstored takes.
    OfOCaml(f64),
    /// Told, not asked for.
    None,
}

impl Figure {
    const ALL: [Self; 11] = [
        Self::Read,
        Self::Write,
        Self::FirstDomains,
        Self::MoreDomains,
        Self::LastDomains,
        Self::Flatness,
        Self::AtOnce,
        Self::Retries,
        Self::WatchedWrite,
        Self::WatchedToUnwatched,
        Self::Memory,
    ];

    fn text(self) -> &'static str {
        match self {
            Self::Read => "sequential read, per s",
            Self::Write => "sequential write, per s",
            Self::FirstDomains => "builder transactions, domains 1-100, per s",
            Self::MoreDomains => "builder transactions, domains 101-2000, per s",
            Self::LastDomains => "builder transactions, domains 2001-3000, per s",
            Self::Flatness => "  last thousand to first hundred",
            Self::AtOnce => "16 concurrent builders, transactions per s",
            Self::Retries => "  retries of 400 transactions",
            Self::WatchedWrite => "write with 1000 unrelated watches, per s",
            Self::WatchedToUnwatched => "  to a write without",
            Self::Memory => "memory of 1000 guests' trees, KiB",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Read => "read-per-s",
            Self::Write => "write-per-s",
            Self::FirstDomains => "builder-1-100-per-s",
            Self::MoreDomains => "builder-101-2000-per-s",
            Self::LastDomains => "builder-2001-3000-per-s",
            Self::Flatness => "builder-last-to-first",
            Self::AtOnce => "builders-16-per-s",
            Self::Retries => "builders-16-retries",
            Self::WatchedWrite => "watched-write-per-s",
            Self::WatchedToUnwatched => "watched-to-unwatched",
            Self::Memory => "memory-1000-guests-kib",
        }
    }

    fn target(self) -> Target {
        match self {
            Self::Read | Self::Write => Target::Times(1.0),
            Self::FirstDomains | Self::MoreDomains | Self::LastDomains => Target::Times(3.0),
            Self::Flatness => Target::AtLeast(0.9),
            Self::AtOnce => Target::Times(5.0),
            Self::Retries => Target::AtMost(0.0),
            Self::WatchedWrite => Target::None,
            Self::WatchedToUnwatched => Target::AtLeast(0.95),
            Self::Memory => Target::OfOCaml(0.5),
        }
    }
}

/// Everything that was measured.
#[derive(Default)]
pub(crate) struct Figures(BTreeMap<(Figure, StoreKind), Vec<f64>>);

impl Figures {
    pub(crate) fn note(&mut self, kind: StoreKind, figure: Figure, value: f64) {
        self.0.entry((figure, kind)).or_default().push(value);
    }

    fn median(&self, figure: Figure, kind: StoreKind) -> Option<f64> {
        let mut values = self.0.get(&(figure, kind))?.clone();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }

    /// What this project's store reaches against the target: the ratio, what it should be, and whether it is.
    fn verdict(&self, figure: Figure) -> (String, String, Option<bool>) {
        let Some(ours) = self.median(figure, StoreKind::Guard) else {
            return Default::default();
        };
        let peers = [StoreKind::C, StoreKind::OCaml].map(|kind| self.median(figure, kind));
        let better = peers.into_iter().flatten().reduce(f64::max);
        let against = |peer: Option<f64>, target: f64, at_most: bool| {
            let word = if at_most { "at most " } else { "" };
            let wanted = format!("{word}{target} x");
            match peer {
                Some(peer) if peer > 0.0 => {
                    let ratio = ours / peer;
                    let reached = if at_most { ratio <= target } else { ratio >= target };
                    (format!("{ratio:.2} x"), wanted, Some(reached))
                }
                _ => (String::new(), wanted, None),
            }
        };
        match figure.target() {
            Target::Times(times) => against(better, times, false),
            Target::OfOCaml(part) => against(self.median(figure, StoreKind::OCaml), part, true),
            Target::AtLeast(least) => (String::new(), format!("{least}"), Some(ours >= least)),
            Target::AtMost(most) => (String::new(), format!("at most {most}"), Some(ours <= most)),
            Target::None => (
                better
                    .map(|better| format!("{:.2} x", ours / better))
                    .unwrap_or_default(),
                String::new(),
                None,
            ),
        }
    }
}

fn number(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value.abs() < 10.0 && value.fract() != 0.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.0}"),
    }
}

/// Prints the table.
pub(crate) fn print(figures: &Figures, kinds: &[StoreKind], core: &[String]) {
    println!(
        "{:<48}{:>15}{:>13}{:>13}{:>10}{:>13}",
        "medians", "xenstore-guard", "C xenstored", "oxenstored", "ratio", "target"
    );
    for figure in Figure::ALL {
        let (ratio, wanted, reached) = figures.verdict(figure);
        let mark = match reached {
            Some(true) => "  reached",
            Some(false) => "  NOT REACHED",
            None => "",
        };
        let of = |kind: StoreKind| number(kinds.contains(&kind).then(|| figures.median(figure, kind)).flatten());
        println!(
            "{:<48}{:>15}{:>13}{:>13}{ratio:>10}{wanted:>13}{mark}",
            figure.text(),
            of(StoreKind::Guard),
            of(StoreKind::C),
            of(StoreKind::OCaml),
        );
    }
    println!("\nthe core alone, without sockets");
    for line in core {
        println!("{line}");
    }
}

/// Writes `target/bench/store.json`.
pub(crate) fn save(figures: &Figures, kinds: &[StoreKind], core: &[String]) -> Result<()> {
    let mut all = Map::new();
    for figure in Figure::ALL {
        let (ratio, target, reached) = figures.verdict(figure);
        let mut entry = Map::new();
        for &kind in kinds {
            let values = figures.0.get(&(figure, kind)).cloned().unwrap_or_default();
            entry.insert(
                kind.to_string(),
                json!({ "median": figures.median(figure, kind), "values": values }),
            );
        }
        entry.insert("ratio".to_owned(), Value::String(ratio));
        entry.insert("target".to_owned(), Value::String(target));
        entry.insert("reached".to_owned(), json!(reached));
        all.insert(figure.name().to_owned(), Value::Object(entry));
    }
    let document = json!({ "figures": all, "core": core });
    let directory = testbed::workspace().join("target/bench");
    std::fs::create_dir_all(&directory).context("target/bench")?;
    std::fs::write(directory.join("store.json"), format!("{document:#}\n")).context("target/bench/store.json")
}
