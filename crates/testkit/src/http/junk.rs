//! What callers may write that means nothing: numbers → names that no service has.

/// What somebody may write as a Host: names of all forms, addresses, ports, and bytes that only
/// HTTP permits. None is a service.
#[must_use]
pub fn junk_host(number: u64) -> String {
    let random = mix(number);
    let (word, [a, b, c, d, ..]) = (format!("{random:x}"), random.to_be_bytes());
    match random % 13 {
        0 => format!("www.{word}.com"),
        1 => format!("{word}.ns-{}.svc.cluster.local:8080", a % 10),
        2 => word,
        3 => format!("{a}.{b}.{c}.{d}"),
        4 => format!("{a}.{b}.{c}.{d}:{}", u16::from_be_bytes([c, d])),
        5 => format!("[2001:db8::{a:x}:{b:x}{c:02x}]:8080"),
        6 => format!("{}.org", word.repeat(60)),
        // As close to services as it can be without being one.
        7 => format!("svc-{word}.ns-{}.example", a % 10),
        8 => format!("SVC-{a}-{word}.NS-1.Example.:80"),
        9 => format!("caf\u{e9}-{word}.\u{4f8b}"),
        10 => format!("{word}:99999"),
        11 => format!("*.-{word}-..net"),
        _ => format!("{word}~!$&'()+,;=%41.net"),
    }
}

/// A number that looks random (the finalizer of splitmix64).
#[must_use]
pub fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn junk_is_of_all_kinds_and_never_twice() {
        let all: BTreeSet<String> = (0..2_000).map(junk_host).collect();
        assert!(all.len() > 1_990, "only short addresses may come twice: {}", all.len());
        let has = |fits: fn(&&String) -> bool| all.iter().filter(fits).count() > 50;
        assert!(
            has(|it| !it.is_ascii()) && has(|it| it.len() > 500) && has(|it| it.starts_with('['))
        );
        assert!(all.iter().all(|it| http_accepts(it)), "a client can send all of it");
    }

    fn http_accepts(host: &str) -> bool {
        host.bytes().all(|byte| byte >= 0x20 && byte != 0x7f)
    }
}
