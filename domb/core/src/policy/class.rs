//! What a class says about its guests.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::OnceCell;
use core::fmt::Display;

use manifest::{GuestClass, ImageRule, Manifest};
use measure::Bank;
use measure::signature::Purpose;

use super::denial::{Denial, Kib, Reason};
use super::facts::{Device, Guest, ImageFacts, NewGuest};
use super::grant::Matched;
use super::signers::Signers;

/// How many items of a list a denial shows.
const SHOWN: usize = 4;

/// A new guest, held against classes.
pub(super) struct Fit<'a> {
    manifest: &'a Manifest,
    guest: &'a NewGuest<'a>,
    guests: &'a [Guest<'a>],
    kernel_signers: OnceCell<Signers<'a>>,
    ramdisk_signers: OnceCell<Signers<'a>>,
}

impl<'a> Fit<'a> {
    pub(super) const fn new(manifest: &'a Manifest, guest: &'a NewGuest<'a>, guests: &'a [Guest<'a>]) -> Self {
        Self {
            manifest,
            guest,
            guests,
            kernel_signers: OnceCell::new(),
            ramdisk_signers: OnceCell::new(),
        }
    }

    /// Whether the guest fits the class, and by which rules.
    pub(super) fn class(&self, class: &GuestClass) -> Result<Matched, Denial> {
        let guest = self.guest;
        let denied = |key, reason| Denial::of_class(&class.name, key, reason);
        if !class.kinds.contains(&guest.kind) {
            return Err(denied("types", not_among(guest.kind.to_string(), &class.kinds)));
        }
        let kernel = self
            .image(Purpose::Kernel, Some(&guest.kernel), &class.kernels)
            .map_err(|reason| denied("kernels", reason))?;
        let ramdisk = self
            .image(Purpose::Ramdisk, guest.ramdisk.as_ref(), &class.ramdisks)
            .map_err(|reason| denied("ramdisks", reason))?;
        let mut rules = class.command_lines.iter();
        let Some(command_line) = rules.find(|rule| rule.accepts(guest.command_line)) else {
            let asked = format!("{:?}", guest.command_line);
            return Err(denied("command-lines", not_among(asked, &class.command_lines)));
        };
        number(class, "vcpus-max", "vCPUs", guest.max_vcpus.into(), class.vcpus_max)?;
        memory(class, guest.max_memory_kib)?;
        self.room(class)?;
        number(
            class,
            "devices-max",
            "devices",
            count(guest.devices.len()),
            class.devices_max,
        )?;
        let mut devices = guest.devices.iter();
        devices.try_for_each(|device| backend(self.manifest, class, device))?;
        Ok(Matched {
            kernel: kernel.to_string(),
            ramdisk: ramdisk.to_string(),
            command_line: command_line.to_string(),
        })
    }

    /// The rule that allows an image, or its absence.
    fn image<'r>(
        &self,
        purpose: Purpose,
        image: Option<&ImageFacts<'_>>,
        rules: &'r [ImageRule],
    ) -> Result<&'r ImageRule, Reason> {
        let Some(image) = image else {
            return rules
                .iter()
                .find(|rule| **rule == ImageRule::None)
                .ok_or_else(|| not_among(ImageRule::None.to_string(), rules));
        };
        let signers = self.signers(purpose);
        let sha256 = image.sha256;
        let allows = |rule: &&ImageRule| match rule {
            ImageRule::Sha256(digest) => sha256.bank() == Bank::Sha256 && sha256.bytes() == digest,
            ImageRule::Image(name) => {
                let image = self.manifest.image(name);
                image.and_then(|image| image.digests.get(Bank::Sha256)) == Some(&sha256)
            }
            ImageRule::SignedBy(key) => signers.is_some_and(|signers| signers.has(key)),
            ImageRule::None => false,
        };
        rules.iter().find(allows).ok_or_else(|| Reason::Image {
            asked: format!("{sha256:?}"),
            signatures: signers.map(|signers| signers.text(purpose)).unwrap_or_default(),
            allowed: list(rules),
        })
    }

    /// Who signed the guest's image for this purpose.
    fn signers(&self, purpose: Purpose) -> Option<&Signers<'a>> {
        let (cell, image) = match purpose {
            Purpose::Kernel => (&self.kernel_signers, &self.guest.kernel),
            Purpose::Ramdisk => (&self.ramdisk_signers, self.guest.ramdisk.as_ref()?),
        };
        Some(cell.get_or_init(|| Signers::new(&self.manifest.policy.keys, purpose, image)))
    }

    /// Whether the class has room for one more.
    fn room(&self, class: &GuestClass) -> Result<(), Denial> {
        let own = self.guests.iter().filter(|guest| guest.class == class.name);
        let guests = own.clone().count();
        let asked = count(guests).saturating_add(1);
        number(class, "guests-max", "guests", asked, class.guests_max)?;
        let used = own.fold(0_u64, |sum, guest| sum.saturating_add(guest.max_memory_kib));
        if used.saturating_add(self.guest.max_memory_kib) > class.memory_total_kib {
            let reason = Reason::MemoryTotal {
                asked: Kib(self.guest.max_memory_kib),
                used: Kib(used),
                guests,
                allowed: Kib(class.memory_total_kib),
            };
            return Err(Denial::of_class(&class.name, "memory-total", reason));
        }
        Ok(())
    }
}

