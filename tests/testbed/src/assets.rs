//! What set-up brought, and where it is.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result, places};

/// The layout of the index; an index of another layout is made anew.
pub(crate) const INDEX_LAYOUT: u32 = 3;

/// A Xen that the testbed boots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum XenVersion {
    /// Debian 12's.
    #[default]
    #[serde(rename = "4.17")]
    V4_17,
    /// Debian 13's.
    #[serde(rename = "4.20")]
    V4_20,
}

impl XenVersion {
    /// Every version, oldest first.
    pub const ALL: [Self; 2] = [Self::V4_17, Self::V4_20];

    /// `$XEN` ("4.17" or "4.20"), which is how `make demo XEN=4.20` chooses; 4.17 where it is not set.
    pub fn from_environment() -> Result<Self> {
        match std::env::var("XEN") {
            Ok(text) if !text.is_empty() => text.parse(),
            _ => Ok(Self::default()),
        }
    }
}

impl fmt::Display for XenVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::V4_17 => "4.17",
            Self::V4_20 => "4.20",
        })
    }
}

impl FromStr for XenVersion {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|version| version.to_string() == text)
            .ok_or_else(|| Error::Setup(format!("Xen {text}: the testbed has 4.17 and 4.20")))
    }
}

/// Debian's two builds of Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KernelFlavour {
    /// linux-image-amd64: XZ payload, every driver, can be a Dom0.
    Standard,
    /// linux-image-cloud-amd64: LZ4 payload, few drivers, cannot be a Dom0.
    Cloud,
}

/// An unpacked kernel package.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kernel {
    /// `uname -r`.
    pub release: String,
    /// The bzImage.
    pub image: PathBuf,
    /// Its build configuration.
    pub config: PathBuf,
    /// The directory with `modules.dep` and `kernel/`.
    pub modules: PathBuf,
}

/// The QEMU that machines run on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Qemu {
    /// qemu-system-x86_64.
    pub program: PathBuf,
    /// Directories with its firmware; none where it finds its own.
    pub firmware: Vec<PathBuf>,
    /// Major and minor version.
    pub version: (u32, u32),
}

/// The stock store's programs, which the project's own store is compared with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StockStore {
    /// The directory of xenstored, oxenstored and test-xenstore.
    pub servers: PathBuf,
    /// The directory of xenstore-ls and the like.
    pub clients: PathBuf,
}

/// Everything that set-up brought.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Assets {
    pub(crate) layout: u32,
    /// Name and version of each unpacked package.
    pub packages: BTreeMap<String, String>,
    /// The QEMU that machines run on.
    pub qemu: Qemu,
    xen: BTreeMap<XenVersion, PathBuf>,
    kernels: BTreeMap<KernelFlavour, Kernel>,
    /// A static busybox.
    pub busybox: PathBuf,
    /// The stock store's programs.
    pub stock_store: StockStore,
}

impl Assets {
    pub(crate) fn new(
        packages: BTreeMap<String, String>,
        qemu: Qemu,
        xen: BTreeMap<XenVersion, PathBuf>,
        kernels: BTreeMap<KernelFlavour, Kernel>,
        busybox: PathBuf,
        stock_store: StockStore,
    ) -> Self {
        Self {
            layout: INDEX_LAYOUT,
            packages,
            qemu,
            xen,
            kernels,
            busybox,
            stock_store,
        }
    }

    /// Reads what set-up recorded. An error says what is missing where set-up has not been done.
    pub fn load() -> Result<Self> {
        Self::load_from(&places::cache())
    }

    pub(crate) fn load_from(cache: &Path) -> Result<Self> {
        let index = index(cache);
        let missing = |reason: String| Error::NotSetUp { reason };
        let text = std::fs::read_to_string(&index).map_err(|error| missing(format!("{}: {error}", index.display())))?;
        let assets: Self =
            serde_json::from_str(&text).map_err(|error| missing(format!("{}: {error}", index.display())))?;
        if assets.layout != INDEX_LAYOUT {
            return Err(missing(format!(
                "{}: of another layout, {}",
                index.display(),
                assets.layout
            )));
        }
        let gone = assets.files().find(|file| !file.exists()).cloned();
        match gone {
            Some(gone) => Err(missing(format!("{} is gone", gone.display()))),
            None => Ok(assets),
        }
    }

    pub(crate) fn save(&self, cache: &Path) -> Result<()> {
        let path = index(cache);
        let text = serde_json::to_string_pretty(self).map_err(|error| Error::Content {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        std::fs::write(&path, text).map_err(Error::file("write", &path))
    }

    /// Xen's multiboot image, unpacked.
    pub fn xen(&self, version: XenVersion) -> Result<&Path> {
        let found = self.xen.get(&version).map(PathBuf::as_path);
        found.ok_or_else(|| Error::NotSetUp {
            reason: format!("no Xen {version}"),
        })
    }

    /// A kernel.
    pub fn kernel(&self, flavour: KernelFlavour) -> Result<&Kernel> {
        self.kernels.get(&flavour).ok_or_else(|| Error::NotSetUp {
            reason: format!("no {flavour:?} kernel"),
        })
    }

    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let kernels = self
            .kernels
            .values()
            .flat_map(|kernel| [&kernel.image, &kernel.modules]);
        self.xen
            .values()
            .chain(kernels)
            .chain([&self.qemu.program, &self.busybox])
            .chain([&self.stock_store.servers, &self.stock_store.clients])
            .chain(&self.qemu.firmware)
    }
}

fn index(cache: &Path) -> PathBuf {
    cache.join("assets.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_read_as_they_print() {
        for version in XenVersion::ALL {
            assert_eq!(version.to_string().parse::<XenVersion>().unwrap(), version);
        }
        let error = "4.99".parse::<XenVersion>().unwrap_err().to_string();
        assert!(error.contains("4.99") && error.contains("4.17 and 4.20"), "{error}");
    }

    #[test]
    fn an_empty_cache_says_what_to_do() {
        let cache = tempfile::tempdir().unwrap();
        let error = Assets::load_from(cache.path()).unwrap_err().to_string();
        assert!(error.contains("make setup"), "{error}");
    }
}
