//! Every mistake of `testdata/mistakes`, made in a mesh that has none, and repaired.
//!
//! What is expected stands in the files; `UPDATE_EXPECT=1` writes it anew.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path, sync::Arc};

use api::{Object, codes as schema};
use model::Diagnostic;
use snapshot::{Change, Features, Index};

use crate::{LintInput, codes, examples, lint, lint_counted, lint_order};

const SHOP: &str = include_str!("../testdata/shop.yaml");

/// What is not carried out yet is said by codes that go when it is.
const PASSING: [&str; 2] = [schema::UNSUPPORTED_FIELD.code, schema::LATER_KIND.code];

/// All findings about a text, made in the shop; those of single objects first.
fn findings(text: &str) -> Vec<Diagnostic> {
    let (objects, parsed) = api::parse_documents("case", text.as_bytes());
    let mut found = parsed.into_vec();
    let mut all: BTreeMap<_, Object> = BTreeMap::new();
    let (shop, none) = api::parse_documents("shop", SHOP.as_bytes());
    assert!(none.is_empty(), "{none:?}");
    all.extend(shop.into_iter().map(|object| (object.key.clone(), object)));
    for object in objects {
        let own = api::validate(&object);
        if !own.has_errors() {
            all.insert(object.key.clone(), object);
        }
        found.extend(own.into_vec());
    }
    let snapshot = index(all.values().cloned()).snapshot();
    let between = lint(&LintInput { snapshot: &snapshot, now: None });
    found.extend(between.into_iter().map(|finding| {
        let place = finding.object.as_ref().and_then(|key| all.get(key));
        Diagnostic { location: place.map(|it| it.location.clone()), ..finding }
    }));
    found.retain(|it| !PASSING.contains(&it.code));
    found
}

/// `MEL0403 VirtualService shop/cart spec.gateways[1] in line 7: …`.
fn render(text: &str) -> String {
    let found = findings(text);
    let place = |it: &Diagnostic| it.location.as_ref().map_or(0, |place| place.line);
    let fields: Vec<(u32, &str)> = found.iter().map(|it| (place(it), it.field.as_str())).collect();
    let lines = api::find_lines(text.as_bytes(), &fields);
    let mut out = String::new();
    for (finding, line) in found.iter().zip(lines) {
        let object = finding.object.as_ref().map(ToString::to_string).unwrap_or_default();
        let Diagnostic { code, field, message, .. } = finding;
        let line = line.unwrap_or(place(finding));
        let _ = writeln!(out, "# expected: {code} {object} {field} in line {line}: {message}");
    }
    out
}

/// A file with both halves on the lines that they have in it.
fn halves(text: &str) -> (String, String) {
    let (mistake, repaired) = text.split_once("# repaired\n").expect("it is repaired");
    let gap = "\n".repeat(mistake.lines().count() + 1);
    (mistake.to_owned(), format!("{gap}{repaired}"))
}

fn mistakes() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/mistakes");
    let files = fs::read_dir(folder).expect("the folder is there");
    let mut all: Vec<(String, String)> = files
        .map(|file| {
            let path = file.expect("it can be listed").path();
            let text = fs::read_to_string(&path).expect("it can be read");
            (path.display().to_string(), text)
        })
        .collect();
    all.sort();
    all
}

#[test]
fn the_mesh_of_all_cases_has_no_mistake() {
    assert_eq!(render(""), "");
}

