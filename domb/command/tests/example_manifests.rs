//! The host manifests that the project ships are right, but for the files of their images, which are made elsewhere.

use std::fs;
use std::path::Path;

use manifest::Image;
use measure::Digests;

#[test]
fn every_shipped_host_manifest_is_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let host_file =
            manifest::toml::read(&text, &path.to_string_lossy()).unwrap_or_else(|errors| panic!("{errors}"));
        let image = |source: &manifest::toml::ImageSource| Image {
            name: source.name.clone(),
            size: 0,
            digests: Digests::of(&host_file.host.banks, b""),
        };
        let manifest = host_file.manifest(host_file.images.iter().map(image).collect());
        let problems: Vec<String> = manifest
            .check()
            .iter()
            .map(|problem| host_file.place(problem).to_string())
            .collect();
        assert_eq!(problems, Vec::<String>::new());
        count += 1;
    }
    assert!(count > 0, "configs/ has host manifests");
}
