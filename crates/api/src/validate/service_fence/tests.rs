//! How fences are read in both spellings, what is said about them, and that none is refused.

use expect_test::{Expect, expect};
use model::Severity;

use crate::{Object, Spec, parse_documents, saved, validate};

fn parse(spec: &str) -> (Object, String) {
    let text = format!(
        "apiVersion: microservice.slime.io/v1alpha1\nkind: ServiceFence\n\
         metadata: {{name: web, namespace: shop}}\nspec:\n{spec}"
    );
    let (objects, mut diagnostics) = parse_documents("fence.yaml", text.as_bytes());
    let object = objects.into_iter().next().expect("the fence is read");
    diagnostics.extend(validate(&object));
    assert!(diagnostics.iter().all(|it| it.severity != Severity::Error), "{diagnostics:?}");
    (object, diagnostics.iter().map(|it| format!("{it}\n")).collect())
}

#[track_caller]
fn check(spec: &str, expected: Expect) {
    let (object, findings) = parse(spec);
    let Spec::ServiceFence(fence) = &object.spec else { panic!("{object:?}") };
    let json = serde_json::to_string_pretty(fence).expect("it is written");
    expected.assert_eq(&format!("{json}\n{findings}"));
}

const CAMEL: &str = "
  enable: true
  host:
    base/*: {stable: {}}
    pay.trade.svc.cluster.local: {deadline: {expire: {seconds: '1780000000', nanos: 5}}}
    old.trade.svc.cluster.local: {auto: {duration: {seconds: 600}}, RecentlyCalled: {seconds: 7}}
    plain.trade.svc.cluster.local:
  namespaceSelector: [foo, bar]
  labelSelector:
  - selector: {project: back}
  - selector: {project: front, group: web}
  workloadSelector: {labels: {group: foo}}
status:
  domains: {a.shop: {hosts: [a.shop], status: ACTIVE}, b.shop: {hosts: [b.shop], status: 1}}
  metricStatus: {'{destination_service=\"b.shop.svc.cluster.local\"}': '1'}
  visitor: {x: true}
";

#[test]
fn every_field_is_read() {
    check(
        CAMEL,
        expect![[r#"
        {
          "spec": {
            "host": {
              "base/*": {
                "stable": {}
              },
              "old.trade.svc.cluster.local": {
                "auto": {
                  "duration": {
                    "seconds": 600
                  }
                },
                "RecentlyCalled": {
                  "seconds": 7
                }
              },
              "pay.trade.svc.cluster.local": {
                "deadline": {
                  "expire": {
                    "seconds": 1780000000,
                    "nanos": 5
                  }
                }
              },
              "plain.trade.svc.cluster.local": {}
            },
            "enable": true,
            "namespaceSelector": [
              "foo",
              "bar"
            ],
            "labelSelector": [
              {
                "selector": {
                  "project": "back"
                }
              },
              {
                "selector": {
                  "group": "web",
                  "project": "front"
                }
              }
            ],
            "workloadSelector": {
              "labels": {
                "group": "foo"
              }
            }
          },
          "status": {
            "metricStatus": [
              "{destination_service=\"b.shop.svc.cluster.local\"}"
            ]
          }
        }
    "#]],
    );
}

#[test]
fn both_spellings_and_both_forms_of_numbers_say_the_same() {
    let snake = CAMEL
        .replace("namespaceSelector", "namespace_selector")
        .replace("labelSelector", "label_selector")
        .replace("workloadSelector", "workload_selector")
        .replace("metricStatus", "metric_status")
        .replace("RecentlyCalled", "recently_called")
        .replace("'1780000000'", "1780000000");
    assert_ne!(snake, CAMEL);
    assert_eq!(parse(&snake).0.hash, parse(CAMEL).0.hash);
}

#[test]
fn a_saved_fence_is_read_as_it_was() {
    let (object, _) = parse(CAMEL);
    let mut lines = Vec::new();
    saved::write_lines(&object, &mut lines);
    let mut lines = lines.split(|byte| *byte == b'\n');
    let (head, spec) = (lines.next().unwrap(), lines.next().unwrap());
    let read = saved::read_lines(head, spec).expect("it is the same object");
    assert_eq!(read.spec, object.spec);
}

#[test]
fn what_has_no_effect_is_named_and_the_rest_holds() {
    check(
        "
  enabled: true
  host:
    cart.shop:80: {}
    unknown: {}
    global-sidecar.mesh-operator.svc.cluster.local: {}
    shop/cart: {}
    unknown/*: {}
    other/*: {deadline: {expire: {seconds: 5}}}
    a.shop: {stable: {}, deadline: {}, auto: {}}
    b.shop: {deadline: {expire: {seconds: 1780000000000}}, RecentlyCalled: {seconds: 1}}
  namespaceSelector: [Not/One, .]
  labelSelector: [{}, {selector: {-: x}}]
  workloadSelector: {fromService: true, labels: {app: web}}
",
        expect![[r#"
            {
              "spec": {
                "host": {
                  "a.shop": {
                    "stable": {},
                    "deadline": {},
                    "auto": {}
                  },
                  "b.shop": {
                    "deadline": {
                      "expire": {
                        "seconds": 1780000000000
                      }
                    },
                    "RecentlyCalled": {
                      "seconds": 1
                    }
                  },
                  "cart.shop:80": {},
                  "global-sidecar.mesh-operator.svc.cluster.local": {},
                  "other/*": {
                    "deadline": {
                      "expire": {
                        "seconds": 5
                      }
                    }
                  },
                  "shop/cart": {},
                  "unknown": {},
                  "unknown/*": {}
                },
                "namespaceSelector": [
                  "Not/One",
                  "."
                ],
                "labelSelector": [
                  {},
                  {
                    "selector": {
                      "-": "x"
                    }
                  }
                ],
                "workloadSelector": {
                  "fromService": true,
                  "labels": {
                    "app": "web"
                  }
                }
              }
            }
            fence.yaml:6: warning[MEL0003] ServiceFence shop/web spec.enabled: the field `enabled` is not known and has no effect (did you mean `enable`?)
            fence.yaml:1: warning[MEL0234] ServiceFence shop/web spec.host["a.shop"].deadline: `deadline` has no effect beside `stable`
            fence.yaml:1: warning[MEL0234] ServiceFence shop/web spec.host["a.shop"].auto: `auto` has no effect beside `stable`
            fence.yaml:1: warning[MEL0234] ServiceFence shop/web spec.host["a.shop"].deadline: a deadline without `expire` never comes (write `deadline: {expire: {seconds: 1798761600}}`)
            fence.yaml:1: warning[MEL0234] ServiceFence shop/web spec.host["a.shop"].auto: `auto` needs a `duration` above zero, or the host stays
            fence.yaml:1: warning[MEL0234] ServiceFence shop/web spec.host["b.shop"].deadline: 1780000000000 is a time after the year 9999 (count seconds, not milliseconds)
            fence.yaml:1: warning[MEL0234] ServiceFence shop/web spec.host["b.shop"].RecentlyCalled: `RecentlyCalled` has no effect without `auto`
            fence.yaml:1: warning[MEL0233] ServiceFence shop/web spec.host["cart.shop:80"]: `cart.shop:80` has a `:`, and a fence has no ports; it has no effect (write `namespace/*` or a host such as `cart.shop.svc.cluster.local`)
            fence.yaml:1: warning[MEL0233] ServiceFence shop/web spec.host["global-sidecar.mesh-operator.svc.cluster.local"]: `global-sidecar.mesh-operator.svc.cluster.local` holds `global-sidecar`, which stands for Slime's own proxy; it has no effect (write `namespace/*` or a host such as `cart.shop.svc.cluster.local`)
            fence.yaml:1: warning[MEL0234] ServiceFence shop/web spec.host["other/*"]: a whole namespace stays, whatever the strategy says (name its hosts one by one for deadlines)
            fence.yaml:1: warning[MEL0233] ServiceFence shop/web spec.host["shop/cart"]: `shop/cart` has a `/`, which only `namespace/*` may have; it has no effect (write `namespace/*` or a host such as `cart.shop.svc.cluster.local`)
            fence.yaml:1: warning[MEL0233] ServiceFence shop/web spec.host["unknown"]: `unknown` holds `unknown`, which stands for no host; it has no effect (write `namespace/*` or a host such as `cart.shop.svc.cluster.local`)
            fence.yaml:1: warning[MEL0233] ServiceFence shop/web spec.host["unknown/*"]: `unknown/*` holds `unknown`, which stands for no host; it has no effect (write `namespace/*` or a host such as `cart.shop.svc.cluster.local`)
            fence.yaml:1: warning[MEL0233] ServiceFence shop/web spec.namespaceSelector[0]: `Not/One` is no name of a namespace; it has no effect
            fence.yaml:1: warning[MEL0233] ServiceFence shop/web spec.namespaceSelector[1]: `.` is no name of a namespace; it has no effect
            fence.yaml:1: warning[MEL0235] ServiceFence shop/web spec.labelSelector[0]: a selector without labels selects no service (write `"*/*": {}` under `host` for the whole mesh)
            fence.yaml:1: warning[MEL0235] ServiceFence shop/web spec.labelSelector[1].selector["-"]: no object can have the label `-=x`
            fence.yaml:1: warning[MEL0113] ServiceFence shop/web spec.workloadSelector.fromService: `fromService` has no effect beside `labels` (leave one of them out)
        "#]],
    );
}

