//! The root file system of the stock Dom0.

use std::path::{Path, PathBuf};

use super::disk;
use crate::{Assets, Error, KernelFlavour, Result, command, places, setup};

/// Changes when an image made before would not do any more.
const LAYOUT: u32 = 2;
const RELEASE: &str = "bookworm";
const SIZE_MIB: u32 = 3072;
const PACKAGES: &str = "systemd-sysv,udev,dbus,kmod,procps,iproute2,xen-utils-4.17,xenstore-utils";
/// The script that measures, run from the login shell.
const BENCH: &str = include_str!("bench.sh");

/// Makes the image, once: Debian with systemd, Xen's tools and the standard kernel's modules; root logs in without a
/// password; `/dev/vdb` is mounted on `/bench`. Packages come from the machine's own sources.
pub fn root_image(assets: &Assets) -> Result<PathBuf> {
    let kernel = assets.kernel(KernelFlavour::Standard)?;
    let cache = std::path::absolute(places::cache()).map_err(Error::file("find", &places::cache()))?;
    let directory = cache.join("dom0");
    let image = directory.join(format!("root-{LAYOUT}-{}.ext4", kernel.release));
    let bench = directory.join("bench.sh");
    if image.exists() && std::fs::read_to_string(&bench).is_ok_and(|text| text == BENCH) {
        return Ok(image);
    }
    setup::install(&["mmdebstrap", "e2fsprogs"])?;
    std::fs::create_dir_all(&directory).map_err(Error::file("create", &directory))?;
    std::fs::write(&bench, BENCH).map_err(Error::file("write", &bench))?;
    let root = directory.join("root");
    remove(&root)?;
    setup::say("making the stock Dom0's root file system (a minute or two)");
    let sources = setup::open_archive(&cache, RELEASE)?.sources();
    let mut mmdebstrap = command::as_root("mmdebstrap")?;
    mmdebstrap.args(["--quiet", "--variant=minbase", "--architectures=amd64"]);
    mmdebstrap.arg(format!("--include={PACKAGES}"));
    for line in customize() {
        mmdebstrap.arg(format!("--customize-hook={line}"));
    }
    mmdebstrap.arg(format!(
        "--customize-hook=install -D -m 755 {} \"$1/usr/local/bin/dom0-bench\"",
        quoted(&bench)
    ));
    let modules = quoted(&kernel.modules);
    mmdebstrap.arg(format!(
        "--customize-hook=mkdir -p \"$1/lib/modules\" && cp -a {modules} \"$1/lib/modules/\""
    ));
    command::run(mmdebstrap.arg(RELEASE).arg(&root).arg(&sources))?;
    let part = directory.join("root.part");
    disk::make(command::as_root("mke2fs")?, &part, &root, SIZE_MIB)?;
    remove(&root)?;
    std::fs::rename(&part, &image).map_err(Error::file("rename", &part))?;
    Ok(image)
}

/// Shell lines that run with the new root as `$1`.
fn customize() -> [&'static str; 5] {
    [
        "chroot \"$1\" passwd -q -d root",
        "echo dom0 >\"$1/etc/hostname\"",
        "mkdir -p \"$1/bench\" \"$1/var/log/xen/console\"",
        "echo 'XENCONSOLED_ARGS=--log=guest' >>\"$1/etc/default/xen\"",
        "printf '/dev/vda / ext4 defaults 0 1\\n/dev/vdb /bench ext4 ro 0 0\\n' >\"$1/etc/fstab\"",
    ]
}

/// Removes a tree whose files belong to root.
fn remove(tree: &Path) -> Result<()> {
    if tree.exists() {
        command::run(command::as_root("rm")?.args(["-rf", "--one-file-system"]).arg(tree))?;
    }
    Ok(())
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}
