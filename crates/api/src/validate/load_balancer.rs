//! Load balancing: hashing, localities, warm-up.

use std::collections::BTreeMap;

use super::{Check, Path};
use crate::{
    codes,
    istio::load_balancer::{
        ConsistentHashLb, LoadBalancerSettings, LocalityDistribute, LocalityFailover,
        LocalityLbSetting, WarmupConfiguration,
    },
};

const MAGLEV_LIMIT: i64 = 5_000_011;

pub(super) fn check(
    check: &mut Check<'_>,
    path: &Path<'_>,
    settings: &LoadBalancerSettings,
    has_outlier: bool,
) {
    if settings.simple.is_some() && settings.consistent_hash.is_some() {
        let message = "only one of `simple` and `consistentHash` may be set";
        check.report(&codes::EXCLUSIVE, path, message, "");
    }
    if let Some(hash) = &settings.consistent_hash {
        consistent_hash(check, &path.field("consistentHash"), hash);
    }
    if let Some(locality) = &settings.locality_lb_setting {
        self::locality(check, &path.field("localityLbSetting"), locality, has_outlier);
    }
    if let Some(settings) = &settings.warmup {
        warmup(check, &path.field("warmup"), settings);
    }
    check.duration(&path.field("warmupDurationSecs"), settings.warmup_duration_secs);
    check.unsupported(settings.zone_aware_lb_setting.is_some(), path, "zoneAwareLbSetting");
}

fn consistent_hash(check: &mut Check<'_>, path: &Path<'_>, hash: &ConsistentHashLb) {
    let keys = [
        hash.http_header_name.is_some(),
        hash.http_cookie.is_some(),
        hash.use_source_ip.is_some(),
        hash.http_query_parameter_name.is_some(),
    ];
    match keys.iter().filter(|is_set| **is_set).count() {
        1 => (),
        0 => {
            let message = "there is nothing to hash";
            let hint = "set `httpHeaderName`, `httpCookie`, `useSourceIp` or \
                        `httpQueryParameterName`";
            check.report(&codes::NO_EFFECT, path, message, hint);
        }
        _ => check.report(&codes::EXCLUSIVE, path, "only one thing to hash may be set", ""),
    }
    if hash.ring_hash.is_some() && hash.maglev.is_some() {
        let message = "only one of `ringHash` and `maglev` may be set";
        check.report(&codes::EXCLUSIVE, path, message, "");
    }
    if let Some(cookie) = &hash.http_cookie {
        let path = path.field("httpCookie");
        check.required(!cookie.name.is_empty(), &path.field("name"), "the name of the cookie");
        if let Some(ttl) = cookie.ttl.filter(|ttl| ttl.as_nanos() < 0) {
            let message = format!("the duration {ttl} is negative");
            check.report(&codes::DURATION, &path.field("ttl"), message, "");
        }
    }
    if hash.minimum_ring_size != 0 {
        check.deprecated(true, path, "minimumRingSize", "ringHash.minimumRingSize");
        if hash.ring_hash.is_some() || hash.maglev.is_some() {
            let message = "`minimumRingSize` contradicts `ringHash` and `maglev`";
            check.report(&codes::DR_HASH, &path.field("minimumRingSize"), message, "");
        }
    }
    check.not_negative(&path.field("minimumRingSize"), hash.minimum_ring_size);
    if let Some(maglev) = &hash.maglev {
        let size = maglev.table_size;
        if size >= MAGLEV_LIMIT || !is_prime(size) {
            let message = format!("the table size {size} is not a prime below {MAGLEV_LIMIT}");
            let path = path.field("maglev");
            check.report(&codes::DR_HASH, &path.field("tableSize"), message, "65537 is one");
        }
    }
}

fn is_prime(number: i64) -> bool {
    let divides = |factor: i64| number % factor == 0;
    number > 1 && (2..).take_while(|factor| factor * factor <= number).all(|f| !divides(f))
}

