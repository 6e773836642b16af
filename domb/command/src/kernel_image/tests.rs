//! Unpacking bzImages that are made here, in every compression, whole and damaged.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use lzma_rust2::{FilterType, LzmaOptions, LzmaWriter, XzOptions, XzWriter};
use proptest::prelude::*;

use super::*;

const ALL: [Compression; 5] = [
    Compression::Gzip,
    Compression::Xz,
    Compression::Lzma,
    Compression::Lz4,
    Compression::Zstd,
];

/// Something that looks like an ELF file with code in it: calls for the branch filter, repetition, and noise. Longer than
/// one block of an LZ4 legacy frame.
fn kernel() -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01\0".to_vec();
    let mut noise = 1_u32;
    while bytes.len() < (9 << 20) {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes.extend([0xe8]);
        bytes.extend((noise % 0x0010_0000).to_le_bytes());
        bytes.extend(b"the same words each time");
    }
    bytes
}

/// A smaller one.
fn small_kernel() -> Vec<u8> {
    kernel()[..5000].to_vec()
}

/// What Linux's build makes of `kernel`: compressed, and its size behind it.
fn payload(compression: Compression, kernel: &[u8]) -> Vec<u8> {
    let mut packed = match compression {
        Compression::Gzip => {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            writer.write_all(kernel).unwrap();
            return writer.finish().unwrap();
        }
        Compression::Xz => {
            let mut options = XzOptions::with_preset(1);
            options.prepend_pre_filter(FilterType::BcjX86, 0);
            let mut writer = XzWriter::new(Vec::new(), options).unwrap();
            writer.write_all(kernel).unwrap();
            writer.finish().unwrap()
        }
        Compression::Lzma => {
            let mut writer = LzmaWriter::new_use_header(Vec::new(), &LzmaOptions::with_preset(1), None).unwrap();
            writer.write_all(kernel).unwrap();
            writer.finish().unwrap()
        }
        Compression::Lz4 => lz4_frame(kernel),
        Compression::Zstd => ruzstd::encoding::compress_to_vec(kernel, ruzstd::encoding::CompressionLevel::Fastest),
    };
    packed.extend(u32::try_from(kernel.len()).unwrap().to_le_bytes());
    packed
}

fn lz4_frame(kernel: &[u8]) -> Vec<u8> {
    let mut frame = lz4_legacy::MAGIC.to_vec();
    for block in kernel.chunks(8 << 20) {
        let packed = lz4_flex::block::compress(block);
        frame.extend(u32::try_from(packed.len()).unwrap().to_le_bytes());
        frame.extend(packed);
    }
    frame
}

/// A bzImage around a payload: `setup_sects` is 1, and 16 bytes of code stand before the payload.
fn bz_image(payload: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 1024 + 16];
    file[0x1f1] = 1;
    file[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    file[0x202..0x206].copy_from_slice(b"HdrS");
    file[0x206..0x208].copy_from_slice(&0x020f_u16.to_le_bytes());
    file[0x248..0x24c].copy_from_slice(&16_u32.to_le_bytes());
    file[0x24c..0x250].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
    file.extend(payload);
    file.extend(b"behind the payload");
    file
}

fn error(file: &[u8]) -> String {
    unpack(file).unwrap_err().to_string()
}

#[test]
fn every_compression_gives_the_kernel_back() {
    let kernel = kernel();
    for compression in ALL {
        let file = bz_image(&payload(compression, &kernel));
        let unpacked = unpack(&file).unwrap_or_else(|error| panic!("{compression}: {error}"));
        assert_eq!(unpacked.contents, Contents::BzImage(compression));
        assert!(unpacked.is_elf());
        assert!(unpacked.bytes == kernel, "{compression}");
    }
}

#[test]
fn an_elf_file_is_kept() {
    let kernel = small_kernel();
    let unpacked = unpack(&kernel).unwrap();
    assert_eq!(
        unpacked,
        Unpacked {
            contents: Contents::Elf,
            bytes: Cow::Borrowed(kernel.as_slice())
        }
    );
    assert!(unpacked.is_elf());
}

