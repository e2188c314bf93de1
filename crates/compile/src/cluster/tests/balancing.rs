//! Who gets the next request.

use expect_test::expect;

use super::check_policy;

#[test]
fn algorithms_of_balancing() {
    check_policy(
        "{loadBalancer: {simple: ROUND_ROBIN}}",
        80,
        expect![[r#"
        -lb_policy: LEAST_REQUEST
    "#]],
    );
    check_policy("{loadBalancer: {simple: LEAST_CONN}}", 80, expect![[""]]);
    check_policy(
        "{loadBalancer: {simple: RANDOM}}",
        80,
        expect![[r#"
        -lb_policy: LEAST_REQUEST
        +lb_policy: RANDOM
    "#]],
    );
    check_policy(
        "{loadBalancer: {simple: PASSTHROUGH}}",
        80,
        expect![[r#"
        -common_lb_config:
        -  healthy_panic_threshold: {}
        -eds_cluster_config:
        -  eds_config:
        -    ads: {}
        -    initial_fetch_timeout: 0s
        -    resource_api_version: V3
        -  service_name: outbound|80||cart.shop.svc.cluster.local
        -lb_policy: LEAST_REQUEST
        -type: EDS
        +lb_policy: CLUSTER_PROVIDED
        +type: ORIGINAL_DST
    "#]],
    );
}

#[test]
fn consistent_hashing_takes_a_ring_or_a_table() {
    let ring = "{loadBalancer: {consistentHash: {httpHeaderName: x-user}}}";
    check_policy(
        ring,
        80,
        expect![[r#"
        -lb_policy: LEAST_REQUEST
        +lb_policy: RING_HASH
        +ring_hash_lb_config:
        +  minimum_ring_size: 1024
    "#]],
    );
    let large =
        "{loadBalancer: {consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: 2048}}}}";
    check_policy(
        large,
        80,
        expect![[r#"
        -lb_policy: LEAST_REQUEST
        +lb_policy: RING_HASH
        +ring_hash_lb_config:
        +  minimum_ring_size: 2048
    "#]],
    );
    let table =
        "{loadBalancer: {consistentHash: {httpHeaderName: x-user, maglev: {tableSize: 65537}}}}";
    check_policy(
        table,
        80,
        expect![[r#"
        -lb_policy: LEAST_REQUEST
        +lb_policy: MAGLEV
        +maglev_lb_config:
        +  table_size: 65537
    "#]],
    );
}

#[test]
fn new_endpoints_warm_up() {
    let policy = "{loadBalancer: {warmup: {duration: 30s, minimumPercent: 5, aggression: 2}}}";
    check_policy(
        policy,
        80,
        expect![[r#"
        +least_request_lb_config:
        +  slow_start_config:
        +    aggression:
        +      default_value: 2.0
        +      runtime_key: meltemi.warmup_aggression
        +    min_weight_percent:
        +      value: 5.0
        +    slow_start_window: 30s
    "#]],
    );
    let old = "{loadBalancer: {simple: ROUND_ROBIN, warmupDurationSecs: 10s}}";
    check_policy(
        old,
        80,
        expect![[r#"
        -lb_policy: LEAST_REQUEST
        +round_robin_lb_config:
        +  slow_start_config:
        +    aggression:
        +      default_value: 1.0
        +      runtime_key: meltemi.warmup_aggression
        +    min_weight_percent:
        +      value: 10.0
        +    slow_start_window: 10s
    "#]],
    );
}

#[test]
fn localities_are_weighed_only_where_a_rule_prefers_some() {
    let on = "{loadBalancer: {localityLbSetting: {distribute: [{from: '*', to: {'a/*': 100}}]}}}";
    check_policy(
        on,
        80,
        expect![[r#"
        +  locality_weighted_lb_config: {}
    "#]],
    );
    let pairs = "{outlierDetection: {interval: 1s}, \
                 loadBalancer: {localityLbSetting: {failover: [{from: a, to: b}]}}}";
    check_policy(
        pairs,
        80,
        expect![[r#"
        +  locality_weighted_lb_config: {}
        +outlier_detection:
        +  always_eject_one_host: true
        +  enforcing_success_rate: 0
        +  interval: 1s
    "#]],
    );
}