fn warmup(check: &mut Check<'_>, path: &Path<'_>, warmup: &WarmupConfiguration) {
    if warmup.duration.is_none() {
        let message = "the duration of the warm-up must be set";
        check.report(&codes::DR_WARMUP, &path.field("duration"), message, "");
    }
    check.duration(&path.field("duration"), warmup.duration);
    if let Some(percent) = warmup.minimum_percent {
        check.percent(&path.field("minimumPercent"), percent);
    }
    if let Some(aggression) = warmup.aggression.filter(|aggression| *aggression < 1.0) {
        let message = format!("the aggression {aggression} is below 1");
        check.report(&codes::DR_WARMUP, &path.field("aggression"), message, "");
    }
}

pub(super) fn locality(
    check: &mut Check<'_>,
    path: &Path<'_>,
    settings: &LocalityLbSetting,
    has_outlier: bool,
) {
    let LocalityLbSetting { distribute, failover, failover_priority, enabled: _ } = settings;
    if !distribute.is_empty() && !failover.is_empty() {
        let message = "only one of `distribute` and `failover` may be set";
        return check.report(&codes::DR_LOCALITY, path, message, "");
    }
    let topology = ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"];
    let is_topology = |label: &&String| {
        topology.contains(&label.as_str()) || *label == "topology.istio.io/subzone"
    };
    if let Some(label) = failover_priority.iter().find(is_topology)
        && !failover.is_empty()
    {
        let message = format!("`failover` contradicts `{label}` in `failoverPriority`");
        check.report(&codes::DR_LOCALITY, path, message, "keep one of them");
    }
    let list = path.field("distribute");
    for (index, rule) in distribute.iter().enumerate() {
        let LocalityDistribute { from: _, to } = rule;
        let at = list.index(index);
        shares(check, &at.field("to"), to);
        localities(check, &at.field("to"), to.keys().map(String::as_str));
    }
    localities(check, &list, distribute.iter().map(|rule| rule.from.as_str()));
    let has_failover = !failover.is_empty() || !failover_priority.is_empty();
    if has_failover && !has_outlier {
        let message = "failover has no effect without `outlierDetection`";
        check.report(&codes::NO_EFFECT, path, message, "set `outlierDetection` beside it");
    }
    let list = path.field("failover");
    for (index, LocalityFailover { from, to }) in failover.iter().enumerate() {
        let at = list.index(index);
        if from == to {
            let message = format!("the region `{from}` cannot step in for itself");
            check.report(&codes::DR_LOCALITY, &at, message, "");
        }
        for text in [from, to].into_iter().filter(|text| text.contains(['/', '*'])) {
            let message = format!("`{text}` is not the name of a region");
            check.report(&codes::DR_LOCALITY, &at, message, "zones and wildcards do not go here");
        }
    }
}

fn shares(check: &mut Check<'_>, path: &Path<'_>, to: &BTreeMap<String, u32>) {
    for (name, share) in to.iter().filter(|(_, share)| !(1..=100).contains(*share)) {
        let message = format!("the share {share} is not in the range 1 to 100");
        check.report(&codes::DR_LOCALITY, &path.key(name), message, "");
    }
    let sum: u64 = to.values().map(|share| u64::from(*share)).sum();
    if sum != 100 {
        let message = format!("the shares add up to {sum}, not to 100");
        check.report(&codes::DR_LOCALITY, path, message, "");
    }
}

/// Localities of one list must not overlap.
fn localities<'l>(
    check: &mut Check<'_>,
    path: &Path<'_>,
    localities: impl Iterator<Item = &'l str>,
) {
    let mut seen: Vec<&str> = Vec::new();
    for locality in localities {
        let has_bad_star = locality.contains('*')
            && (locality.matches('*').count() > 1 || !locality.ends_with('*'));
        if has_bad_star || locality.splitn(3, '/').any(str::is_empty) {
            let message = format!("`{locality}` is not a locality");
            let hint = "use `region/zone/subzone`, with `*` at the end only";
            check.report(&codes::DR_LOCALITY, path, message, hint);
            continue;
        }
        let covers = |wide: &str, narrow: &str| {
            let stem = wide.trim_end_matches('*').trim_end_matches('/');
            stem.is_empty()
                || narrow.strip_prefix(stem).is_some_and(|r| r.is_empty() || r.starts_with('/'))
        };
        if let Some(other) =
            seen.iter().find(|other| covers(other, locality) || covers(locality, other))
        {
            let message = format!("`{locality}` overlaps `{other}`");
            check.report(&codes::DR_LOCALITY, path, message, "");
        }
        seen.push(locality);
    }
}
