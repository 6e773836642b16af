//! Measures the stock Dom0.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::StockDom0;
use crate::initramfs::Initramfs;
use crate::{Assets, Error, KernelFlavour, Result, Running, XenVersion, places};

/// Only a guard against hanging.
const TIMEOUT: Duration = Duration::from_secs(600);

/// What the stock Dom0 is asked to create.
#[derive(Clone, Debug)]
pub struct Guests {
    /// A bare-metal PV domain of 8 MiB: an ELF. Left out where there is none.
    pub tiny: Option<PathBuf>,
    /// How many of them, side by side.
    pub tiny_count: u32,
    /// How often each Debian guest is created.
    pub guest_count: u32,
}

/// What was measured, in the order in which it came: seconds, or MiB where the name ends with `-mib`.
///
/// `power-on-to-login`; `tiny-create`, `tiny-destroy`; for a PVH guest of 128 MiB with the cloud kernel `pvh-cloud-create`,
/// `pvh-cloud-ready` (from the request to the first line of its user space), `pvh-cloud-destroy`; `dom0-mib`, `dom0-available-mib`, `host-mib`, `host-free-mib`,
/// `root-file-system-mib`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Baseline {
    /// Values by name.
    pub values: BTreeMap<String, Vec<f64>>,
}

impl Baseline {
    /// The median of a value; nothing where it was not measured.
    pub fn median(&self, name: &str) -> Option<f64> {
        let mut sorted = self.values.get(name)?.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied()
    }

    fn record(&mut self, name: &str, value: f64) {
        self.values.entry(name.to_owned()).or_default().push(value);
    }
}

/// Boots the stock Dom0 (its image is made first, once) and measures. Writes `target/bench/dom0.json` as well.
pub fn run_baseline(assets: &Assets, xen: XenVersion, guests: &Guests) -> Result<Baseline> {
    let dom0 = StockDom0::new("dom0")?;
    put_files(assets, &dom0.files(), guests)?;
    let (mut running, login) = dom0.power_on(assets, xen)?;
    let mut baseline = Baseline::default();
    baseline.record("power-on-to-login", login.as_secs_f64());
    measure(&mut running, "memory", &mut baseline)?;
    if guests.tiny.is_some() {
        measure(&mut running, &format!("tiny {}", guests.tiny_count), &mut baseline)?;
    }
    measure(
        &mut running,
        &format!("guest pvh-cloud {}", guests.guest_count),
        &mut baseline,
    )?;
    save(&baseline)?;
    Ok(baseline)
}

/// Runs `dom0-bench` and takes its values in.
fn measure(running: &mut Running, arguments: &str, baseline: &mut Baseline) -> Result<()> {
    running.send(&format!("dom0-bench {arguments}\n"))?;
    loop {
        let line = running.expect(r"^BENCH(-DONE|-ERROR)? (\S+) ?(\S*)", TIMEOUT)?;
        match (line.group(1), line.group(2), line.group(3).map(str::parse::<f64>)) {
            (None, Some(name), Some(Ok(value))) => baseline.record(name, value),
            (Some("-DONE"), ..) => return Ok(()),
            _ => {
                let path = running.directory().join("console.log");
                return Err(Error::Content {
                    path,
                    reason: line.line.text,
                });
            }
        }
    }
}

/// Puts the guests' files and their configurations there.
fn put_files(assets: &Assets, content: &Path, guests: &Guests) -> Result<()> {
    let copy = |from: &Path, name: &str| {
        let to = content.join(name);
        std::fs::copy(from, &to).map(drop).map_err(Error::file("copy", from))
    };
    let write = |name: &str, text: String| {
        let path = content.join(name);
        std::fs::write(&path, text).map_err(Error::file("write", &path))
    };
    if let Some(tiny) = &guests.tiny {
        copy(tiny, "tiny.elf")?;
        write(
            "tiny.cfg",
            "name = \"tiny\"\ntype = \"pv\"\nkernel = \"/bench/tiny.elf\"\nmemory = 8\n".to_owned(),
        )?;
    }
    copy(&assets.kernel(KernelFlavour::Cloud)?.image, "vmlinuz-cloud")?;
    Initramfs::guest(assets)?.write(&content.join("initrd"))?;
    write(
        "pvh-cloud.cfg",
        "name = \"pvh-cloud\"\ntype = \"pvh\"\nkernel = \"/bench/vmlinuz-cloud\"\nramdisk = \"/bench/initrd\"\n\
         memory = 128\nvcpus = 1\nextra = \"console=hvc0 quiet domb.name=pvh-cloud\"\n"
            .to_owned(),
    )?;
    Ok(())
}

fn save(baseline: &Baseline) -> Result<()> {
    let path = places::workspace().join("target/bench/dom0.json");
    let unusable = |error: serde_json::Error| Error::Content {
        path: path.clone(),
        reason: error.to_string(),
    };
    let text = serde_json::to_string_pretty(baseline).map_err(unusable)?;
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(Error::file("create", directory))?;
    }
    std::fs::write(&path, text).map_err(Error::file("write", &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_what_was_measured() {
        let mut baseline = Baseline::default();
        for value in [3.0, 1.0, 2.0] {
            baseline.record("tiny-create", value);
        }
        assert_eq!(baseline.median("tiny-create"), Some(2.0));
        assert_eq!(baseline.median("nothing"), None);
    }
}
