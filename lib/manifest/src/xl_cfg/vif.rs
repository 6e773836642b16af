//! The items of `vif` (xl-network-configuration(5), `parse_nic_config` of Xen's tools/xl/xl_parse.c).

use alloc::format;
use alloc::string::ToString as _;
use alloc::vec::Vec;

use super::device::{backend, refused, unaccepted};
use crate::device::{Address, DEFAULT_BRIDGE, Interface, MAX_MTU, MIN_MTU, Mac, Rate};
use crate::source::Wrong;

/// What must not stand in an item, and why.
const REFUSED: [(&str, &str); 6] = [
    ("gatewaydev", ROUTE),
    ("netdev", ROUTE),
    ("model", "PVH and PV guests have no emulated interfaces"),
    ("accel", "xl does not support it either"),
    (
        "vlan",
        "bridges of a driver domain tell no VLANs apart; give each VLAN a bridge of its own",
    ),
    ("forwarddev", COLO),
];
const ROUTE: &str = "it is for the script vif-route; interfaces are put into a bridge";
const COLO: &str = "no guest runs on two hosts at once";
/// The script whose work the backend's domain does itself.
const BRIDGE_SCRIPTS: [&str; 2] = ["vif-bridge", "/etc/xen/scripts/vif-bridge"];

/// Reads the item at this index for the domain of this UUID, or says everything that is wrong with it.
pub(super) fn read(item: &str, index: usize, uuid: &[u8; 16]) -> Result<Interface, Vec<Wrong>> {
    let mut parser = Parser {
        index,
        interface: Interface {
            backend: None,
            bridge: DEFAULT_BRIDGE.to_string(),
            mac: Mac::derive(uuid, index),
            ip: Vec::new(),
            rate: None,
            mtu: None,
            vifname: None,
            trusted: true,
        },
        wrong: Vec::new(),
    };
    for parameter in item.split(',').map(|parameter| parameter.trim_start_matches(' ')) {
        match parameter.split_once('=') {
            Some((name, value)) => parser.named(name, value),
            None => parser.flag(parameter),
        }
    }
    if parser.wrong.is_empty() {
        Ok(parser.interface)
    } else {
        Err(parser.wrong)
    }
}

struct Parser {
    index: usize,
    interface: Interface,
    wrong: Vec<Wrong>,
}

impl Parser {
    fn flag(&mut self, flag: &str) {
        match flag {
            "" => {}
            "trusted" => self.interface.trusted = true,
            "untrusted" => self.interface.trusted = false,
            _ => self
                .wrong
                .push(unaccepted(format!("{flag:?}"), "NAME=VALUE, trusted, untrusted")),
        }
    }

    fn named(&mut self, name: &str, value: &str) {
        let interface = &mut self.interface;
        match name {
            "backend" => interface.backend = backend(Some(value), &mut self.wrong),
            "bridge" => interface.bridge = value.to_string(),
            "vifname" => interface.vifname = Some(value.to_string()),
            "mac" => self.mac(value),
            "ip" => self.addresses(value),
            "rate" => {
                interface.rate = Rate::parse(value);
                if interface.rate.is_none() {
                    self.wrong.push(unaccepted(
                        format!("rate {value:?}"),
                        "10MB/s, 100Mb/s@50ms and the like",
                    ));
                }
            }
            "mtu" => {
                interface.mtu = whole(value);
                if interface.mtu.is_none() {
                    self.wrong
                        .push(unaccepted(format!("mtu {value:?}"), &format!("{MIN_MTU} to {MAX_MTU}")));
                }
            }
            "devid" if whole(value) == Some(self.index) => {}
            "devid" => {
                let reason = "interfaces have the numbers of their places in the list, counted from 0";
                self.wrong
                    .push(refused(format!("devid={value}: {reason}; accepted: {}", self.index)));
            }
            "type" if value == "vif" => {}
            "type" => {
                let reason = "PVH and PV guests have no emulated interfaces";
                self.wrong
                    .push(refused(format!("type={value}: {reason}; accepted: vif")));
            }
            "script" if BRIDGE_SCRIPTS.contains(&value) => {}
            "script" => {
                let reason = "scripts of Xen's toolstack run in domain 0; the backend's domain puts the interface into its bridge itself";
                self.wrong
                    .push(refused(format!("script={value}: {reason}; accepted: vif-bridge")));
            }
            _ => self.other(name),
        }
    }

    fn mac(&mut self, value: &str) {
        match Mac::parse(value) {
            // xl makes one then, too.
            Some(Mac([0, 0, 0, 0, 0, 0])) => {}
            Some(mac) => self.interface.mac = mac,
            None => self
                .wrong
                .push(unaccepted(format!("mac {value:?}"), "00:16:3e:01:23:45 and the like")),
        }
    }

    /// Several addresses have blanks between them, as Xen's scripts read them.
    fn addresses(&mut self, value: &str) {
        self.interface.ip.clear();
        for text in value.split_ascii_whitespace() {
            match Address::parse(text) {
                Some(address) => self.interface.ip.push(address),
                None => self.wrong.push(unaccepted(
                    format!("ip {text:?}"),
                    "192.0.2.1, 192.0.2.0/24, 2001:db8::1, 2001:db8::/64 and the like, blanks between several",
                )),
            }
        }
    }

    fn other(&mut self, name: &str) {
        let reason = REFUSED
            .iter()
            .find(|(refused, _)| *refused == name)
            .map(|(_, reason)| *reason);
        let reason = reason.or_else(|| name.starts_with("colo_").then_some(COLO));
        self.wrong.push(match reason {
            Some(reason) => refused(format!("{name}: {reason}")),
            None => unaccepted(
                format!("parameter {name:?}"),
                "mac, bridge, vifname, ip, backend, rate, mtu, devid, type, script",
            ),
        });
    }
}

/// A decimal number.
fn whole<T: core::str::FromStr>(text: &str) -> Option<T> {
    let digits = text.bytes().all(|digit| digit.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
