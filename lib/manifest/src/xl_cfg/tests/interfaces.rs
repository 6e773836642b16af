//! `vif`: xl-network-configuration(5) and Xen's tools/xl/check-xl-vif-parse.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;

use super::{error, guest};
use crate::Interface;
use crate::device::{Address, Mac, Rate};

#[track_caller]
fn interface(item: &str) -> Interface {
    guest(&format!("vif = [ '{item}' ]")).interfaces.remove(0)
}

/// What is wrong with an item.
#[track_caller]
fn wrong(item: &str) -> String {
    let error = error(&format!("vif = [ '{item}' ]"));
    error.strip_prefix("4:9: vif: ").unwrap_or(&error).to_string()
}

#[test]
fn an_empty_item_is_an_interface_with_all_defaults() {
    let domain = guest("vif = [ '', 'bridge=xenbr1' ]");
    let expected = Interface {
        backend: None,
        bridge: "xenbr0".into(),
        mac: Mac::derive(&domain.uuid, 0),
        ip: vec![],
        rate: None,
        mtu: None,
        vifname: None,
        trusted: true,
    };
    assert_eq!(domain.interfaces[0], expected);
    assert_eq!(domain.interfaces[1].bridge, "xenbr1");
    assert_eq!(domain.interfaces[1].mac, Mac::derive(&domain.uuid, 1));
}

#[test]
fn every_parameter() {
    assert_eq!(
        interface(
            "mac=00:16:3E:74:3d:76,bridge=br0, ip=192.0.2.1 2001:db8::/64,backend=net1,rate=1MB/s@20ms,mtu=9000,vifname=web0,\
             untrusted,type=vif,script=vif-bridge,devid=0"
        ),
        Interface {
            backend: Some("net1".into()),
            bridge: "br0".into(),
            mac: Mac([0, 0x16, 0x3e, 0x74, 0x3d, 0x76]),
            ip: vec![
                Address::parse("192.0.2.1").unwrap(),
                Address::parse("2001:db8::/64").unwrap()
            ],
            rate: Rate::parse("1MB/s@20ms"),
            mtu: Some(9000),
            vifname: Some("web0".into()),
            trusted: false,
        }
    );
    assert!(interface("untrusted,,trusted").trusted);
    assert_eq!(interface("mac=0:0:0:0:0:0").mac.to_string()[..9], *"00:16:3e:");
    assert_eq!(interface("backend=Domain-0").backend, None);
}

#[test]
fn the_rates_of_the_manual() {
    for (rate, bytes, interval_us) in [
        ("10Mb/s", 62_500, 50_000),
        ("250KB/s", 12_500, 50_000),
        ("1MB/s@20ms", 20_000, 20_000),
    ] {
        let read = interface(&format!("rate={rate}")).rate.unwrap();
        assert_eq!((read.bytes_per_interval(), read.interval_us), (bytes, interval_us));
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (item, expected) in [
        (
            "mac=00:16:3e",
            "mac \"00:16:3e\"; accepted: 00:16:3e:01:23:45 and the like",
        ),
        (
            "rate=fast",
            "rate \"fast\"; accepted: 10MB/s, 100Mb/s@50ms and the like",
        ),
        ("mtu=big", "mtu \"big\"; accepted: 68 to 65517"),
        ("mtu=67", "interface 0: mtu of 67; accepted: 68 to 65517"),
        (
            "mac=ff:ff:ff:ff:ff:ff",
            "interface 0: mac ff:ff:ff:ff:ff:ff; accepted: not zero, and an even first byte",
        ),
        (
            "ip=host",
            "ip \"host\"; accepted: 192.0.2.1, 192.0.2.0/24, 2001:db8::1, 2001:db8::/64 and the like, blanks between several",
        ),
        (
            "bridge=",
            "interface 0: bridge \"\"; accepted: 1 to 15 characters of A-Z a-z 0-9 _ . -, the first a letter, a digit or _",
        ),
        (
            "vifname=a-name-of-16-char",
            "interface 0: vifname \"a-name-of-16-char\"; accepted: 1 to 15 characters of A-Z a-z 0-9 _ . -, the first a letter, a digit or _",
        ),
        (
            "mc=1",
            "parameter \"mc\"; accepted: mac, bridge, vifname, ip, backend, rate, mtu, devid, type, script",
        ),
        ("bridge", "\"bridge\"; accepted: NAME=VALUE, trusted, untrusted"),
    ] {
        assert_eq!(wrong(item), expected, "{item}");
    }
}

#[test]
fn what_cannot_be_had_has_a_reason() {
    for (item, part) in [
        ("model=rtl8139", "model: PVH and PV guests have no emulated interfaces"),
        (
            "type=ioemu",
            "type=ioemu: PVH and PV guests have no emulated interfaces; accepted: vif",
        ),
        (
            "script=vif-route",
            "script=vif-route: scripts of Xen's toolstack run in domain 0",
        ),
        ("gatewaydev=eth0", "gatewaydev: it is for the script vif-route"),
        ("netdev=eth0", "netdev: it is for the script vif-route"),
        ("vlan=10p/20", "vlan: bridges of a driver domain tell no VLANs apart"),
        ("accel=eth0", "accel: xl does not support it either"),
        ("devid=3", "devid=3: interfaces have the numbers of their places"),
        ("backend=1", "backend=1: domains have another number"),
        ("forwarddev=eth0", "forwarddev: no guest runs on two hosts"),
        (
            "colo_checkpoint_port=1",
            "colo_checkpoint_port: no guest runs on two hosts",
        ),
    ] {
        let wrong = wrong(item);
        assert!(
            wrong.starts_with("cannot be honoured: ") && wrong.contains(part),
            "{item}: {wrong}"
        );
    }
}
