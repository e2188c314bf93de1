//! Where callers reach a service.

use std::net::IpAddr;

use model::{Cidr, Service};

use crate::Client;

/// One way to reach a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    Address(IpAddr),
    Range(Cidr),
    /// It has no address of its own.
    Anywhere,
}

impl Reach {
    pub(super) fn range(self) -> Option<Cidr> {
        match self {
            Self::Range(range) => Some(range),
            Self::Address(_) | Self::Anywhere => None,
        }
    }
}

/// Whether the client speaks the IP family of the address.
pub(super) fn is_usable(address: IpAddr, client: &Client) -> bool {
    match address {
        IpAddr::V4(_) => client.ipv4 || !client.ipv6,
        IpAddr::V6(_) => client.ipv6,
    }
}

/// Every way to reach a port of the service for this client, none of them twice. Never empty.
pub(super) fn reaches(service: &Service, port: u16, client: &Client) -> Vec<Reach> {
    let written = service.addresses_of(port).iter().filter_map(|address| Cidr::parse(address));
    let (unspecified, mut ranges): (Vec<Cidr>, Vec<Cidr>) =
        written.partition(|range| range.address.is_unspecified());
    let mut anywhere = ranges.is_empty() || !unspecified.is_empty();
    if anywhere && client.dns_capture && !service.allocated.is_empty() {
        ranges.extend(service.allocated.iter().copied().map(Cidr::single));
        anywhere = false;
    }
    // A service of the other family only is better reached at an odd address than everywhere.
    if ranges.iter().any(|range| is_usable(range.address, client)) {
        ranges.retain(|range| is_usable(range.address, client));
    }
    let mut reaches: Vec<Reach> = ranges
        .into_iter()
        .map(|range| match range.is_single() {
            true => Reach::Address(range.address),
            false => Reach::Range(range),
        })
        .collect();
    reaches.sort_unstable();
    reaches.dedup();
    if anywhere {
        reaches.push(Reach::Anywhere);
    }
    reaches
}