/// Whether a guest's memory may be changed to this.
pub(super) fn memory_set(class: &GuestClass, guest: &Guest<'_>, kib: u64) -> Result<(), Denial> {
    memory(class, kib)?;
    if kib > guest.max_memory_kib {
        let reason = Reason::Memory {
            asked: Kib(kib),
            allowed: Kib(guest.max_memory_kib),
        };
        return Err(Denial::of_domain(guest.name, "maxmem", reason));
    }
    Ok(())
}

/// Whether a guest may have so many vCPUs.
pub(super) fn vcpu_set(class: &GuestClass, guest: &Guest<'_>, vcpus: u16) -> Result<(), Denial> {
    number(class, "vcpus-max", "vCPUs", vcpus.into(), class.vcpus_max)?;
    if vcpus > guest.max_vcpus {
        let reason = Reason::Number {
            what: "vCPUs",
            asked: vcpus.into(),
            allowed: guest.max_vcpus.into(),
        };
        return Err(Denial::of_domain(guest.name, "maxvcpus", reason));
    }
    Ok(())
}

/// Whether a guest may have one more device, and this one.
pub(super) fn device_attach(
    manifest: &Manifest,
    class: &GuestClass,
    guest: &Guest<'_>,
    device: &Device<'_>,
) -> Result<(), Denial> {
    let devices = u64::from(guest.devices).saturating_add(1);
    number(class, "devices-max", "devices", devices, class.devices_max)?;
    backend(manifest, class, device)
}

/// Whether the domain may serve the device to guests of the class, and serves such devices.
fn backend(manifest: &Manifest, class: &GuestClass, device: &Device<'_>) -> Result<(), Denial> {
    if !class.backends.iter().any(|backend| backend == device.backend) {
        let asked = format!("{} of {:?}", device.class, device.backend);
        let reason = not_among(asked, &class.backends);
        return Err(Denial::of_class(&class.name, "backends", reason));
    }
    let domain = manifest.domains.iter().find(|domain| domain.name == device.backend);
    let serves = domain.map_or(&[][..], |domain| &domain.serves);
    if !serves.contains(&device.class) {
        let reason = Reason::Serves {
            asked: device.class,
            allowed: list(serves),
        };
        return Err(Denial::of_domain(device.backend, "serves", reason));
    }
    Ok(())
}

fn memory(class: &GuestClass, kib: u64) -> Result<(), Denial> {
    if kib > class.memory_max_kib {
        let reason = Reason::Memory {
            asked: Kib(kib),
            allowed: Kib(class.memory_max_kib),
        };
        return Err(Denial::of_class(&class.name, "memory-max", reason));
    }
    Ok(())
}

fn number(class: &GuestClass, key: &'static str, what: &'static str, asked: u64, allowed: u16) -> Result<(), Denial> {
    let allowed = u64::from(allowed);
    if asked > allowed {
        return Err(Denial::of_class(
            &class.name,
            key,
            Reason::Number { what, asked, allowed },
        ));
    }
    Ok(())
}

fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}

fn not_among(asked: String, items: &[impl Display]) -> Reason {
    Reason::Value {
        asked,
        allowed: list(items),
    }
}

/// The first items, and how many more there are.
fn list(items: &[impl Display]) -> String {
    if items.is_empty() {
        return "nothing".into();
    }
    let shown: Vec<String> = items.iter().take(SHOWN).map(ToString::to_string).collect();
    let shown = shown.join(", ");
    match items.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
