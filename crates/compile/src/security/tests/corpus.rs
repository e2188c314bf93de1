//! Istio's own pairs of policies and filters, field by field.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use envoy::json;
use serde_json::Value;

use super::{compile, http, network, to_json};

/// The one service that Istio's tests know.
const SERVICE: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: my-custom-ext-authz, namespace: foo}
spec:
  hosts: [my-custom-ext-authz.foo.svc.cluster.local]
  ports: [{number: 9000, name: grpc, protocol: GRPC}]
  resolution: STATIC
---
";

fn read_yaml(path: &Path) -> Value {
    let text = fs::read_to_string(path).expect("the file can be read");
    serde_saphyr::from_str(&text).expect("the file is YAML")
}

struct Pairs {
    folder: PathBuf,
    meshes: Value,
}

impl Pairs {
    /// What is wrong with a pair; nothing if it is equal.
    fn difference(&self, pair: &Value) -> Option<String> {
        let name = pair["name"].as_str().expect("a name");
        let protocol = name.split('/').next().expect("a folder");
        let folder = self.folder.join(protocol);
        let input = folder.join(pair["input"].as_str().expect("an input"));
        let input = fs::read_to_string(input).expect("the input can be read");
        let mesh = pair["mesh"].as_str().map(|mesh| mesh_config(&self.meshes[mesh]));
        let mesh = format!("{SERVICE}{}{input}", mesh.unwrap_or_default());
        let filters = compile(&mesh, &[("app", "httpbin"), ("version", "v1")]);
        let made = match protocol {
            "http" => http(&filters),
            _ => network(&filters),
        };
        let outputs = pair["outputs"].as_array().expect("outputs");
        if made.len() != outputs.len() {
            return Some(format!("{name}: {} filters instead of {}", made.len(), outputs.len()));
        }
        made.into_iter().zip(outputs).find_map(|((made_name, made), output)| {
            let expected = read_yaml(&folder.join(output.as_str().expect("a file")));
            let config = json::typed_to_any(&expected["typedConfig"]).expect("known to Envoy");
            let decode = |any: &envoy::Any| json::decode(&any.type_url, any.value.clone());
            let equal = expected["name"] == made_name
                && config.type_url == made.type_url
                && decode(&config).expect("valid") == decode(made).expect("valid");
            let text = |any| serde_json::to_string_pretty(&to_json(any)).expect("JSON");
            (!equal).then(|| {
                format!("{name} {output}:\nexpected {}\nmade {}", text(&config), text(made))
            })
        })
    }
}

fn mesh_config(mesh: &Value) -> String {
    let text = serde_json::to_string(mesh).expect("JSON");
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\n\
         data:\n  mesh: |\n    {text}\n---\n"
    )
}

#[test]
fn every_pair_of_the_corpus_is_equal_or_listed() {
    let Some(corpus) = testkit::corpus::require_corpus("the authorization pairs") else { return };
    let folder = corpus.join("authz");
    let file = read_yaml(&folder.join("pairs.yaml"));
    let pairs = Pairs { folder, meshes: file["mesh"].clone() };
    let listed = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let listed = read_yaml(&listed.join("authorization-differences.yaml"));
    let listed: BTreeMap<String, String> = serde_json::from_value(listed).expect("reasons");
    let mut problems = Vec::new();
    for pair in file["pairs"].as_array().expect("pairs") {
        let name = pair["name"].as_str().expect("a name");
        match (pairs.difference(pair), listed.get(name)) {
            (Some(difference), None) => problems.push(difference),
            (None, Some(_)) => problems.push(format!("{name} is listed, and is equal")),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}
