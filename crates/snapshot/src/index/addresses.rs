//! Addresses for ServiceEntries that have none, in 240.240.0.0/16.
//!
//! The same hosts get the same addresses in every process: a position by hash, double hashing
//! where two meet. Only proxies whose DNS answers with these addresses use them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use model::{Map, Registry, Resolution, Service, ServiceKey};

const SLOTS: u32 = 256 * 254;
/// The largest prime below `SLOTS`: second hashes are coprime with the table.
const PRIME: u32 = 65_011;

/// Whether a service is given an address.
pub(super) fn wants_address(service: &Service) -> bool {
    service.registry == Registry::External
        && service.addresses.is_empty()
        && !service.key.hostname.is_wildcard()
        && service.resolution != Resolution::Passthrough
}

/// Gives each key its addresses (IPv4, then IPv6). `keys` holds a key once per definition.
pub(super) fn allocate<'a>(
    keys: impl Iterator<Item = &'a ServiceKey>,
) -> Map<&'a ServiceKey, [IpAddr; 2]> {
    let mut slots: Vec<Option<&ServiceKey>> = vec![None; SLOTS as usize];
    for key in keys.take(SLOTS as usize) {
        let hash = fnv1a([key.namespace.as_str(), "/", key.hostname.as_str()]);
        let mut slot = hash % SLOTS;
        let step = PRIME - hash % PRIME;
        let mut round = 1u32;
        while slots[slot as usize].is_some() && round <= SLOTS {
            slot = (hash.wrapping_add(round.wrapping_mul(step))) % (SLOTS - 1);
            round += 1;
        }
        slots[slot as usize] = Some(key);
    }
    let mut result = Map::default();
    let mut skipped = 0;
    for (slot, key) in (0u32..).zip(slots) {
        let Some(key) = key else { continue };
        // An address that ends in .255 or .0 is passed over.
        if (slot + 1 + skipped) % 255 == 0 {
            skipped += 1;
        }
        let position = slot + 1 + skipped;
        result.entry(key).or_insert_with(|| addresses(position / 255, position % 255));
    }
    result
}

fn addresses(third: u32, fourth: u32) -> [IpAddr; 2] {
    let (third, fourth) = (third as u8, fourth as u8);
    let low = u16::from_be_bytes([third, fourth]);
    [
        Ipv4Addr::new(240, 240, third, fourth).into(),
        Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0xf0f0, low).into(),
    ]
}

fn fnv1a(parts: [&str; 3]) -> u32 {
    let bytes = parts.iter().flat_map(|part| part.bytes());
    bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_is_defined_twice_has_one_address() {
        let key = ServiceKey { hostname: "istio.io".into(), namespace: "default".into() };
        let allocated = allocate([&key, &key].into_iter());
        assert_eq!(allocated[&key][0].to_string(), "240.240.91.120");
    }
}
