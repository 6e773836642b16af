//! Writes the seeds of the fuzz targets. `cargo run --example write_seeds`

use std::fs;
use std::path::Path;

/// A step of the target `vchan`: what, where, and two bytes.
type Step = (u8, u8, u16);

const LOOK: Step = (0, 0, 0);

fn main() -> std::io::Result<()> {
    let conversation = [LOOK, (4, 0, 300), (1, 0, 512), (2, 0, 2000), (3, 0, 4000), LOOK];
    vchan("conversation", [0, 1], &conversation)?;
    vchan(
        "own-pages",
        [3, 2],
        &[LOOK, (4, 0, 9000), (1, 0, 9000), (2, 0, 9000), (3, 0, 9000)],
    )?;
    // The producer's index, the live byte, the notify bytes.
    vchan(
        "bad-index",
        [1, 0],
        &[LOOK, (5, 6, 0x8000), (1, 0, 16), (5, 20, 0), LOOK, (6, 0, 0), LOOK],
    )?;
    vchan(
        "gone-in-the-middle",
        [2, 4],
        &[LOOK, (4, 0, 100), (5, 20, 0x0100), LOOK, (6, 0, 0), LOOK, (2, 0, 7)],
    )
}

fn vchan(name: &str, orders: [u8; 2], steps: &[Step]) -> std::io::Result<()> {
    let mut bytes = orders.to_vec();
    for (what, place, count) in steps {
        bytes.extend([*what, *place]);
        bytes.extend(count.to_le_bytes());
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds/vchan");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), bytes)
}
