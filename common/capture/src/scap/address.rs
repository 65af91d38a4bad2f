//! Addresses of sockets as events and lists have them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bubble_common::segment::network::Address;

use super::bytes::{Bytes, until_nul};

/// Longest path of a socket that is kept; the kernel's own limit is 108.
const MAX_SOCKET_PATH: usize = 256;

/// The two ends of a socket in a parameter, in the direction in which the call moves data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tuple<'a> {
    /// An IP socket: from, to.
    Ip((IpAddr, u16), (IpAddr, u16)),
    /// A Unix socket and the path of the end that has one.
    Unix(&'a [u8]),
}

impl<'a> Tuple<'a> {
    /// Reads a parameter of type `SOCKTUPLE`.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Bytes(bytes);
        match rest.u8()? {
            1 => {
                rest.take(16)?;
                Some(Self::Unix(until_nul(rest.0)))
            }
            2 => {
                let from = (IpAddr::from(rest.v4()?), rest.u16()?);
                Some(Self::Ip(from, (rest.v4()?.into(), rest.u16()?)))
            }
            10 => {
                let from = (v6(rest.v6()?), rest.u16()?);
                Some(Self::Ip(from, (v6(rest.v6()?), rest.u16()?)))
            }
            _ => None,
        }
    }
}

/// Whether a parameter of type `SOCKADDR` has no family (`AF_UNSPEC`): `connect` with it ends a
/// connection.
pub(super) fn is_unspecified(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0)
}

/// Reads a parameter of type `SOCKADDR`.
pub(super) fn sockaddr(bytes: &[u8]) -> Option<Address> {
    let mut rest = Bytes(bytes);
    match rest.u8()? {
        1 => Some(path(rest.0)),
        2 => Some(Address::Ip(rest.v4()?.into(), rest.u16()?)),
        10 => Some(Address::Ip(v6(rest.v6()?), rest.u16()?)),
        _ => None,
    }
}

/// An address of IPv6, or the one of IPv4 that is mapped to it.
pub(super) fn v6(bytes: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(bytes).to_canonical()
}

/// The path of a Unix socket. In old lists it ends with a newline.
pub(super) fn path(bytes: &[u8]) -> Address {
    let bytes = until_nul(bytes).trim_ascii_end();
    if bytes.is_empty() {
        return Address::None;
    }
    let bytes = &bytes[..bytes.len().min(MAX_SOCKET_PATH)];
    Address::Path(String::from_utf8_lossy(bytes).into_owned())
}

/// The machine's own addresses, from which unbound sockets send.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    v4: Vec<(Ipv4Addr, u32)>,
    v6: Vec<Ipv6Addr>,
}

/// Most addresses that are kept.
const MAX_INTERFACES: usize = 1_024;

impl Interfaces {
    pub(super) fn add_v4(&mut self, address: [u8; 4], mask: [u8; 4]) {
        if self.v4.len() < MAX_INTERFACES {
            let mask = u32::from_be_bytes(mask);
            self.v4.push((address.into(), mask));
        }
    }

    pub(super) fn add_v6(&mut self, address: [u8; 16]) {
        if self.v6.len() < MAX_INTERFACES {
            self.v6.push(address.into());
        }
    }

    /// The address that a socket with the address `own` sends from to `peer`. For an unbound
    /// one: the same as the peer's, one in the same network, or the first that is not loopback.
    pub(super) fn source(&self, own: IpAddr, peer: IpAddr) -> IpAddr {
        if !own.is_unspecified() {
            return own;
        }
        match peer {
            IpAddr::V4(peer) => {
                let same = |(address, mask): &&(Ipv4Addr, u32)| {
                    (address.to_bits() ^ peer.to_bits()) & mask == 0
                };
                let found = self
                    .v4
                    .iter()
                    .find(|(address, _)| *address == peer)
                    .or_else(|| self.v4.iter().find(same))
                    .or_else(|| self.v4.iter().find(|(address, _)| !address.is_loopback()));
                found.map_or(own, |(address, _)| IpAddr::V4(*address))
            }
            IpAddr::V6(peer) => {
                let found = self
                    .v6
                    .iter()
                    .find(|address| **address == peer)
                    .or_else(|| self.v6.iter().find(|address| !address.is_loopback()));
                found.map_or(own, |address| IpAddr::V6(*address))
            }
        }
    }
}
