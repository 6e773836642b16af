//! The features of Xen that a kernel can use or needs.

/// A XENFEAT_* of Xen's public header `features.h`, as far as kernels name them in notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// The guest can write its page tables as if they were ordinary memory.
    WritablePageTables = 0,
    /// The guest can write its descriptor tables as if they were ordinary memory.
    WritableDescriptorTables = 1,
    /// The guest's frame numbers are translated for it.
    AutoTranslatedPhysmap = 2,
    /// The guest's kernel runs in ring 0.
    SupervisorModeKernel = 3,
    /// The top-level page table may lie above 4 GiB.
    PaePgdirAbove4Gb = 4,
    /// Updates of page tables keep the accessed and dirty bits.
    MmuPtUpdatePreserveAd = 5,
    /// Event channel upcalls come through a vector.
    HvmCallbackVector = 8,
    /// The guest can be the initial domain.
    Dom0 = 11,
}

impl Feature {
    const ALL: [Self; 8] = [
        Self::WritablePageTables,
        Self::WritableDescriptorTables,
        Self::AutoTranslatedPhysmap,
        Self::SupervisorModeKernel,
        Self::PaePgdirAbove4Gb,
        Self::MmuPtUpdatePreserveAd,
        Self::HvmCallbackVector,
        Self::Dom0,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::WritablePageTables => "writable_page_tables",
            Self::WritableDescriptorTables => "writable_descriptor_tables",
            Self::AutoTranslatedPhysmap => "auto_translated_physmap",
            Self::SupervisorModeKernel => "supervisor_mode_kernel",
            Self::PaePgdirAbove4Gb => "pae_pgdir_above_4gb",
            Self::MmuPtUpdatePreserveAd => "mmu_pt_update_preserve_ad",
            Self::HvmCallbackVector => "hvm_callback_vector",
            Self::Dom0 => "dom0",
        }
    }

    /// The bit of XEN_ELFNOTE_SUPPORTED_FEATURES.
    fn bit(self) -> u32 {
        1 << (self as u32)
    }
}

/// What the notes FEATURES and SUPPORTED_FEATURES say: a bit for each XENFEAT_*.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    supported: u32,
    required: u32,
}

impl Features {
    /// Whether the kernel can use a feature.
    #[must_use]
    pub fn supports(self, feature: Feature) -> bool {
        self.supported & feature.bit() != 0
    }

    /// Whether the kernel says that it needs a feature. Linux says so of `writable_page_tables` and runs without it.
    #[must_use]
    pub fn requires(self, feature: Feature) -> bool {
        self.required & feature.bit() != 0
    }

    /// Adds the bits of a SUPPORTED_FEATURES note.
    pub(super) fn add_bits(&mut self, bits: u32) {
        self.supported |= bits;
    }

    /// Adds the names of a FEATURES note: separated by `|`, `!` before one that the kernel needs.
    ///
    /// # Errors
    /// The name of a feature that is needed and unknown.
    pub(super) fn add_names<'a>(&mut self, names: &'a str) -> Result<(), &'a str> {
        for name in names.split('|') {
            let (name, needed) = name.strip_prefix('!').map_or((name, false), |name| (name, true));
            match Feature::ALL.iter().find(|feature| feature.name() == name) {
                Some(feature) => {
                    self.supported |= feature.bit();
                    self.required |= if needed { feature.bit() } else { 0 };
                }
                None if needed => return Err(name),
                None => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_features() {
        let mut features = Features::default();
        features.add_bits(0x8801);
        features
            .add_names("!writable_page_tables|pae_pgdir_above_4gb|from_the_future")
            .unwrap();
        assert!(features.supports(Feature::PaePgdirAbove4Gb) && !features.requires(Feature::PaePgdirAbove4Gb));
        assert!(features.requires(Feature::WritablePageTables) && features.supports(Feature::Dom0));
        assert!(!features.supports(Feature::AutoTranslatedPhysmap));
        assert_eq!(features.add_names("dom0|!from_the_future"), Err("from_the_future"));
    }
}
