//! `struct start_info` of Xen's `public/xen.h`: what a PV guest is told when it starts.

use super::{Error, Layout};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromZeros, Immutable, IntoBytes};

/// `MAX_GUEST_CMDLINE`, the field with its terminating zero.
const COMMAND_LINE_FIELD: usize = 1024;

/// Longest command line in bytes.
pub const COMMAND_LINE_MAX: usize = COMMAND_LINE_FIELD - 1;

/// Length of the structure; the rest of its page is to be zero.
pub const START_INFO_BYTES: usize = size_of::<StartInfo>();

/// The module is named by frame number.
const SIF_MOD_START_PFN: u32 = 1 << 3;
/// Xen's tools understand a p2m list that is linear in the guest's addresses.
const SIF_VIRT_P2M_4TOOLS: u32 = 1 << 4;

const MAGIC: &[u8] = b"xen-3.0-x86_64";

/// The 64-bit layout; `_pad` where the compiler of the header pads.
#[derive(FromZeros, IntoBytes, Immutable)]
#[repr(C)]
struct StartInfo {
    magic: [u8; 32],
    nr_pages: U64,
    shared_info: U64,
    flags: U32,
    _pad_flags: U32,
    store_mfn: U64,
    store_evtchn: U32,
    _pad_store: U32,
    console_mfn: U64,
    console_evtchn: U32,
    _pad_console: U32,
    pt_base: U64,
    nr_pt_frames: U64,
    mfn_list: U64,
    mod_start: U64,
    mod_len: U64,
    cmd_line: [u8; COMMAND_LINE_FIELD],
    first_p2m_pfn: U64,
    nr_p2m_frames: U64,
}

/// What only the hypervisor's caller knows of a new guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// Machine address of the domain's shared info page.
    pub shared_info: u64,
    /// The guest's event channel port to xenstore; 0 when nobody serves it.
    pub xenstore_port: u32,
    /// The guest is xenstore: no frame of a ring is named, and the port is one that its builder offers to it.
    pub is_xenstore: bool,
    /// The guest's event channel port to its console; 0 when nobody serves it.
    pub console_port: u32,
}

impl Layout {
    /// The start info, to be written at the start of [`Layout::start_info`]'s frame.
    ///
    /// # Errors
    /// [`Error::CommandLineLength`] and [`Error::CommandLineZero`] for a command line that the field cannot hold: it is never cut.
    pub fn start_info_bytes(
        &self,
        connections: &Connections,
        command_line: &[u8],
        mfn_of: impl Fn(u64) -> u64,
    ) -> Result<[u8; START_INFO_BYTES], Error> {
        if command_line.len() > COMMAND_LINE_MAX {
            return Err(Error::CommandLineLength {
                bytes: command_line.len(),
            });
        }
        if let Some(offset) = command_line.iter().position(|&byte| byte == 0) {
            return Err(Error::CommandLineZero { offset });
        }
        let mut info = StartInfo::new_zeroed();
        copy(&mut info.magic, MAGIC);
        copy(&mut info.cmd_line, command_line);
        info.nr_pages.set(self.nr_pages);
        info.shared_info.set(connections.shared_info);
        let mut flags = SIF_VIRT_P2M_4TOOLS;
        if !connections.is_xenstore {
            info.store_mfn.set(mfn_of(self.xenstore.pfn));
        }
        info.store_evtchn.set(connections.xenstore_port);
        info.console_mfn.set(mfn_of(self.console.pfn));
        info.console_evtchn.set(connections.console_port);
        info.pt_base.set(self.page_tables.va.unwrap_or(0));
        info.nr_pt_frames.set(self.page_tables.pages);
        info.mfn_list.set(self.p2m_list.va.unwrap_or(0));
        if let Some(ramdisk) = self.ramdisk {
            info.mod_start
                .set(ramdisk.placement.va.unwrap_or(ramdisk.placement.pfn));
            info.mod_len.set(ramdisk.bytes);
            if ramdisk.placement.va.is_none() {
                flags |= SIF_MOD_START_PFN;
            }
        }
        if self.p2m_tables.pages > 0 {
            // Both the list and the tables that map it, as the header says.
            info.first_p2m_pfn.set(self.p2m_list.pfn);
            info.nr_p2m_frames.set(self.p2m_list.pages + self.p2m_tables.pages);
        }
        info.flags.set(flags);
        let mut bytes = [0; START_INFO_BYTES];
        copy(&mut bytes, info.as_bytes());
        Ok(bytes)
    }
}

/// Copies as much of `source` as there is room for.
fn copy(field: &mut [u8], source: &[u8]) {
    for (byte, value) in field.iter_mut().zip(source) {
        *byte = *value;
    }
}