#[test]
fn other_files_are_data() {
    // Among them a gzip file: an initial ramdisk is not for this tool to open.
    let gzip = payload(Compression::Gzip, b"070701");
    let no_header = vec![0; 4096];
    let mut boot_sector = vec![0; 512];
    boot_sector[510..].copy_from_slice(&[0x55, 0xaa]);
    for file in [b"".as_slice(), b"070701", &gzip, &no_header, &boot_sector] {
        assert_eq!(
            unpack(file).unwrap(),
            Unpacked {
                contents: Contents::Data,
                bytes: Cow::Borrowed(file)
            }
        );
    }
}

#[test]
fn zero_setup_sectors_mean_four() {
    let payload = payload(Compression::Lz4, &small_kernel());
    let mut file = bz_image(&payload);
    file.splice(1024..1024, vec![0; 3 * 512]);
    file[0x1f1] = 0;
    assert_eq!(unpack(&file).unwrap().bytes, small_kernel());
}

#[test]
fn several_lz4_frames_follow_one_another() {
    let kernel = small_kernel();
    let mut packed = [lz4_frame(&kernel[..100]), lz4_frame(&kernel[100..])].concat();
    packed.extend(5000_u32.to_le_bytes());
    assert_eq!(unpack(&bz_image(&packed)).unwrap().bytes, kernel);
}

#[test]
fn old_boot_protocols_are_refused() {
    let mut file = bz_image(&payload(Compression::Gzip, &small_kernel()));
    file[0x206..0x208].copy_from_slice(&0x0207_u16.to_le_bytes());
    assert_eq!(
        error(&file),
        "bzImage of boot protocol 2.07: a payload is described from 2.08 (Linux 2.6.26) on"
    );
}

#[test]
fn a_file_cut_anywhere_is_refused_or_data() {
    for compression in ALL {
        let payload = payload(compression, &small_kernel());
        let file = bz_image(&payload);
        let end = 1040 + payload.len();
        for length in 0..end {
            match unpack(&file[..length]) {
                Ok(unpacked) => assert!(length < 0x206 && unpacked.contents == Contents::Data, "{length}"),
                Err(error) => assert!(
                    length >= 0x206 && error.to_string().starts_with("bzImage cut short"),
                    "{error}"
                ),
            }
        }
        assert!(unpack(&file[..end]).is_ok());
    }
    let file = bz_image(&payload(Compression::Gzip, &small_kernel()));
    assert_eq!(
        error(&file[..0x24f]),
        "bzImage cut short: 591 bytes, its setup header needs 592"
    );
    assert!(error(&file[..1100]).starts_with("bzImage cut short: 1100 bytes, its payload is "));
}

#[test]
fn a_payload_cut_anywhere_is_refused() {
    for compression in ALL {
        let payload = payload(compression, &small_kernel());
        for length in 0..payload.len() {
            assert!(
                unpack(&bz_image(&payload[..length])).is_err(),
                "{compression} cut to {length}"
            );
        }
    }
}

#[test]
fn a_payload_beyond_the_address_space_is_refused() {
    let mut file = bz_image(b"");
    file[0x248..0x250].fill(0xff);
    assert_eq!(
        error(&file),
        "bzImage cut short: 1058 bytes, its payload is 4294967295 bytes at offset 4294968319"
    );
}

#[test]
fn compressions_that_are_not_supported_are_named() {
    for (magic, name) in [
        (b"BZh91AY".as_slice(), "bzip2"),
        (b"\x89LZO\0\r\n", "LZO"),
        (&[0x04, 0x22, 0x4d, 0x18], "LZ4 (current frame)"),
    ] {
        assert_eq!(
            error(&bz_image(magic)),
            format!(
                "bzImage compressed with {name}: not supported; accepted: gzip, XZ, LZMA, LZ4 (legacy frame), zstd"
            )
        );
    }
    assert_eq!(
        error(&bz_image(b"\x01\x02")),
        "bzImage payload begins with [01, 02]: no known compression; accepted: gzip, XZ, LZMA, LZ4 (legacy frame), zstd"
    );
    assert_eq!(
        error(&bz_image(&[0x1f, 0x8b])),
        "bzImage payload of 2 bytes is too short to be gzip"
    );
}

