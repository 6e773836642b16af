//! The Xen notes of a kernel.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;

use object::LittleEndian;
use object::elf::{self, FileHeader64, ProgramHeader64};
use object::read::elf::{FileHeader, Note, NoteIterator, ProgramHeader, SectionHeader};

use super::error::ElfError;
use super::features::Features;

/// The most notes that are looked at. Linux has about twenty.
const MAX_NOTES: usize = 1024;

/// The longest text of a note that is kept, bytes.
const MAX_TEXT: usize = 256;

/// What a kernel's notes with the name `Xen` say (Xen's public header `elfnote.h`). Of a note that is there twice the
/// last counts. Notes of unknown types are passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// ENTRY: the virtual address where a PV guest begins.
    pub entry: Option<u64>,
    /// HYPERCALL_PAGE: the virtual address of the page that Xen fills with hypercall stubs.
    pub hypercall_page: Option<u64>,
    /// VIRT_BASE: the virtual address of pseudo-physical address 0.
    pub virt_base: Option<u64>,
    /// PADDR_OFFSET: what is subtracted from `p_paddr` to get a pseudo-physical address.
    pub paddr_offset: Option<u64>,
    /// XEN_VERSION: the interface the kernel was made for.
    pub xen_version: Option<String>,
    /// GUEST_OS: the operating system.
    pub guest_os: Option<String>,
    /// GUEST_VERSION: its version.
    pub guest_version: Option<String>,
    /// LOADER: the kind of loader that it wants.
    pub loader: Option<String>,
    /// PAE_MODE: of meaning for 32-bit kernels only.
    pub pae_mode: Option<String>,
    /// FEATURES and SUPPORTED_FEATURES.
    pub features: Features,
    /// BSD_SYMTAB: the kernel wants its symbol table loaded behind it.
    pub bsd_symtab: bool,
    /// HV_START_LOW: the lowest address where the hypervisor's part of the address space may begin.
    pub hv_start_low: Option<u64>,
    /// L1_MFN_VALID: mask and value of page table entries that hold a machine frame number.
    pub l1_mfn_valid: Option<(u64, u64)>,
    /// SUSPEND_CANCEL: the kernel can go on after a suspend that was called off.
    pub suspend_cancel: bool,
    /// INIT_P2M: the virtual address of the initial table from pseudo-physical to machine frames.
    pub init_p2m: Option<u64>,
    /// MOD_START_PFN: the RAM disk need not be mapped; start_info then gives its frame number.
    pub mod_start_pfn: bool,
    /// PHYS32_ENTRY: the physical address where a PVH guest begins.
    pub phys32_entry: Option<u64>,
}

impl Notes {
    /// Reads the notes of the PT_NOTE segments or, if these have no Xen note, of the SHT_NOTE sections.
    pub(super) fn read(
        header: &FileHeader64<LittleEndian>,
        segments: &[ProgramHeader64<LittleEndian>],
        file: &[u8],
    ) -> Result<Self, ElfError> {
        let mut reader = Reader {
            notes: Self::default(),
            looked_at: 0,
            found: 0,
        };
        for segment in segments {
            // Some linkers leave the offset of a note segment at zero: no notes are there.
            if segment.p_offset(LittleEndian) == 0 {
                continue;
            }
            if let Some(notes) = segment.notes(LittleEndian, file).map_err(ElfError::malformed)? {
                reader.read(notes)?;
            }
        }
        if reader.found == 0 {
            for section in header
                .section_headers(LittleEndian, file)
                .map_err(ElfError::malformed)?
            {
                if let Some(notes) = section.notes(LittleEndian, file).map_err(ElfError::malformed)? {
                    reader.read(notes)?;
                }
            }
        }
        if reader.found == 0 {
            Err(ElfError::NoXenNotes)
        } else {
            Ok(reader.notes)
        }
    }

