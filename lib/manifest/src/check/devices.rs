//! Whether a domain's devices are as they must be.

use alloc::string::ToString as _;
use alloc::vec::Vec;

use super::twice;
use crate::device::{self, Access, Disk, DiskBackend, Format, MAX_ADDRESSES, MAX_MTU, MAX_TARGET, MIN_MTU, Mac, Vdev};
use crate::{BackendClass, DeviceError, DeviceKind, Domain, Error, Interface, Manifest, Role};

impl Domain {
    /// What is wrong with the devices of this domain, whatever else the manifest has.
    pub(super) fn check_devices(&self, errors: &mut Vec<Error>) {
        let counts = [
            (DeviceKind::Disk, self.disks.len()),
            (DeviceKind::Interface, self.interfaces.len()),
        ];
        for (kind, count) in counts {
            if count > kind.limit() {
                errors.push(Error::TooManyDevices { kind, count });
                return;
            }
        }
        if self.has(Role::Store) {
            let used = counts.iter().find(|(_, count)| *count > 0);
            errors.extend(used.map(|(kind, _)| Error::StoreDevices(*kind)));
        }
        let vdevs: Vec<Vdev> = self.disks.iter().map(|disk| disk.vdev).collect();
        for (index, disk) in self.disks.iter().enumerate() {
            let before = vdevs.get(..index).unwrap_or_default();
            let mut add = |error| errors.push(device_error(DeviceKind::Disk, index, error));
            check_disk(disk, &mut add);
            if before.contains(&disk.vdev) {
                add(DeviceError::DuplicateVdev(disk.vdev.to_string()));
            }
        }
        let macs: Vec<Mac> = self.interfaces.iter().map(|interface| interface.mac).collect();
        for (index, interface) in self.interfaces.iter().enumerate() {
            let before = macs.get(..index).unwrap_or_default();
            let mut add = |error| errors.push(device_error(DeviceKind::Interface, index, error));
            check_interface(interface, &mut add);
            if before.contains(&interface.mac) {
                add(DeviceError::DuplicateMac(interface.mac.to_string()));
            }
        }
    }
}

impl Manifest {
    /// What is wrong with the backends of a domain's devices.
    pub(super) fn check_backends(&self, domain: &Domain, errors: &mut Vec<Error>) {
        let disks = domain
            .disks
            .iter()
            .map(|disk| (DeviceKind::Disk, disk.backend.as_deref(), disk.classes()));
        let interfaces = domain.interfaces.iter().map(|interface| {
            let classes: &[BackendClass] = &[BackendClass::Vif];
            (DeviceKind::Interface, interface.backend.as_deref(), classes)
        });
        for devices in [
            disks.take(DeviceKind::Disk.limit()).enumerate().collect::<Vec<_>>(),
            interfaces.take(DeviceKind::Interface.limit()).enumerate().collect(),
        ] {
            for (index, (kind, backend, classes)) in devices {
                let error = self.check_backend(domain, backend, classes);
                errors.extend(error.map(|error| device_error(kind, index, error)));
            }
        }
    }

    fn check_backend(&self, domain: &Domain, backend: Option<&str>, classes: &[BackendClass]) -> Option<DeviceError> {
        let serves = |other: &&Domain| {
            other.has(Role::Driver)
                && classes.iter().any(|class| other.serves.contains(class))
                && other.name != domain.name
        };
        let class = *classes.first()?;
        let Some(name) = backend else {
            return match self.domains.iter().filter(serves).count() {
                0 => Some(DeviceError::NoBackend(class)),
                1 => None,
                count => Some(DeviceError::ManyBackends { class, count }),
            };
        };
        if name == domain.name {
            return Some(DeviceError::BackendIsItself);
        }
        let mut named = self.domains.iter().filter(|other| other.name == name).peekable();
        if named.peek().is_none() {
            return Some(DeviceError::UnknownBackend(name.into()));
        }
        let served = named.any(|other| serves(&other));
        (!served).then(|| DeviceError::NotServed {
            backend: name.into(),
            class,
        })
    }
}

const fn device_error(kind: DeviceKind, index: usize, error: DeviceError) -> Error {
    Error::Device { kind, index, error }
}

fn check_disk(disk: &Disk, add: &mut impl FnMut(DeviceError)) {
    let target = &disk.target;
    if !target.starts_with('/') || target.len() > MAX_TARGET || target.chars().any(char::is_control) {
        add(DeviceError::Target(target.clone()));
    }
    if !disk.vdev.is_valid() {
        add(DeviceError::Vdev(disk.vdev.to_string()));
    }
    if disk.cdrom && disk.access != Access::ReadOnly {
        add(DeviceError::CdromAccess);
    }
    if disk.backend_type == Some(DiskBackend::Phy) && disk.format != Format::Raw {
        add(DeviceError::PhyFormat(disk.format));
    }
}

fn check_interface(interface: &Interface, add: &mut impl FnMut(DeviceError)) {
    let names = [
        ("bridge", Some(&interface.bridge)),
        ("vifname", interface.vifname.as_ref()),
    ];
    for (key, name) in names {
        if let Some(name) = name.filter(|name| !device::is_link_name(name)) {
            add(DeviceError::LinkName {
                key,
                name: name.clone(),
            });
        }
    }
    if !interface.mac.is_valid() {
        add(DeviceError::Mac(interface.mac.to_string()));
    }
    if interface.ip.len() > MAX_ADDRESSES {
        add(DeviceError::TooManyAddresses(interface.ip.len()));
    }
    if let Some(address) = interface.ip.iter().find(|address| !address.is_valid()) {
        add(DeviceError::Prefix(address.to_string()));
    } else if let Some(address) = twice(&interface.ip) {
        add(DeviceError::DuplicateAddress(address.to_string()));
    }
    if let Some(mtu) = interface.mtu.filter(|mtu| !(MIN_MTU..=MAX_MTU).contains(mtu)) {
        add(DeviceError::Mtu(mtu));
    }
    if let Some(rate) = interface.rate.filter(|rate| !rate.is_valid()) {
        add(DeviceError::Rate(rate.to_string()));
    }
}
