//! Golden tests of the connection manager.

use envoy::{
    config::listener::v3::filter::ConfigType,
    extensions::filters::network::http_connection_manager::v3::HttpConnectionManager,
    json::{self, FieldNames},
};
use expect_test::{Expect, expect};
use model::{Protocol, Shared};
use snapshot::PathNormalization;

use crate::{
    filters::{HcmOptions, HttpRole, HttpSettings, RouteSource, http_connection_manager},
    telemetry::Telemetry,
};

fn options() -> HcmOptions {
    HcmOptions {
        stat_prefix: "outbound_0.0.0.0_80;".to_owned(),
        role: HttpRole::Outbound,
        routes: RouteSource::Rds("80".into()),
        protocol: Protocol::Http,
        absolute_url: false,
        security: Vec::new(),
        settings: HttpSettings {
            path_normalization: PathNormalization::Base,
            http10: false,
            idle_timeout: None,
            dynamic_dns: false,
            on_demand: false,
            reports_unknown: false,
        },
        telemetry: Shared::new(Telemetry::default()),
    }
}

fn compile(options: &HcmOptions) -> HttpConnectionManager {
    let filter = http_connection_manager(options);
    let Some(ConfigType::TypedConfig(any)) = filter.config_type else { panic!("no config") };
    any.unpack().unwrap()
}

#[test]
fn a_sidecars_manager_has_istios_shape() {
    let manager = HttpConnectionManager { http_filters: Vec::new(), ..compile(&options()) };
    let json = json::typed_to_json(&manager, FieldNames::Proto);
    expect![[r#"
        {
          "normalize_path": true,
          "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
          "proxy_100_continue": true,
          "rds": {
            "config_source": {
              "ads": {},
              "initial_fetch_timeout": "0s",
              "resource_api_version": "V3"
            },
            "route_config_name": "80"
          },
          "request_id_extension": {
            "typed_config": {
              "@type": "type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
              "use_request_id_for_trace_sampling": true
            }
          },
          "server_name": "istio-envoy",
          "stat_prefix": "outbound_0.0.0.0_80;",
          "stream_idle_timeout": "0s",
          "upgrade_configs": [
            {
              "upgrade_type": "websocket"
            }
          ],
          "use_remote_address": false
        }"#]].assert_eq(&serde_json::to_string_pretty(&json).unwrap());
}

#[track_caller]
fn check_filters(options: &HcmOptions, expected: Expect) {
    let manager = compile(options);
    let names = manager.http_filters.iter().map(|filter| filter.name.as_str());
    let names: Vec<&str> = names.map(|name| name.trim_start_matches("envoy.filters.")).collect();
    expected.assert_eq(&names.join(" "));
}

#[test]
fn http_filters_are_in_order() {
    check_filters(
        &options(),
        expect!["http.grpc_stats http.set_filter_state http.fault http.cors http.router"],
    );
    let mut all = HcmOptions { protocol: Protocol::GrpcWeb, ..options() };
    all.settings.dynamic_dns = true;
    check_filters(
        &all,
        expect![
            "http.grpc_web http.grpc_stats http.set_filter_state http.fault http.cors http.dynamic_forward_proxy http.router"
        ],
    );
}

#[test]
fn paths_are_normalised_as_the_mesh_says() {
    let shown = |path_normalization| {
        let mut options = options();
        options.settings.path_normalization = path_normalization;
        let manager = compile(&options);
        let slashes = manager.path_with_escaped_slashes_action().as_str_name();
        format!("{:?} {} {slashes}", manager.normalize_path, manager.merge_slashes)
    };
    let all = [
        PathNormalization::None,
        PathNormalization::Base,
        PathNormalization::MergeSlashes,
        PathNormalization::DecodeAndMergeSlashes,
    ];
    expect![[r#"
        Some(false) false KEEP_UNCHANGED
        Some(true) false KEEP_UNCHANGED
        Some(true) true KEEP_UNCHANGED
        Some(true) true UNESCAPE_AND_FORWARD"#]]
    .assert_eq(&all.map(shown).join("\n"));
}

#[test]
fn gateways_trust_only_the_addresses_that_they_see() {
    let role = HttpRole::Gateway { trusted_hops: 2 };
    let manager = compile(&HcmOptions { role, ..options() });
    assert_eq!((manager.use_remote_address, manager.xff_num_trusted_hops), (Some(true), 2));
    assert_eq!(manager.forward_client_cert_details().as_str_name(), "SANITIZE_SET");
}
