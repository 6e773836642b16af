//! The CPU topology that a PVH guest sees.
//!
//! Xen fixes the APIC id of each vCPU at twice its number and answers the rest of CPUID from the domain's policy,
//! which begins as the host's: a guest would see its vCPUs spread over the host's packages. [`pvh_topology`] gives the
//! leaves to change with XEN_DOMCTL_set_cpu_policy, which keeps all others, so that the guest sees one package of
//! single-thread cores with room for every vCPU it may ever have.
//!
//! Xen answers the leaves 0xB and 0x8000001E itself, with no topology in them, so guests fall back to the leaves here.
//! A PV guest sees the host's topology; nothing is changed for it.
//!
//! Sources: Intel SDM volume 2A, CPUID, leaves 1 and 4; AMD APM volume 3, appendix E, Fn8000_0001 and Fn8000_0008;
//! Xen's `xen_cpuid_leaf_t` in the public header `arch-x86/xen.h`.

use alloc::vec::Vec;

use xen::CpuidLeaf;

/// The most vCPUs that a guest may have here.
pub const MAX_VCPUS: u16 = 64;

/// The subleaf of a leaf that has none (XEN_CPUID_NO_SUBLEAF).
pub const NO_SUBLEAF: u32 = u32::MAX;

/// Why there is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpuPolicyError {
    /// A number of vCPUs that is not offered.
    #[error("{0} vCPUs: accepted are 1 to {MAX_VCPUS}")]
    Vcpus(u16),
    /// The policy given lacks a leaf that every x86-64 CPU has.
    #[error("the CPU policy has no leaf {0:#x}")]
    MissingLeaf(u32),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Vendor {
    Intel,
    /// Also Hygon.
    Amd,
    Other,
}

/// The leaves that a PVH guest with room for `max_vcpus` vCPUs needs changed, given the leaves of its policy.
///
/// # Errors
/// [`CpuPolicyError`].
pub fn pvh_topology(max_vcpus: u16, leaves: &[CpuidLeaf]) -> Result<Vec<CpuidLeaf>, CpuPolicyError> {
    if max_vcpus == 0 || max_vcpus > MAX_VCPUS {
        return Err(CpuPolicyError::Vcpus(max_vcpus));
    }
    // A package has as many APIC ids as its highest id needs bits for; each id is a core of its own.
    let ids = u32::from(max_vcpus.next_power_of_two()) * 2;
    let find = |number| leaves.iter().find(move |leaf| leaf.leaf == number);
    let vendor = vendor(find(0).ok_or(CpuPolicyError::MissingLeaf(0))?);

    let mut changed = Vec::new();
    changed.push(processor_count(find(1).ok_or(CpuPolicyError::MissingLeaf(1))?, ids));
    match vendor {
        Vendor::Intel => {
            let caches = leaves.iter().filter(|leaf| leaf.leaf == 4 && leaf.a & 0x1F != 0);
            changed.extend(caches.map(|cache| private_cache(cache, ids)));
        }
        Vendor::Amd => {
            changed.extend(find(0x8000_0001).map(without_cmp_legacy));
            changed.extend(find(0x8000_0008).map(|leaf| core_count(leaf, ids)));
        }
        Vendor::Other => {}
    }
    Ok(changed)
}

/// The vendor in leaf 0: twelve characters in EBX, EDX, ECX.
fn vendor(leaf: &CpuidLeaf) -> Vendor {
    let mut name = [0; 12];
    let words = [leaf.b, leaf.d, leaf.c].map(u32::to_le_bytes);
    name.iter_mut()
        .zip(words.as_flattened())
        .for_each(|(to, from)| *to = *from);
    match &name {
        b"GenuineIntel" => Vendor::Intel,
        b"AuthenticAMD" | b"HygonGenuine" => Vendor::Amd,
        _ => Vendor::Other,
    }
}

/// Leaf 1: EBX[23:16] is the number of APIC ids in a package, valid by EDX[28] (HTT).
fn processor_count(leaf: &CpuidLeaf, ids: u32) -> CpuidLeaf {
    CpuidLeaf {
        b: leaf.b & !0x00FF_0000 | ids << 16,
        d: leaf.d | 1 << 28,
        ..*leaf
    }
}

/// Leaf 4: EAX[31:26] is the number of cores in a package less one, at most 63, EAX[25:14] the number of APIC ids that
/// share the cache less one. With 64 vCPUs a core has two ids, of which only the first is there.
fn private_cache(leaf: &CpuidLeaf, ids: u32) -> CpuidLeaf {
    let cores = ids.min(64);
    CpuidLeaf {
        a: leaf.a & 0x3FFF | (cores - 1) << 26,
        ..*leaf
    }
}

/// Leaf 0x80000001: ECX[1] (CmpLegacy) would turn the number of APIC ids into one of cores.
fn without_cmp_legacy(leaf: &CpuidLeaf) -> CpuidLeaf {
    CpuidLeaf {
        c: leaf.c & !(1 << 1),
        ..*leaf
    }
}

