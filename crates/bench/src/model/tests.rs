use expect_test::expect;

use super::*;

fn model() -> Model {
    Model {
        services: 5_000,
        pods: 100_000,
        replicas: 10,
        churn: 100,
        namespaces: 100,
        visible: None,
        cores: 2,
        from: Vec::new(),
    }
}

/// Round numbers, so that the golden text changes with the formulas and not with each measurement.
fn costs() -> Costs {
    serde_json::from_str(
        r#"{
          "measured": "a test",
          "cold": [
            { "services": 100, "endpoints": 10, "sentKb": 200, "cpuMs": 0.3 },
            { "services": 1000, "endpoints": 20, "sentKb": 3000, "cpuMs": 3.1 }
          ],
          "idle": [
            { "services": 100, "endpoints": 15, "mb": 12 },
            { "services": 1000, "endpoints": 15, "mb": 30 }
          ],
          "start": [{ "services": 1000, "endpoints": 15, "seconds": 1 }],
          "streamKb": 50,
          "classCpuMsPerMb": 2,
          "classMbPerMb": 0.5,
          "endpointMs": 0.05,
          "route": { "sentKb": 100, "services": 100, "cpuMs": 0.15 },
          "reconnect": { "services": 100, "cpuMs": 0.5 },
          "churnResourceUs": 10
        }"#,
    )
    .unwrap()
}

#[test]
fn an_estimate_says_what_it_assumes() {
    expect![[r#"
        Calculated, not measured: 5000 services, 100000 pods, 10 replicas, 100 changes a second.

        | | | figure |
        |---|---|---|
        | memory of a replica | the mesh | 135 MB |
        |  | classes | 750 MB |
        |  | streams | 500 MB |
        |  | all | 1385 MB |
        | cold start of a replica, all its proxies come at once | until the first proxy is served | 6.25 s |
        |  | compiling the other classes, one thread | 2.97 CPU s |
        |  | first syncs | 151 CPU s |
        |  | sent | 150 GB |
        |  | of which on a line of 10 Gbit/s | 120 s |
        |  | until the last proxy is in sync | 83.2 s |
        | one replica dies, its proxies go to the others | proxies for each of the others | 1112 |
        |  | CPU, nothing has changed | 22.4 CPU s |
        |  | until all are compared, nothing has changed | 11.2 s |
        |  | CPU, all must be sent | 16.8 CPU s |
        |  | until all are in sync, all must be sent | 8.40 s |
        |  | sent | 16.7 GB |
        |  | of which on a line of 10 Gbit/s | 13.3 s |
        | 100 endpoints change a second | assignments a second | 1000000 |
        |  | cores, each change by itself | 50 |
        |  | cores, changes merged | 10 |
        |  | changes a second that fill the cores | 20 |
        |  | one change to the last proxy | 250 ms |
        | one VirtualService changes that everybody sees | route configuration | 5 MB |
        |  | CPU | 50.5 CPU s |
        |  | to the last proxy | 25.2 s |
        |  | sent | 50 GB |
        |  | of which on a line of 10 Gbit/s | 40 s |
        |  | CPU if virtual hosts were sent on demand | 0.510 CPU s |

        Assumed:

        - Costs are those of a test.
        - They hold for cores like these; server and load shared two, so that a server alone is rather faster.
        - Costs between and beyond measured sizes lie on straight lines (see the growth rows); the largest measured mesh has 2,000 services with 50 endpoints, the largest number of streams is 10,000 a process.
        - Every pod has a sidecar and belongs to one service: 20 endpoints a service. Streams are spread evenly over 10 replicas.
        - Proxies of a namespace are one class (100); each sees 5000 services, all of them on one HTTP port, so that one route configuration holds all their hosts.
        - Each tenth service has a TCP port, a VirtualService and two subsets; no policies, no telemetry, plain text: a TLS handshake costs about 1 ms of CPU more a connection.
        - Work on streams uses all 2 cores; compiling is one thread.
        - The sources tell every replica at the same time; reading a registry is not counted, reading files is.
        - Replicas compile equal bytes, so that a proxy that changes over is sent nothing if nothing has changed.
        - Proxies acknowledge at once; what a slow one keeps in flight (64 kB) is not counted.
    "#]].assert_eq(&model().estimate(costs()).render_markdown());
}

fn figure(model: &Model, case: &str, figure: &str) -> f64 {
    let estimate = model.estimate(costs());
    let case = estimate.cases.iter().find(|it| it.name.contains(case)).unwrap();
    case.get(figure).unwrap_or_else(|| panic!("{case:?} has no {figure}"))
}

#[test]
fn what_a_proxy_does_not_see_costs_its_stream_nothing() {
    let (all, some) = (model(), Model { visible: Some(50), ..model() });
    for (case, name) in [
        ("memory", "classes"),
        ("cold", "first syncs"),
        ("cold", "sent"),
        ("dies", "CPU, all must be sent"),
        ("a second", "assignments a second"),
        ("VirtualService", "CPU"),
    ] {
        let (all, some) = (figure(&all, case, name), figure(&some, case, name));
        assert!(some < all / 5.0, "{case}: {name} is {some} of {all}");
    }
    assert_eq!(figure(&all, "memory", "the mesh"), figure(&some, "memory", "the mesh"));
}

#[test]
fn twice_the_replicas_have_half_the_streams_each() {
    let twice = Model { replicas: 20, ..model() };
    for (case, name) in [("memory", "streams"), ("cold", "first syncs"), ("Virtual", "CPU")] {
        assert_eq!(figure(&model(), case, name), 2.0 * figure(&twice, case, name), "{name}");
    }
}

#[test]
fn a_saved_run_replaces_what_it_has() {
    let text = r#"{
      "machine": { "cpu": "one", "cores": 2, "openFiles": 20000 },
      "quick": false,
      "rows": [{
        "name": "memory", "title": "", "tookS": 1,
        "disturbance": { "load": 0, "others": 0, "stolen": 0 },
        "cases": [{ "name": "10000 streams of 20 workloads", "figures": [
          { "name": "memory a stream", "value": 12.5, "unit": "kB" }
        ] }]
      }]
    }"#;
    let mut updated = costs();
    updated.update(&serde_json::from_str(text).unwrap());
    assert_eq!(updated.stream_kb, 12.5);
    updated.stream_kb = costs().stream_kb;
    assert_eq!(updated, costs(), "the rest is as it was");
}

#[test]
fn a_mesh_without_anything_is_no_error() {
    let nothing = Model { services: 0, pods: 0, namespaces: 0, replicas: 1, ..model() };
    let cases = nothing.estimate(costs()).cases;
    let figures: Vec<f64> = cases.iter().flat_map(|it| &it.figures).map(|it| it.value).collect();
    assert!(figures.len() > 20 && figures.iter().all(|it| it.is_finite()), "{figures:?}");
}