    /// Takes one Xen note. Numbers of the types from `elfnote.h`.
    fn take(&mut self, kind: u32, value: &[u8]) -> Result<(), ElfError> {
        match kind {
            1 => self.entry = Some(number("ENTRY", value)?),
            2 => self.hypercall_page = Some(number("HYPERCALL_PAGE", value)?),
            3 => self.virt_base = Some(number("VIRT_BASE", value)?),
            4 => self.paddr_offset = Some(number("PADDR_OFFSET", value)?),
            5 => self.xen_version = Some(text("XEN_VERSION", value)?.to_owned()),
            6 => self.guest_os = Some(text("GUEST_OS", value)?.to_owned()),
            7 => self.guest_version = Some(text("GUEST_VERSION", value)?.to_owned()),
            8 => self.loader = Some(text("LOADER", value)?.to_owned()),
            9 => self.pae_mode = Some(text("PAE_MODE", value)?.to_owned()),
            10 => {
                let unknown = |name| invalid("FEATURES", format!("it needs the unknown feature `{name}`"));
                self.features.add_names(text("FEATURES", value)?).map_err(unknown)?;
            }
            11 => self.bsd_symtab = text("BSD_SYMTAB", value)? == "yes",
            12 => self.hv_start_low = Some(number("HV_START_LOW", value)?),
            13 => self.l1_mfn_valid = pair(value),
            14 => self.suspend_cancel = number("SUSPEND_CANCEL", value)? != 0,
            15 => self.init_p2m = Some(number("INIT_P2M", value)?),
            16 => self.mod_start_pfn = number("MOD_START_PFN", value)? != 0,
            17 => {
                // One 32-bit word for each group of features; only the first group exists.
                let (first, _) = value
                    .split_first_chunk()
                    .ok_or_else(|| wrong_size("SUPPORTED_FEATURES", value))?;
                self.features.add_bits(u32::from_le_bytes(*first));
            }
            18 => self.phys32_entry = Some(number("PHYS32_ENTRY", value)?),
            _ => {}
        }
        Ok(())
    }
}

struct Reader {
    notes: Notes,
    looked_at: usize,
    found: usize,
}

impl Reader {
    fn read(&mut self, notes: NoteIterator<'_, FileHeader64<LittleEndian>>) -> Result<(), ElfError> {
        for note in notes {
            let note: Note<'_, FileHeader64<LittleEndian>> = note.map_err(ElfError::malformed)?;
            self.looked_at = self.looked_at.saturating_add(1);
            if self.looked_at > MAX_NOTES {
                return Err(ElfError::Notes { limit: MAX_NOTES });
            }
            if note.name() == b"Xen" {
                let elf::NoteType(kind) = note.n_type(LittleEndian);
                self.notes.take(kind, note.desc())?;
                self.found = self.found.saturating_add(1);
            }
        }
        Ok(())
    }
}

pub(super) fn invalid(name: &'static str, reason: String) -> ElfError {
    ElfError::Note { name, reason }
}

fn wrong_size(name: &'static str, value: &[u8]) -> ElfError {
    invalid(name, format!("{} bytes: a number has 4 or 8", value.len()))
}

/// A number of four or eight bytes.
fn number(name: &'static str, value: &[u8]) -> Result<u64, ElfError> {
    if let Ok(four) = value.try_into() {
        return Ok(u64::from(u32::from_le_bytes(four)));
    }
    value
        .try_into()
        .map(u64::from_le_bytes)
        .map_err(|_| wrong_size(name, value))
}

/// A mask and a value, eight bytes each; the note may hold more pairs, and older kernels hold smaller ones.
fn pair(value: &[u8]) -> Option<(u64, u64)> {
    let (mask, rest) = value.split_first_chunk()?;
    let (expected, _) = rest.split_first_chunk()?;
    Some((u64::from_le_bytes(*mask), u64::from_le_bytes(*expected)))
}

/// ASCII text up to a NUL or to the note's end: Linux leaves out the NUL of FEATURES.
fn text<'a>(name: &'static str, value: &'a [u8]) -> Result<&'a str, ElfError> {
    let bytes = value.split(|byte| *byte == 0).next().unwrap_or_default();
    if bytes.len() > MAX_TEXT {
        return Err(invalid(
            name,
            format!("{} bytes of text: at most {MAX_TEXT} are accepted", bytes.len()),
        ));
    }
    core::str::from_utf8(bytes)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '))
        .ok_or_else(|| invalid(name, String::from("not printable ASCII")))
}
