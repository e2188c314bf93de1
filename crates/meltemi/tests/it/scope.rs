//! `scope export` and `/debug/fences`: fences of a running control plane.

use api::Spec;

use crate::plane::{Plane, SHOP};

const FENCE: &str = "
apiVersion: microservice.slime.io/v1alpha1
kind: ServiceFence
metadata: {name: web, namespace: shop}
spec:
  enable: true
  workloadSelector: {fromService: true}
  host:
    base/*: {stable: {}}
    old.trade.svc.cluster.local: {deadline: {expire: {seconds: 1}}}
    pay.trade.svc.cluster.local: {}
status:
  metricStatus: {'{destination_service=\"log.infra.svc.cluster.local:80\"}': '3'}
";

#[tokio::test]
async fn fences_are_exported_as_sidecars_that_are_read_again() {
    let plane = Plane::start(&[("shop.yaml", SHOP), ("fence.yaml", FENCE)]).await;
    plane.run(&["wait"]).await.expect(0);
    let text = plane.run(&["scope", "export"]).await.expect(0).out;
    let (objects, findings) = api::parse_documents("sidecars.yaml", text.as_bytes());
    assert!(findings.is_empty(), "{findings:?}");
    let [object] = &objects[..] else { panic!("{text}") };
    assert!(api::validate(object).is_empty(), "{text}");
    assert_eq!(object.key.to_string(), "Sidecar shop/web");
    let Spec::Sidecar(sidecar) = &object.spec else { panic!("{text}") };
    let selector = sidecar.workload_selector.as_ref().unwrap();
    assert_eq!(selector.labels.iter().collect::<Vec<_>>(), [(&"app".into(), &"web".into())]);
    // The deadline has passed.
    let hosts = [
        "*/log.infra.svc.cluster.local",
        "*/pay.trade.svc.cluster.local",
        "base/*",
        "istio-system/*",
    ];
    assert_eq!(sidecar.egress[0].hosts, hosts);
    assert_eq!(plane.run(&["scope", "export", "shop/web"]).await.expect(0).out, text);
    let none = plane.run(&["scope", "export", "elsewhere"]).await.expect(0).out;
    assert_eq!(none, "# nothing is fenced there\n");
}

#[tokio::test]
async fn fences_show_their_dependencies_in_slimes_shape() {
    let plane = Plane::start(&[("shop.yaml", SHOP), ("fence.yaml", FENCE)]).await;
    plane.run(&["wait"]).await.expect(0);
    let answer = plane.page("/debug/fences?namespace=shop").await;
    let fence = &answer["items"][0];
    assert_eq!((&fence["origin"], &fence["enabled"]), (&"written".into(), &true.into()));
    let domains = &fence["status"]["domains"];
    assert_eq!(domains["old.trade.svc.cluster.local"]["status"], "EXPIRE", "{domains:#}");
    assert_eq!(domains["base/*"]["status"], "ACTIVE", "{domains:#}");
    let log = &domains["log.infra.svc.cluster.local"];
    assert_eq!(log["hosts"], serde_json::json!(["log.infra.svc.cluster.local"]), "{domains:#}");
}
