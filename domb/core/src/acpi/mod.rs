//! The ACPI tables of a PVH guest.
//!
//! A PVH guest has no firmware; its builder places the tables and names the RSDP in the start info. They tell the guest its
//! processors and what a PC has and this machine has not. Xen's own toolstack (tools/libacpi, tools/libs/light/libxl_x86_acpi.c)
//! gives PVH guests the same set: RSDP, XSDT, FADT, MADT, DSDT. Two things differ on purpose:
//!
//! - The FADT says *hardware-reduced ACPI* (ACPI 6.5, section 4.1). A PVH guest has no PM1 event and control blocks, no PM
//!   timer, no SCI and no 8259: with those described, as libacpi does, a guest reads ports that nobody answers.
//! - The processors are `Device` objects, as ACPI 6 asks (section 8.4), not the deprecated `Processor` ones, and have no
//!   methods that poke a PC's CPU hotplug port.
//!
//! Processor numbers: the processor UID is Xen's vCPU number (Linux takes it for that, `xen_cpu_up_prepare_hvm()` in
//! arch/x86/xen/enlighten_hvm.c), and the local APIC ID is twice the vCPU number (`GET_xAPIC_ID`, xen/arch/x86/hvm/vlapic.c).
//! A processor that may come later is listed as *online capable* (ACPI 6.3, table 5.48), which makes Linux count it as possible
//! and not bring it up.
//!
//! A TPM 2.0 table and its `MSFT0101` device join here later: one more table in the XSDT, one more device in the DSDT.

mod tables;

use alloc::vec::Vec;

/// Most vCPUs of an HVM or PVH guest, `HVM_MAX_VCPUS` in Xen's `public/hvm/hvm_info_table.h`. The highest local APIC ID is
/// then 254, so that no processor needs an x2APIC entry (those begin at 255).
pub const MAX_VCPUS: u16 = 128;

/// Length of an RSDP of revision 2 in bytes.
pub const RSDP_BYTES: usize = 36;

/// What the tables are to describe, and where they are to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input {
    /// Processors that the guest starts with; at least 1.
    pub vcpus: u16,
    /// Processors that it may have in the end; at least `vcpus`, at most [`MAX_VCPUS`].
    pub max_vcpus: u16,
    /// Guest-physical address of the tables; a multiple of 64.
    pub region_gpa: u64,
    /// Bytes that the tables may take there.
    pub region_len: u64,
}

/// The finished tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// What to write at [`Input::region_gpa`].
    pub bytes: Vec<u8>,
    /// Guest-physical address of the RSDP, for the start info.
    pub rsdp_gpa: u64,
}

impl Tables {
    /// The RSDP alone: a copy of it serves where old kernels search for one ([`crate::pvh::LEGACY_RSDP_GPA`]).
    #[must_use]
    pub fn rsdp(&self) -> &[u8] {
        self.bytes.get(..RSDP_BYTES).unwrap_or_default()
    }
}

/// Why there are no tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The processor counts contradict each other or the interface.
    #[error("{vcpus} vCPUs of at most {max_vcpus}: a PVH guest has 1 to {MAX_VCPUS}")]
    Vcpus {
        /// Processors to start with.
        vcpus: u16,
        /// Processors in the end.
        max_vcpus: u16,
    },
    /// The region is misaligned, or it or one of the tables ends beyond the addresses of the table format.
    #[error("ACPI tables at {region_gpa:#x}: not a multiple of 64, or too high")]
    Address {
        /// Guest-physical address asked for.
        region_gpa: u64,
    },
    /// The tables are larger than the region.
    #[error("ACPI tables for {max_vcpus} vCPUs take {needed} bytes, their region has {region_len}")]
    Region {
        /// Processors in the end.
        max_vcpus: u16,
        /// Bytes that the tables take.
        needed: u64,
        /// Bytes that there are.
        region_len: u64,
    },
}

/// Makes the tables.
///
/// # Errors
/// [`Error::Vcpus`], [`Error::Address`] for an input that makes no sense; [`Error::Region`] when the tables do not fit.
pub fn build(input: &Input) -> Result<Tables, Error> {
    if input.vcpus == 0 || input.vcpus > input.max_vcpus || input.max_vcpus > MAX_VCPUS {
        return Err(Error::Vcpus {
            vcpus: input.vcpus,
            max_vcpus: input.max_vcpus,
        });
    }
    let address_error = Error::Address {
        region_gpa: input.region_gpa,
    };
    // ACPICA wants the tables of a machine without long-mode firmware below 4 GiB, and so does the 32-bit entry of PVH.
    let fits_low = input
        .region_gpa
        .checked_add(input.region_len)
        .is_some_and(|end| end <= 1 << 32);
    if !input.region_gpa.is_multiple_of(64) || !fits_low {
        return Err(address_error);
    }
    let tables = tables::assemble(input);
    let needed = u64::try_from(tables.bytes.len()).unwrap_or(u64::MAX);
    if needed > input.region_len {
        return Err(Error::Region {
            max_vcpus: input.max_vcpus,
            needed,
            region_len: input.region_len,
        });
    }
    Ok(tables)
}

#[cfg(test)]
mod tests;
