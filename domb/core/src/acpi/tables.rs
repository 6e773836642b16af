//! The tables one by one, and their places in the region.

use super::{Input, Tables};
use acpi_tables::aml::{Device, Name, Path, Scope, ZERO};
use acpi_tables::fadt::{FADT, FADTBuilder, Flags};
use acpi_tables::madt::{EnabledStatus, ProcessorLocalApic};
use acpi_tables::rsdp::Rsdp;
use acpi_tables::sdt::Sdt;
use acpi_tables::xsdt::XSDT;
use acpi_tables::{Aml, AmlSink};
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

const OEM_ID: [u8; 6] = *b"DOMB  ";
const OEM_TABLE_ID: [u8; 8] = *b"PVHGUEST";
const OEM_REVISION: u32 = 1;

/// Bytes of a table header.
const HEADER_BYTES: u32 = 36;

/// Default address of every local APIC (Intel SDM vol. 3, section 11.4.1); where Xen emulates it.
const LOCAL_APIC_GPA: u32 = 0xFEE0_0000;

/// FADT boot architecture flags (ACPI 6.5, table 5.11): no VGA to probe, no CMOS clock. The bits for legacy devices and for
/// an 8042 keyboard controller stay clear.
const NO_VGA_NO_CMOS_CLOCK: u16 = 1 << 2 | 1 << 5;

/// Latencies above 100 and 1000 µs say that there are no C2 and C3 states (ACPI 6.5, table 5.9).
const NO_SUCH_IDLE_STATE: u16 = 0x0fff;

/// AML that is already encoded.
struct Encoded(Vec<u8>);

impl Aml for Encoded {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        sink.vec(&self.0);
    }
}

fn encode(object: &dyn Aml) -> Vec<u8> {
    let mut bytes = Vec::new();
    object.to_aml_bytes(&mut bytes);
    bytes
}

/// Places tables one after the other in the region.
struct Region {
    gpa: u64,
    bytes: Vec<u8>,
}

impl Region {
    /// Tables begin at multiples of this.
    const ALIGNMENT: usize = 16;

    /// Appends a table; returns its guest-physical address.
    fn place(&mut self, table: &[u8]) -> u64 {
        let start = self.bytes.len().next_multiple_of(Self::ALIGNMENT);
        self.bytes.resize(start, 0);
        self.bytes.extend_from_slice(table);
        self.gpa.saturating_add(u64::try_from(start).unwrap_or(u64::MAX))
    }
}

/// The tables of `input`, whose numbers are checked, from its region's first byte on. The RSDP comes first.
pub(super) fn assemble(input: &Input) -> Tables {
    let mut region = Region {
        gpa: input.region_gpa,
        bytes: vec![0; Rsdp::len()],
    };
    let dsdt = region.place(&dsdt(input));
    let fadt = region.place(&encode(&fadt(dsdt)));
    let madt = region.place(&madt(input));
    let mut xsdt = XSDT::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    xsdt.add_entry(fadt);
    xsdt.add_entry(madt);
    let xsdt = region.place(&encode(&xsdt));
    let rsdp = encode(&Rsdp::new(OEM_ID, xsdt));
    for (byte, value) in region.bytes.iter_mut().zip(rsdp) {
        *byte = value;
    }
    Tables {
        bytes: region.bytes,
        rsdp_gpa: input.region_gpa,
    }
}

/// Differentiated System Description Table: the processor devices.
fn dsdt(input: &Input) -> Vec<u8> {
    let mut devices = Vec::new();
    for vcpu in 0..input.max_vcpus {
        let id = Name::new(Path::new("_HID"), &"ACPI0007");
        let uid = Name::new(Path::new("_UID"), &vcpu);
        let absent = Name::new(Path::new("_STA"), &ZERO);
        let mut children: Vec<&dyn Aml> = vec![&id, &uid];
        if vcpu >= input.vcpus {
            children.push(&absent);
        }
        devices.extend(encode(&Device::new(Path::new(&format!("C{vcpu:03X}")), children)));
    }
    let devices = Encoded(devices);
    let mut table = Sdt::new(*b"DSDT", HEADER_BYTES, 2, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    table.append_slice(&encode(&Scope::new(Path::new("\\_SB_"), vec![&devices])));
    table.as_slice().to_vec()
}

/// Fixed ACPI Description Table: hardware-reduced, nothing of a PC's legacy.
fn fadt(dsdt_gpa: u64) -> FADT {
    let mut table = FADTBuilder::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION)
        .dsdt_64(dsdt_gpa)
        .flag(Flags::Wbinvd)
        // Set means that there is no button of the fixed kind.
        .flag(Flags::PwrButton)
        .flag(Flags::SlpButton)
        .flag(Flags::HwReducedAcpi);
    table.iapc_boot_arch = NO_VGA_NO_CMOS_CLOCK.into();
    table.p_lvl2_lat = NO_SUCH_IDLE_STATE.into();
    table.p_lvl3_lat = NO_SUCH_IDLE_STATE.into();
    table.finalize()
}

/// Multiple APIC Description Table: one local APIC for each vCPU, no I/O APIC, no 8259.
fn madt(input: &Input) -> Vec<u8> {
    // Revision 5 is that of ACPI 6.3, the first with the online-capable flag.
    let mut table = Sdt::new(*b"APIC", HEADER_BYTES, 5, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    let flags = 0u32;
    let mut body = [LOCAL_APIC_GPA.to_le_bytes(), flags.to_le_bytes()].concat();
    // MAX_VCPUS keeps both numbers within a byte.
    for (uid, apic_id) in (0..=u8::MAX)
        .zip((0..=u8::MAX).step_by(2))
        .take(usize::from(input.max_vcpus))
    {
        let status = if u16::from(uid) < input.vcpus {
            EnabledStatus::Enabled
        } else {
            EnabledStatus::DisabledOnlineCapable
        };
        body.extend(encode(&ProcessorLocalApic::new(uid, apic_id, status)));
    }
    table.append_slice(&body);
    table.as_slice().to_vec()
}
