//! Writes the seeds of the target `decode`: the encoding of each text among the seeds of `toml_reader` that can be read.
//!
//!     cargo run --example write_seeds --manifest-path lib/manifest/fuzz/Cargo.toml

use std::fs;
use std::path::Path;

use manifest::Image;
use manifest::toml::ImageSource;
use measure::Digests;

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for entry in fs::read_dir(corpus.join("toml_reader"))? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?;
        let (Some(name), Ok(host_file)) = (path.file_stem(), manifest::toml::read(&text, "host.toml")) else {
            continue;
        };
        let image = |source: &ImageSource| Image {
            name: source.name.clone(),
            size: 4,
            digests: Digests::of(&host_file.host.banks, b"ELF!"),
        };
        let manifest = host_file.manifest(host_file.images.iter().map(image).collect());
        fs::write(corpus.join("decode").join(name), manifest.encode())?;
    }
    Ok(())
}