#[test]
fn a_wrong_size_is_refused() {
    for compression in ALL {
        for (declared, more) in [(4999_u32, " or more"), (5001, "")] {
            let mut payload = payload(compression, &small_kernel());
            let at = payload.len() - 4;
            payload[at..].copy_from_slice(&declared.to_le_bytes());
            let error = error(&bz_image(&payload));
            // gzip's own check finds the size that is too large first, as does LZ4's the one that is too small.
            let ours =
                format!("bzImage payload is damaged: {compression}: unpacked to 5000 bytes{more}, {declared} declared");
            let theirs = format!("bzImage payload is damaged: {compression}: ");
            assert!(error == ours || error.starts_with(&theirs), "{error}");
        }
    }
}

#[test]
fn the_bound_is_held() {
    for compression in ALL {
        let file = bz_image(&payload(compression, &small_kernel()));
        assert_eq!(
            unpack_bounded(&file, 4999).unwrap_err().to_string(),
            "bzImage payload declares 5000 bytes unpacked: more than the 4999 that are allowed"
        );
        assert!(unpack_bounded(&file, 5000).is_ok());
    }
}

#[test]
fn more_than_declared_is_never_unpacked() {
    // 16 MiB of zeros that say they are 16 bytes.
    let zeros = vec![0; 16 << 20];
    for compression in ALL {
        let mut payload = payload(compression, &zeros);
        let at = payload.len() - 4;
        payload[at..].copy_from_slice(&16_u32.to_le_bytes());
        assert!(error(&bz_image(&payload)).starts_with(&format!("bzImage payload is damaged: {compression}")));
    }
}

#[test]
fn a_payload_that_is_no_elf_file_is_refused() {
    for compression in ALL {
        assert_eq!(
            error(&bz_image(&payload(
                compression,
                b"MZ not an ELF file, but long enough to be compressed"
            ))),
            format!("bzImage payload ({compression}) holds no ELF file: it begins with [4d, 5a, 20, 6e]")
        );
    }
}

#[test]
fn a_flipped_bit_is_seen_where_there_is_a_check_sum() {
    // LZ4's legacy frame and LZMA have none.
    for compression in [Compression::Gzip, Compression::Xz, Compression::Zstd] {
        let good = payload(compression, &small_kernel());
        for at in (20..good.len() - 4).step_by(7) {
            let mut payload = good.clone();
            payload[at] ^= 0x10;
            if let Ok(unpacked) = unpack(&bz_image(&payload)) {
                assert!(unpacked.bytes == small_kernel(), "{compression}: byte {at}");
            }
        }
    }
}

/// Distribution kernels: each file named in `DOMB_TEST_KERNELS` (paths, separated by colons).
#[test]
#[ignore = "needs DOMB_TEST_KERNELS=vmlinuz:vmlinuz"]
fn kernels_of_distributions() {
    let kernels = std::env::var("DOMB_TEST_KERNELS").expect("DOMB_TEST_KERNELS names bzImages, separated by colons");
    for path in kernels.split(':') {
        let file = fs::read(Path::new(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let begun = std::time::Instant::now();
        let unpacked = unpack(&file).unwrap_or_else(|error| panic!("{path}: {error}"));
        let Contents::BzImage(compression) = unpacked.contents else {
            panic!("{path}: no bzImage")
        };
        println!(
            "{path}: {compression}, {} bytes, {:?}",
            unpacked.bytes.len(),
            begun.elapsed()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_damage_makes_it_panic(
        compression in prop::sample::select(&ALL[..]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut payload = payload(compression, &small_kernel());
        for (at, byte) in changes {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        let _ = unpack_bounded(&bz_image(&payload), 1 << 20);
    }
}