/// Nothing of a status is a reason to lose what Slime learned, or the fence.
#[test]
fn what_slime_learned_is_read_whatever_its_values_are() {
    let fence = |metrics: &str| format!("  enable: true\nstatus:\n  metricStatus: {metrics}\n");
    check(
        &fence("{a: 1, b: '1', c: , d: true, e: [1, {x: y}], f: {g: h}, 7: x}"),
        expect![[r#"
        {
          "spec": {
            "enable": true
          },
          "status": {
            "metricStatus": [
              "7",
              "a",
              "b",
              "c",
              "d",
              "e",
              "f"
            ]
          }
        }
    "#]],
    );
    check(
        &fence("[a, b]"),
        expect![[r#"
        {
          "spec": {
            "enable": true
          }
        }
        fence.yaml:7: warning[MEL0233] ServiceFence shop/web status.metricStatus: only an object can hold what Slime learned; this has no effect
    "#]],
    );
    check(
        &fence("a"),
        expect![[r#"
        {
          "spec": {
            "enable": true
          }
        }
        fence.yaml:7: warning[MEL0233] ServiceFence shop/web status.metricStatus: only an object can hold what Slime learned; this has no effect
    "#]],
    );
    check(
        "  enable: true\nstatus: [a]\n",
        expect![[r#"
        {
          "spec": {
            "enable": true
          }
        }
        fence.yaml:6: warning[MEL0233] ServiceFence shop/web status: only an object can hold what Slime learned; this has no effect
    "#]],
    );
    for nothing in [&fence(""), "  enable: true\nstatus:\n"] {
        let (object, findings) = parse(nothing);
        assert_eq!((object.spec, findings), (parse("  enable: true\n").0.spec, String::new()));
    }
}

#[test]
fn another_version_is_not_read() {
    let text = "apiVersion: microservice.slime.io/v1\nkind: ServiceFence\nmetadata: {name: a}\n";
    let (objects, diagnostics) = parse_documents("fence.yaml", text.as_bytes());
    assert!(objects.is_empty());
    let findings: String = diagnostics.iter().map(|it| format!("{it}\n")).collect();
    expect![[r#"
        fence.yaml:1: info[MEL0002]: `ServiceFence` of `microservice.slime.io/v1` is not read by the mesh (known versions are v1alpha1)
    "#]].assert_eq(&findings);
}