#[test]
fn every_mistake_is_found_and_nothing_else() {
    let mut wrong = String::new();
    for (file, text) in mistakes() {
        let expected: String = text
            .lines()
            .filter(|it| it.starts_with("# expected"))
            .map(|it| format!("{it}\n"))
            .collect();
        let name = Path::new(&file).file_stem().and_then(|it| it.to_str()).unwrap_or_default();
        let found = render(&halves(&text).0);
        if found != expected {
            if update() {
                rewrite(&file, &text);
                continue;
            }
            let _ = writeln!(wrong, "{name}: expected\n{expected}found\n{found}");
        }
        let code = name.split('-').next().unwrap_or_default();
        let first = format!("# expected: {code} ");
        if !update() && !found.starts_with(&first) {
            let _ = writeln!(wrong, "{name}: the first finding is not {code}:\n{found}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn what_is_repaired_has_no_mistake() {
    let mut wrong = String::new();
    for (file, text) in mistakes() {
        let found = render(&halves(&text).1);
        if !found.is_empty() {
            let _ = writeln!(wrong, "{file}:\n{found}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_code_has_an_example() {
    let files: Vec<String> = mistakes().into_iter().map(|(file, _)| file).collect();
    let names = files.iter().filter_map(|file| Path::new(file).file_stem()?.to_str());
    let plain: Vec<&str> = names.filter(|name| !name.contains('-')).collect();
    assert_eq!(plain, examples::codes().collect::<Vec<_>>());
    for code in examples::codes() {
        let example = examples::find(code).expect("it has the form of an example");
        assert!(!example.mistake.is_empty() && example.wrong.contains("kind:"), "{code}");
    }
    // What Envoy would refuse is a defect; time and order are in no file.
    let without = ["MEL0401", "MEL0409", "MEL0459"];
    let own = codes::ALL.iter().map(|code| code.code).filter(|code| !without.contains(code));
    let missing: Vec<&str> = own.filter(|code| examples::find(code).is_none()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// As many services as asked for, each with its namespace, pods, rules and policies.
fn mesh(services: usize) -> Vec<Object> {
    let mut text = String::from(
        "\
apiVersion: v1
kind: Namespace
metadata: {name: istio-system}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]
",
    );
    for number in 0..services {
        let _ = write!(
            text,
            "---
apiVersion: v1
kind: Namespace
metadata: {{name: n{team}}}
---
apiVersion: v1
kind: Service
metadata: {{name: s{number}, namespace: n{team}}}
spec: {{clusterIP: 10.{high}.{low}.1, selector: {{app: s{number}}}, ports: [{{name: http, port: 80, targetPort: http}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: s{number}-1, namespace: n{team}, labels: {{app: s{number}, version: v1, security.istio.io/tlsMode: istio}}}}
spec: {{serviceAccountName: s{number}, containers: [{{name: main, ports: [{{name: http, containerPort: 8080}}]}}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: s{number}, namespace: n{team}}}
spec:
  hosts: [s{number}, s{number}.example.com]
  gateways: [mesh, istio-system/edge]
  http:
  - match: [{{uri: {{prefix: /a}}}}]
    route: [{{destination: {{host: s{number}, subset: v1}}}}]
  - route: [{{destination: {{host: s{number}}}}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: s{number}, namespace: n{team}}}
spec: {{host: s{number}, trafficPolicy: {{tls: {{mode: ISTIO_MUTUAL}}}}, subsets: [{{name: v1, labels: {{version: v1}}}}]}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: s{number}, namespace: n{team}}}
spec:
  selector: {{matchLabels: {{app: s{number}}}}}
  rules: [{{from: [{{source: {{principals: [cluster.local/ns/n{team}/sa/s{number}]}}}}], to: [{{operation: {{ports: [\"8080\"]}}}}]}}]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: s{number}, namespace: n{team}}}
spec: {{selector: {{matchLabels: {{app: s{number}}}}}, mtls: {{mode: STRICT}}}}
",
            team = number / 10,
            high = number / 250,
            low = number % 250,
        );
    }
    let (objects, found) = api::parse_documents("mesh", text.as_bytes());
    assert!(found.is_empty(), "{found:?}");
    objects
}

fn index(objects: impl IntoIterator<Item = Object>) -> Index {
    let mut index = Index::new(Arc::default(), Features::default(), "cluster.local");
    index.apply(objects.into_iter().map(Change::Put));
    index
}

/// What each service costs must not depend on how many there are.
#[test]
fn work_grows_with_the_mesh_and_no_faster() {
    let work = |services: usize| {
        let snapshot = index(mesh(services)).snapshot();
        let begun = std::time::Instant::now();
        let (found, looked_at) = lint_counted(&LintInput { snapshot: &snapshot, now: None });
        eprintln!("{services} services: {looked_at} entries, {:?}", begun.elapsed());
        assert!(found.is_empty(), "{found:?}");
        looked_at
    };
    let (few, many) = (work(200), work(2_000));
    assert!(many <= few * 11, "{few} for 200 services, {many} for 2,000");
    assert!(many < 2_000 * 100, "{many}");
}

#[test]
fn a_mesh_that_changed_is_judged_as_one_made_anew() {
    let (shop, _) = api::parse_documents("shop", SHOP.as_bytes());
    let mut changing = index(shop.clone());
    for (file, text) in mistakes() {
        let (mistake, repaired) = halves(&text);
        for text in [mistake, repaired] {
            let (objects, _) = api::parse_documents("case", text.as_bytes());
            let keys: Vec<_> = objects.iter().map(|object| object.key.clone()).collect();
            changing.apply(objects.iter().cloned().map(Change::Put));
            let fresh = index(shop.iter().cloned().chain(objects));
            let judge = |index: &Index| lint(&LintInput { snapshot: &index.snapshot(), now: None });
            assert_eq!(judge(&changing), judge(&fresh), "{file}");
            changing.apply(keys.into_iter().map(Change::Delete));
            changing.apply(shop.iter().cloned().map(Change::Put));
        }
    }
}

#[test]
fn a_route_and_its_subset_that_come_and_go_together_are_told() {
    let (shop, _) = api::parse_documents("shop", SHOP.as_bytes());
    let text = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/mistakes/MEL0402-subset.yaml"),
    );
    let (objects, _) = api::parse_documents("case", halves(&text.unwrap()).1.as_bytes());
    let without = index(shop.clone()).snapshot();
    let with = index(shop.into_iter().chain(objects)).snapshot();
    let render = |found: Vec<Diagnostic>| -> Vec<String> {
        found.into_iter().map(|it| format!("{} {} {}", it.code, it.field, it.message)).collect()
    };
    let field = "spec.http[0].route[0].destination";
    let comes = "the subset `v2` of `cart` comes with the rule that leads to it";
    assert_eq!(render(lint_order(&without, &with)), [format!("MEL0459 {field} {comes}")]);
    let goes = "the subset `v2` of `cart` goes with the rule that led to it";
    assert_eq!(render(lint_order(&with, &without)), [format!("MEL0459  {goes}")]);
    assert_eq!(lint_order(&with, &with), []);
}

#[test]
fn a_certificate_has_its_time() {
    let text = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/mistakes/MEL0406.yaml"),
    );
    let (shop, _) = api::parse_documents("shop", SHOP.as_bytes());
    let (objects, _) = api::parse_documents("case", halves(&text.unwrap()).1.as_bytes());
    let snapshot = index(shop.into_iter().chain(objects)).snapshot();
    let messages = |now: i64| -> Vec<String> {
        let found = lint(&LintInput { snapshot: &snapshot, now: Some(now) });
        found.into_iter().map(|it| format!("{} {} {}", it.code, it.field, it.message)).collect()
    };
    let field = "MEL0409 stringData[\"tls.crt\"]";
    assert_eq!(messages(0), [format!("{field} the certificate is not valid yet")]);
    assert!(messages(4_000_000_000).is_empty());
    assert_eq!(messages(9_000_000_000), [format!("{field} the certificate has expired")]);
}

#[test]
fn sixty_mistakes_are_known() {
    assert!(mistakes().len() >= 60);
}

#[allow(clippy::disallowed_methods, reason = "tests have no settings to be handed down")]
fn update() -> bool {
    std::env::var_os("UPDATE_EXPECT").is_some()
}

/// The expectation goes behind the first line, so that lines of documents move: until they rest.
fn rewrite(file: &str, text: &str) {
    let mut text = text.to_owned();
    for _ in 0..2 {
        let found = render(&halves(&text).0);
        let rest: Vec<&str> = text.lines().filter(|it| !it.starts_with("# expected")).collect();
        let (first, rest) = rest.split_first().expect("it begins with the mistake");
        text = format!("{first}\n{found}{}\n", rest.join("\n"));
    }
    fs::write(file, text).expect("it can be written");
}
