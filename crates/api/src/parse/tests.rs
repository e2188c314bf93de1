//! Golden tests of reading: what is read, and what is said about the rest.

use expect_test::{Expect, expect};

use model::{Diagnostics, Location, ObjectKey};

use crate::{Object, Spec, parse_documents, parse_mesh_config, parse_piece, split_file};

#[track_caller]
fn check(text: &str, expected: Expect) {
    let (objects, diagnostics) = parse_documents("test.yaml", text.as_bytes());
    let mut lines: Vec<String> =
        objects.iter().map(|object| format!("{} {}", object.location, object.key)).collect();
    lines.extend(diagnostics.iter().map(ToString::to_string));
    expected.assert_eq(&lines.iter().map(|line| format!("{line}\n")).collect::<String>());
}

const ENTRY: &str = "apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: one, namespace: vm}
spec: {address: 10.0.0.1}
";

#[test]
fn a_mistake_leaves_its_neighbours_alone() {
    let text = format!("{ENTRY}---\na: [1\n---\n{ENTRY}---\n# nothing\n---\nx: 'y\n---\n{ENTRY}");
    check(
        &text,
        expect![[r#"
            test.yaml:1 WorkloadEntry vm/one
            test.yaml:8 WorkloadEntry vm/one
            test.yaml:17 WorkloadEntry vm/one
            test.yaml:6: error[MEL0001]: unclosed bracket '['
            test.yaml:16: error[MEL0001]: invalid indentation in multiline quoted scalar
        "#]],
    );
}

#[test]
fn unknown_fields_are_reported_and_ignored() {
    let text = "apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata:
  name: cart
  namespace: shop
  managedFields: [{manager: kubectl}]
spec:
  hosts: [cart]
  http:
  - route:
    - destination: {host: cart}
      wieght: 3
    mirror_percentage: {value: 5}
  extra: 1
statuss: {}
";
    check(
        text,
        expect![[r#"
        test.yaml:1 VirtualService shop/cart
        test.yaml:15: warning[MEL0003] VirtualService shop/cart statuss: the field `statuss` is not known and has no effect (did you mean `status`?)
        test.yaml:12: warning[MEL0003] VirtualService shop/cart spec.http[0].route[0].wieght: the field `wieght` is not known and has no effect (did you mean `weight`?)
        test.yaml:14: warning[MEL0003] VirtualService shop/cart spec.extra: the field `extra` is not known and has no effect
    "#]],
    );
}

#[test]
fn wrong_types_drop_one_document() {
    let bad = |spec: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: x}}\nspec:\n  {spec}\n---\n"
        )
    };
    let text = [
        bad("hosts: a"),
        bad("resolution: SOMETIMES"),
        bad("ports: [{number: many}]"),
        bad("ports: [{number: -1}]"),
        bad("hosts: [1]"),
        bad("hosts: [a, ~]"),
        bad("endpoints: {}"),
        bad("ports: [{number: \"8080\", name: p}]"),
        bad("hosts: ~"),
    ]
    .concat();
    check(
        &text,
        expect![[r#"
        test.yaml:43 ServiceEntry default/x
        test.yaml:49 ServiceEntry default/x
        test.yaml:5: error[MEL0004] ServiceEntry default/x spec.hosts: expected a list, found `a`
        test.yaml:11: error[MEL0004] ServiceEntry default/x spec.resolution: `SOMETIMES` is not a known value (known are NONE, STATIC, DNS, DNS_ROUND_ROBIN, DYNAMIC_DNS)
        test.yaml:17: error[MEL0004] ServiceEntry default/x spec.ports[0].number: expected a whole number, found `many`
        test.yaml:23: error[MEL0004] ServiceEntry default/x spec.ports[0].number: expected a number from 0 to 4294967295, found `-1`
        test.yaml:29: error[MEL0004] ServiceEntry default/x spec.hosts[0]: expected a text, found `1` (put it in quotes: "1")
        test.yaml:35: error[MEL0004] ServiceEntry default/x spec.hosts[1]: an item of a list may not be empty
        test.yaml:41: error[MEL0004] ServiceEntry default/x spec.endpoints: expected a list, found an object
    "#]],
    );
}

#[test]
fn two_members_of_a_one_of_are_refused() {
    let text = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: x}
spec:
  http:
  - match:
    - headers:
        a:
          exact: b
          prefix: c
";
    check(
        text,
        expect![[r#"
        test.yaml:9: error[MEL0004] VirtualService default/x spec.http[0].match[0].headers.a: only one of `exact` and `prefix` may be set
    "#]],
    );
}

#[test]
fn other_kinds_and_lists_are_known() {
    let text = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: x}}\n---
apiVersion: networking.istio.io/v9\nkind: Sidecar\n---
apiVersion: v1\nkind: List\nitems:\n- {}\n- apiVersion: v1\n  kind: Node\n  metadata: {{name: n}}\n---
{{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {{\"name\": \"\\ud83d\\ude00\"}}}}\n---
just a text\n---\nkind: Sidecar\n---\napiVersion: v1\nkind: Service\nmetadata: {{}}\n",
        ENTRY.trim_end().replace('\n', "\n  ")
    );
    check(
        &text,
        expect![[r#"
        test.yaml:11 WorkloadEntry vm/one
        test.yaml:15 Node n
        test.yaml:19 Namespace 😀
        test.yaml:5: info[MEL0002]: `Sidecar` of `networking.istio.io/v9` is not read by the mesh (known versions are v1, v1beta1, v1alpha3)
        test.yaml:21: error[MEL0004]: a document must be an object (write `apiVersion`, `kind`, `metadata` and `spec`)
        test.yaml:23: info[MEL0002]: `Sidecar` of `` is not read by the mesh
        test.yaml:27: error[MEL0004] Service default/ metadata: the object has no name (set `metadata.name`)
    "#]],
    );
}

#[test]
fn the_mesh_configuration_is_in_a_config_map() {
    let text = "apiVersion: v1
kind: ConfigMap
metadata:
  name: istio
data:
  mesh: |
    rootNamespace: mesh-system
    accesLogFile: /dev/stdout
    meshMTLS: {minProtocolVersion: TLSV1_3}
";
    check(
        text,
        expect![[r#"
        test.yaml:7 MeshConfig istio-system/istio
        test.yaml:1 ConfigMap istio-system/istio
        test.yaml:8: warning[MEL0003] MeshConfig istio-system/istio accesLogFile: the field `accesLogFile` is not known and has no effect (did you mean `accessLogFile`?)
    "#]],
    );
}

#[test]
fn a_mesh_configuration_can_stand_alone() {
    let text = b"connectTimeout: 5s\ndefaultConfig:\n  drainDuration: 1h\n";
    let (object, diagnostics) = parse_mesh_config("mesh.yaml", text);
    assert!(diagnostics.is_empty());
    let Spec::MeshConfig(mesh) = object.unwrap().spec else { panic!("another kind") };
    assert_eq!(mesh.connect_timeout.unwrap().to_string(), "5s");
}

#[test]
fn the_hash_is_of_the_content() {
    let hash = |text: &str| parse_documents("x", text.as_bytes()).0[0].hash;
    let reordered = "kind: WorkloadEntry
apiVersion: networking.istio.io/v1 # the same
spec:
  address: '10.0.0.1'
metadata: {namespace: vm, resourceVersion: '7', name: one}
";
    assert_eq!(hash(ENTRY), hash(reordered));
    assert_ne!(hash(ENTRY), hash(&ENTRY.replace("10.0.0.1", "10.0.0.2")));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, mixed in "(apiVersion: networking.istio.io/v1\n|kind: Sidecar\n|metadata:\n|  name: x\n|spec:\n|  egress:\n|  - hosts: [a]\n|---\n|- |&a |\\*a |\\{|\\}|<<: ){0,20}") {
        parse_documents("x", &bytes);
        parse_documents("x", mixed.as_bytes());
    }
}

proptest::proptest! {
    #[test]
    fn pieces_of_a_file_say_what_the_file_says(
        text in "((---|--- |----|  ---|kind: Service|kind: Odd|metadata: \\{name: [ab]\\}|x: [|\\[]|#|)\n){0,30}",
        size in 0usize..80,
    ) {
        let (objects, diagnostics) = parse_documents("test.yaml", text.as_bytes());
        let pieces = split_file(text.as_bytes(), size);
        let (mut found, mut findings) = (Vec::new(), Diagnostics::default());
        for piece in &pieces {
            let (objects, diagnostics) = parse_piece("test.yaml", piece);
            found.extend(objects);
            findings.extend(diagnostics);
        }
        let show = |objects: &[Object]| -> Vec<(ObjectKey, Location)> {
            objects.iter().map(|it| (it.key.clone(), it.location.clone())).collect()
        };
        proptest::prop_assert_eq!(show(&objects), show(&found));
        proptest::prop_assert_eq!(diagnostics, findings);
        let joined: Vec<u8> = pieces.iter().flat_map(|piece| piece.text.iter().copied()).collect();
        proptest::prop_assert_eq!(joined, text.into_bytes());
    }
}
