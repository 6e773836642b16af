//! The policy and the quotas that a host manifest says.

use std::fs;
use std::path::Path;

use manifest::toml::{self, SourceErrors};
use manifest::{Image, Manifest};
use measure::Digests;
use xenstore_guard_core::Config;
use xenstore_guard_core::policy::Policy;
use xenstore_guard_core::quota::Quotas;

use crate::Error;

/// Policy and quotas of a manifest; without one, those of stock xenstored.
pub(crate) fn load(path: Option<&Path>) -> Result<Config, Error> {
    let Some(path) = path else {
        return Ok(Config {
            policy: Policy::stock(),
            quotas: Quotas::default(),
        });
    };
    let manifest = read(path)?;
    Ok(Config {
        policy: Policy::from_manifest(&manifest),
        quotas: Quotas::from_manifest(&manifest),
    })
}

/// Reads a manifest and checks it; the images that it names are not looked at, as a store has no use for them.
pub(crate) fn read(path: &Path) -> Result<Manifest, Error> {
    let text = fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.to_path_buf(),
        source,
    })?;
    let host_file = toml::read(&text, &path.to_string_lossy())?;
    let images = host_file.images.iter().map(|source| Image {
        name: source.name.clone(),
        size: 0,
        digests: Digests::of(&host_file.host.banks, &[]),
    });
    let manifest = host_file.manifest(images.collect());
    let problems = manifest.check();
    if problems.is_empty() {
        return Ok(manifest);
    }
    Err(SourceErrors(problems.iter().map(|problem| host_file.place(problem)).collect()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use xenstore_guard_core::quota::{Limits, Quota};

    #[test]
    fn the_quotas_of_a_manifest_hold() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("host.toml");
        fs::write(&file, "[host]\nname = \"host\"\n[store]\nquota = { nodes = 7 }\n").unwrap();
        let config = load(Some(&file)).unwrap();
        assert_eq!(config.quotas.defaults.get(Quota::Nodes), 7);
        assert_eq!(load(None).unwrap().quotas.defaults, Limits::default());
    }

    #[test]
    fn what_is_wrong_in_a_manifest_is_told_with_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("host.toml");
        fs::write(&file, "[host]\nname = \"host\"\n[store]\nquota = { node = 7 }\n").unwrap();
        let error = load(Some(&file)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}:4:", file.display())), "{error}");
    }
}
