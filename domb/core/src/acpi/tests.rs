extern crate std;

use super::*;
use alloc::string::String;
use alloc::vec::Vec;
use std::process::Command;

const REGION_GPA: u64 = 0xFC00_0000;

fn build_for(vcpus: u16, max_vcpus: u16) -> Tables {
    build(&Input {
        vcpus,
        max_vcpus,
        region_gpa: REGION_GPA,
        region_len: 0x10000,
    })
    .unwrap()
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn half(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The table that begins at `gpa`, with its checksum verified.
fn table_at(tables: &Tables, gpa: u64) -> &[u8] {
    let start = usize::try_from(gpa - REGION_GPA).unwrap();
    let length = usize::try_from(half(&tables.bytes, start + 4)).unwrap();
    let table = &tables.bytes[start..start + length];
    assert_eq!(sum(table), 0, "checksum of {:?}", &table[..4]);
    table
}

/// What a guest finds when it follows the RSDP: signature and bytes of each table.
fn walk(tables: &Tables) -> Vec<(String, Vec<u8>)> {
    let rsdp = tables.rsdp();
    assert_eq!(tables.rsdp_gpa, REGION_GPA);
    assert_eq!(&rsdp[..8], b"RSD PTR ");
    assert_eq!(rsdp[15], 2);
    assert_eq!(sum(&rsdp[..20]), 0);
    assert_eq!(sum(rsdp), 0);
    let xsdt = table_at(tables, word(rsdp, 24));
    assert_eq!(&xsdt[..4], b"XSDT");
    let mut found = Vec::new();
    for entry in xsdt[36..].chunks(8) {
        let table = table_at(tables, word(entry, 0));
        if &table[..4] == b"FACP" {
            let dsdt = table_at(tables, word(table, 140));
            found.push((String::from("DSDT"), dsdt.to_vec()));
        }
        found.push((String::from_utf8(table[..4].to_vec()).unwrap(), table.to_vec()));
    }
    found
}

fn find(tables: &Tables, signature: &str) -> Vec<u8> {
    walk(tables).into_iter().find(|(name, _)| name == signature).unwrap().1
}

#[test]
fn a_guest_finds_every_table() {
    let names: Vec<String> = walk(&build_for(1, 1)).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["DSDT", "FACP", "APIC"]);
}

#[test]
fn every_vcpu_has_a_local_apic_of_twice_its_number() {
    for (vcpus, max_vcpus) in [(1, 1), (1, 4), (4, 4), (64, 64), (3, 64), (128, 128)] {
        let madt = find(&build_for(vcpus, max_vcpus), "APIC");
        assert_eq!(half(&madt, 36), 0xFEE0_0000);
        assert_eq!(half(&madt, 40), 0, "no 8259 pair");
        let entries: Vec<&[u8]> = madt[44..].chunks(8).collect();
        assert_eq!(entries.len(), usize::from(max_vcpus));
        for (vcpu, entry) in (0u16..).zip(entries) {
            let flags = if vcpu < vcpus { 1 } else { 2 };
            assert_eq!(entry[..2], [0, 8]);
            assert_eq!(u16::from(entry[2]), vcpu);
            assert_eq!(u16::from(entry[3]), 2 * vcpu);
            assert_eq!(half(entry, 4), flags);
        }
    }
}

#[test]
fn the_machine_is_hardware_reduced() {
    let fadt = find(&build_for(2, 2), "FACP");
    assert_eq!(fadt[8], 6);
    assert_eq!(fadt.len(), 276);
    assert_eq!(fadt[109..111], [0x24, 0], "no VGA, no CMOS clock, no 8042");
    assert_ne!(half(&fadt, 112) & 1 << 20, 0);
    assert_eq!(half(&fadt, 112) & 1 << 10, 0, "no reset register");
}

#[test]
fn tables_of_a_large_guest_fit_in_a_page() {
    assert!(build_for(1, 64).bytes.len() <= 4096);
}

#[test]
fn nonsense_is_refused() {
    let good = Input {
        vcpus: 1,
        max_vcpus: 1,
        region_gpa: REGION_GPA,
        region_len: 0x1000,
    };
    for (vcpus, max_vcpus) in [(0, 1), (2, 1), (1, 129), (0, 0)] {
        let result = build(&Input {
            vcpus,
            max_vcpus,
            ..good
        });
        assert_eq!(result, Err(Error::Vcpus { vcpus, max_vcpus }));
    }
    for region_gpa in [REGION_GPA + 1, 0xFFFF_FFC0, u64::MAX - 63] {
        assert_eq!(build(&Input { region_gpa, ..good }), Err(Error::Address { region_gpa }));
    }
    let result = build(&Input { max_vcpus: 128, ..good });
    assert!(matches!(
        result,
        Err(Error::Region {
            max_vcpus: 128,
            needed: 0x1001..=0x2000,
            region_len: 0x1000
        })
    ));
}

/// ACPICA's own disassembler reads the tables: its parser is the one that Linux has. Needs `iasl` (Debian: acpica-tools).
#[test]
fn acpica_disassembles_every_table() {
    if Command::new("iasl").arg("-v").output().is_err() {
        std::eprintln!("no iasl on this machine: tables not given to ACPICA");
        return;
    }
    let directory = std::env::temp_dir().join(std::format!("domb-acpi-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    for (vcpus, max_vcpus) in [(1, 1), (2, 64)] {
        for (name, table) in walk(&build_for(vcpus, max_vcpus)) {
            let file = directory.join(std::format!("{name}.aml"));
            std::fs::write(&file, table).unwrap();
            let run = Command::new("iasl").arg("-d").arg(&file).output().unwrap();
            let said = String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned();
            assert!(run.status.success(), "{name}: {said}");
            for complaint in ["Warning", "Error", "Invalid", "checksum"] {
                assert!(!said.contains(complaint), "{name}: {said}");
            }
            let source = std::fs::read_to_string(file.with_extension("dsl")).unwrap();
            match name.as_str() {
                "DSDT" => {
                    assert_eq!(source.matches("\"ACPI0007\"").count(), usize::from(max_vcpus));
                    let again = Command::new("iasl")
                        .arg("-we")
                        .arg(file.with_extension("dsl"))
                        .output()
                        .unwrap();
                    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stdout));
                }
                "APIC" => assert_eq!(
                    source.matches("Runtime Online Capable : 1").count(),
                    usize::from(max_vcpus - vcpus)
                ),
                _ => assert!(source.contains("Hardware Reduced (V5) : 1"), "{source}"),
            }
        }
    }
    std::fs::remove_dir_all(&directory).unwrap();
}