/// Leaf 0x80000008: ECX[15:12] is the number of APIC id bits that name a core, ECX[7:0] the number of cores less one.
fn core_count(leaf: &CpuidLeaf, ids: u32) -> CpuidLeaf {
    CpuidLeaf {
        c: leaf.c & !0xF0FF | ids.ilog2() << 12 | (ids - 1),
        ..*leaf
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use super::*;

    fn leaf(leaf: u32, subleaf: u32, [a, b, c, d]: [u32; 4]) -> CpuidLeaf {
        CpuidLeaf {
            leaf,
            subleaf,
            a,
            b,
            c,
            d,
        }
    }

    fn intel() -> Vec<CpuidLeaf> {
        vec![
            leaf(0, NO_SUBLEAF, [0xD, 0x756E_6547, 0x6C65_746E, 0x4965_6E69]),
            leaf(1, NO_SUBLEAF, [0x306A9, 0xFF10_0800, 0x1234, 0x0000_0001]),
            leaf(4, 0, [0x1C00_4121, 0x1C0_003F, 0x3F, 0]),
            leaf(4, 1, [0x1C03_C163, 0x2C0_003F, 0x7FFF, 6]),
            leaf(4, 2, [0, 0, 0, 0]),
            leaf(0x8000_0008, NO_SUBLEAF, [0x3027, 0, 0, 0]),
        ]
    }

    fn amd() -> Vec<CpuidLeaf> {
        vec![
            leaf(0, NO_SUBLEAF, [0xD, 0x6874_7541, 0x444D_4163, 0x6974_6E65]),
            leaf(1, NO_SUBLEAF, [0x80_0F12, 0x0002_0800, 0, 0x1780_0000]),
            leaf(0x8000_0001, NO_SUBLEAF, [0, 0, 0b111, 0]),
            leaf(0x8000_0008, NO_SUBLEAF, [0x3030, 0x1000, 0x0003_300F, 0]),
        ]
    }

    /// How Linux before 6.9 derives package and core from the APIC id (arch/x86/kernel/cpu, legacy topology).
    fn place_in_linux(apic_id: u32, ids: u32, cores: u32) -> (u32, u32) {
        let order = |count: u32| count.next_power_of_two().ilog2();
        let siblings = ids / cores;
        (
            apic_id >> order(ids),
            (apic_id >> order(siblings)) & ((1 << order(cores)) - 1),
        )
    }

    #[test]
    fn every_vcpu_is_a_core_of_one_package() {
        for (host, is_intel) in [(intel(), true), (amd(), false)] {
            for vcpus in 1..=MAX_VCPUS {
                let changed = pvh_topology(vcpus, &host).unwrap();
                let find = |number| changed.iter().find(|leaf| leaf.leaf == number).unwrap();
                let ids = find(1).b >> 16 & 0xFF;
                assert_eq!(find(1).d >> 28 & 1, 1);
                let cores = if is_intel {
                    (find(4).a >> 26) + 1
                } else {
                    (find(0x8000_0008).c & 0xFF) + 1
                };
                if !is_intel {
                    assert_eq!(1 << (find(0x8000_0008).c >> 12 & 0xF), ids);
                }
                let places: Vec<_> = (0..u32::from(vcpus))
                    .map(|vcpu| place_in_linux(vcpu * 2, ids, cores))
                    .collect();
                assert!(places.iter().all(|(package, _)| *package == 0), "{vcpus} vCPUs");
                let mut unique = places.clone();
                unique.dedup();
                assert_eq!(unique.len(), places.len(), "{vcpus} vCPUs");
            }
        }
    }

    #[test]
    fn other_bits_stay() {
        let changed = pvh_topology(4, &intel()).unwrap();
        assert_eq!(
            changed,
            [
                leaf(1, NO_SUBLEAF, [0x306A9, 0xFF08_0800, 0x1234, 0x1000_0001]),
                leaf(4, 0, [0x1C00_0121, 0x1C0_003F, 0x3F, 0]),
                leaf(4, 1, [0x1C00_0163, 0x2C0_003F, 0x7FFF, 6]),
            ]
        );
        let changed = pvh_topology(3, &amd()).unwrap();
        assert_eq!(
            changed,
            [
                leaf(1, NO_SUBLEAF, [0x80_0F12, 0x0008_0800, 0, 0x1780_0000]),
                leaf(0x8000_0001, NO_SUBLEAF, [0, 0, 0b101, 0]),
                leaf(0x8000_0008, NO_SUBLEAF, [0x3030, 0x1000, 0x0003_3007, 0]),
            ]
        );
    }

    #[test]
    fn another_vendor_gets_the_count_only() {
        let mut leaves = intel();
        leaves[0].b = 0;
        assert_eq!(pvh_topology(2, &leaves).unwrap().len(), 1);
    }

    #[test]
    fn refused() {
        assert_eq!(
            pvh_topology(0, &intel()).unwrap_err().to_string(),
            "0 vCPUs: accepted are 1 to 64"
        );
        assert_eq!(pvh_topology(65, &intel()), Err(CpuPolicyError::Vcpus(65)));
        assert_eq!(pvh_topology(1, &[]), Err(CpuPolicyError::MissingLeaf(0)));
        assert_eq!(pvh_topology(1, &intel()[..1]), Err(CpuPolicyError::MissingLeaf(1)));
    }
}
