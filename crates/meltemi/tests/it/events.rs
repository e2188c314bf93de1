//! `events`: what a change was caused by, what it cost, and who got what.

use std::time::Duration;

use crate::plane::{Plane, RULE, live};

#[tokio::test]
async fn a_change_is_told_with_its_cause_and_who_has_it() {
    let plane = Plane::shop().await;
    let mut client = plane.proxy("client").await;
    let _other = live(plane.proxy("other").await);
    plane.mesh.write("rule.yaml", &RULE.replace("attempts: 3", "attempts: 4")).unwrap();
    client.sync_until_quiet(Duration::from_secs(2)).await.unwrap();
    plane.run(&["wait"]).await.expect(0);

    let asked = ["events", "--object", "virtualservice/shop/web", "--last", "1", "-o", "json"];
    let list = plane.run(&asked).await.expect(0).json();
    let push = &list["items"][0];
    let cause = serde_json::json!({"object": "VirtualService shop/web", "happening": "updated"});
    assert_eq!(push["causes"][0], cause, "{push:#}");
    assert_eq!(push["changed"]["route"], 1, "{push:#}");
    assert_eq!(push["proxies"]["connected"], 2, "{push:#}");
    assert_eq!((&push["proxies"]["told"], &push["proxies"]["live"]), (&2.into(), &2.into()));
    assert_eq!(push["sent"]["route"]["responses"], 2, "{push:#}");
    // Nothing but the route was compiled, and once for both.
    assert_eq!(push["cost"]["compiled"], 1, "{push:#}");

    let table = plane.run(&["events", "--last", "1"]).await.expect(0).out;
    assert!(table.contains("2/2 of 2") && table.contains("1 route"), "{table}");
}
