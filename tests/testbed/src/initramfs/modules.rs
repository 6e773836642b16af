//! Kernel modules out of an unpacked kernel package, in an order in which each finds what it depends on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use crate::{Error, Kernel, Result, command};

/// File name (without compression) and content of each module and of all that it depends on, dependencies first.
pub(super) fn in_load_order(kernel: &Kernel, names: &[&str]) -> Result<Vec<(String, Vec<u8>)>> {
    let read = |name: &str| {
        let path = kernel.modules.join(name);
        std::fs::read_to_string(&path).map_err(Error::file("read", &path))
    };
    let dependencies = Dependencies::parse(&read("modules.dep")?);
    let built_in: BTreeSet<String> = read("modules.builtin")?.lines().map(module_name).collect();
    let mut order = Vec::new();
    for name in names {
        let wanted = normal(name);
        if built_in.contains(&wanted) {
            continue;
        }
        let missing = || Error::NoModule {
            kernel: kernel.release.clone(),
            module: (*name).to_owned(),
        };
        let path = dependencies.by_name.get(&wanted).ok_or_else(missing)?;
        dependencies.visit(path, &mut order);
    }
    order
        .iter()
        .map(|path| Ok((plain_file_name(path), content(&kernel.modules.join(path))?)))
        .collect()
}

/// `modules.dep`: `path: path path...`, relative to its directory.
struct Dependencies {
    by_path: BTreeMap<String, Vec<String>>,
    by_name: BTreeMap<String, String>,
}

impl Dependencies {
    fn parse(text: &str) -> Self {
        let mut by_path = BTreeMap::new();
        let mut by_name = BTreeMap::new();
        for (path, needs) in text.lines().filter_map(|line| line.split_once(':')) {
            by_name.insert(module_name(path), path.to_owned());
            by_path.insert(path.to_owned(), needs.split_whitespace().map(str::to_owned).collect());
        }
        Self { by_path, by_name }
    }

    /// Appends what `path` needs and then `path` itself. depmod refuses cycles and lists each module's needs completely.
    fn visit(&self, path: &str, order: &mut Vec<String>) {
        if order.iter().any(|done| done == path) {
            return;
        }
        for need in self.by_path.get(path).into_iter().flatten() {
            self.visit(need, order);
        }
        order.push(path.to_owned());
    }
}

/// The kernel takes `-` and `_` in module names as the same.
fn normal(name: &str) -> String {
    name.replace('-', "_")
}

fn plain_file_name(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.split_once(".ko")
        .map_or_else(|| name.to_owned(), |(name, _)| format!("{name}.ko"))
}

fn module_name(path: &str) -> String {
    normal(plain_file_name(path).trim_end_matches(".ko"))
}

fn content(path: &Path) -> Result<Vec<u8>> {
    match path.extension().and_then(std::ffi::OsStr::to_str) {
        Some("ko") => std::fs::read(path).map_err(Error::file("read", path)),
        Some("xz") => Ok(command::run(Command::new("xz").arg("-dc").arg(path))?.stdout),
        _ => Err(Error::Content {
            path: path.to_path_buf(),
            reason: "not a module or one packed with xz".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(directory: &Path) -> Kernel {
        let modules = directory.to_path_buf();
        std::fs::write(
            modules.join("modules.dep"),
            "d/xen-blkfront.ko:\nd/net.ko.xz: d/base_one.ko d/deep.ko\nd/base_one.ko: d/deep.ko\nd/deep.ko:\n",
        )
        .unwrap();
        std::fs::write(modules.join("modules.builtin"), "kernel/drivers/tty/hvc/hvc_xen.ko\n").unwrap();
        std::fs::create_dir(modules.join("d")).unwrap();
        for name in ["xen-blkfront", "base_one", "deep"] {
            std::fs::write(modules.join(format!("d/{name}.ko")), name).unwrap();
        }
        command::run(
            Command::new("sh")
                .arg("-c")
                .arg("printf net | xz > net.ko.xz")
                .current_dir(modules.join("d")),
        )
        .unwrap();
        Kernel {
            release: "6.1-test".into(),
            image: "x".into(),
            config: "x".into(),
            modules,
        }
    }

    #[test]
    fn dependencies_come_first_and_once() {
        let directory = tempfile::tempdir().unwrap();
        let modules = in_load_order(
            &kernel(directory.path()),
            &["net", "base-one", "xen_blkfront", "hvc-xen"],
        )
        .unwrap();
        let names: Vec<&str> = modules.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["deep.ko", "base_one.ko", "net.ko", "xen-blkfront.ko"]);
        assert_eq!(modules[2].1, b"net");
    }

    #[test]
    fn an_unknown_module_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let error = in_load_order(&kernel(directory.path()), &["nosuch"])
            .unwrap_err()
            .to_string();
        assert_eq!(error, "kernel 6.1-test: no module `nosuch`");
    }
}
