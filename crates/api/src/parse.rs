//! Text into objects.
//!
//! - One bad document never hides its neighbours: it is left out and reported.
//! - Fields that a kind does not have are reported and otherwise ignored.
//! - Not here: whether the values make sense (`validate`).

mod kind;
mod suggest;

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use model::{Diagnostic, Diagnostics, Kind, Labels, Location, ObjectKey};
use serde::de::DeserializeOwned;

use crate::{
    Object, Spec, codes,
    codes::Code,
    de::{self, Unknown},
    istio::{mesh_config::MeshConfig, workload_entry::WorkloadEntry},
    k8s::config_map::ConfigMap,
    meta::ObjectMeta,
    slime::service_fence::{ServiceFence, ServiceFenceStatus},
    yaml::{self, Content, Tree},
};

pub use self::suggest::nearest;
pub use crate::yaml::Piece;

/// Namespace of the mesh configuration where none is written.
const MESH_NAMESPACE: &str = "istio-system";

/// Reads every object of a file: YAML or JSON, any number of documents, `List`s included.
/// `file` is only used to say where things are.
pub fn parse_documents(file: &str, text: &[u8]) -> (Vec<Object>, Diagnostics) {
    let mut reader = Reader::new(file);
    reader.documents(text, Reader::object);
    (reader.objects, reader.diagnostics)
}

/// Reads the objects of one piece of a file, as [`split_file`] gives them.
pub fn parse_piece(file: &str, piece: &Piece<'_>) -> (Vec<Object>, Diagnostics) {
    let mut reader = Reader::new(file);
    reader.lines_before = piece.lines_before;
    reader.documents(piece.text, Reader::object);
    (reader.objects, reader.diagnostics)
}

/// Cuts a large file between documents into pieces of at least `size` bytes (the last one may be
/// shorter), so that several threads can read it. All pieces together say what the file says.
pub fn split_file(text: &[u8], size: usize) -> Vec<Piece<'_>> {
    yaml::split_pieces(text, size)
}

/// Reads a file that is one MeshConfig without `apiVersion` and `kind`.
pub fn parse_mesh_config(file: &str, text: &[u8]) -> (Option<Object>, Diagnostics) {
    let mut reader = Reader::new(file);
    reader.documents(text, |reader, tree, root| {
        let meta = ObjectMeta {
            name: "istio".to_owned(),
            namespace: MESH_NAMESPACE.to_owned(),
            ..ObjectMeta::default()
        };
        let key = ObjectKey::new(Kind::MeshConfig, &meta.namespace, &meta.name);
        let document = Document { tree, root, key: Some(key) };
        if let Some(mesh) = reader.read::<MeshConfig>(&document, Some(root)) {
            reader.push(&document, meta, mesh.into());
        }
    });
    (reader.objects.into_iter().next(), reader.diagnostics)
}

/// One object in its tree.
struct Document<'t, 'a> {
    tree: &'t Tree<'a>,
    root: u32,
    key: Option<ObjectKey>,
}

struct Reader {
    file: Arc<str>,
    /// Lines before the text that is read, when it is a part of a file.
    lines_before: u32,
    objects: Vec<Object>,
    diagnostics: Diagnostics,
    /// Those of workloads: many are equal.
    labels: HashSet<Labels>,
}

impl Reader {
    fn new(file: &str) -> Self {
        Self {
            file: file.into(),
            lines_before: 0,
            objects: Vec::new(),
            diagnostics: Diagnostics::default(),
            labels: HashSet::new(),
        }
    }

    fn documents(&mut self, text: &[u8], mut each: impl FnMut(&mut Self, &Tree<'_>, u32)) {
        for chunk in yaml::split(text) {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(line) => {
                    let diagnostic = codes::SYNTAX.diagnostic("the document is not valid UTF-8");
                    self.report(diagnostic, line);
                    continue;
                }
            };
            let (trees, error) = yaml::parse(&chunk);
            for tree in &trees {
                if !tree.nodes.is_empty() && !tree.is_null(0) {
                    each(self, tree, 0);
                }
            }
            if let Some(error) = error {
                self.report(codes::SYNTAX.diagnostic(error.message), error.line);
            }
        }
    }

    fn location(&self, line: u32) -> Location {
        Location { file: self.file.clone(), line: self.lines_before.saturating_add(line) }
    }

    fn report(&mut self, diagnostic: Diagnostic, line: u32) {
        let location = self.location(line);
        self.diagnostics.push(diagnostic.at(location));
    }

    fn report_at(&mut self, document: &Document<'_, '_>, node: u32, diagnostic: Diagnostic) {
        let path = document.tree.path(document.root, node);
        let mut diagnostic = diagnostic.field(path);
        diagnostic.object = document.key.clone();
        self.report(diagnostic, document.tree.line(node));
    }

    /// Reads one object, or the items of a `List`.
    fn object(&mut self, tree: &Tree<'_>, root: u32) {
        let document = Document { tree, root, key: None };
        let refuse = |reader: &mut Self, code: &Code, message: &str, hint: &str| {
            reader.report_at(&document, root, code.diagnostic(message).hint(hint));
        };
        if *tree.content(root) != Content::Map {
            let hint = "write `apiVersion`, `kind`, `metadata` and `spec`";
            return refuse(self, &codes::BAD_VALUE, "a document must be an object", hint);
        }
        let text = |name: &str| tree.get(root, name).and_then(|node| tree.scalar(node));
        let (api_version, kind) =
            (text("apiVersion").unwrap_or_default(), text("kind").unwrap_or_default());
        if kind.is_empty() {
            let hint = "every object names its `apiVersion` and `kind`";
            return refuse(self, &codes::BAD_VALUE, "the document has no `kind`", hint);
        }
        if let Some(items) = tree.get(root, "items").filter(|_| kind.ends_with("List")) {
            if *tree.content(items) == Content::List {
                tree.items(items).for_each(|item| self.object(tree, item));
            } else if !tree.is_null(items) {
                refuse(self, &codes::BAD_VALUE, "`items` must be a list", "");
            }
            return;
        }
        match kind::find(api_version, kind) {
            kind::Found::Known(kind) => self.known(tree, root, kind),
            kind::Found::Beside => (),
            kind::Found::Unknown(hint) => {
                let message = format!("`{kind}` of `{api_version}` is not read by the mesh");
                refuse(self, &codes::UNKNOWN_KIND, &message, &hint);
            }
        }
    }

    fn known(&mut self, tree: &Tree<'_>, root: u32, kind: Kind) {
        let mut document = Document { tree, root, key: None };
        let metadata = tree.get(root, "metadata");
        let unknown = RefCell::new(Vec::new());
        let mut meta: ObjectMeta = match de::read(tree, metadata, &unknown) {
            Ok(meta) => meta,
            Err(error) => return self.refuse(&document, error),
        };
        default_namespace(kind, &mut meta);
        document.key = Some(ObjectKey::new(kind, &meta.namespace, &meta.name));
        if meta.name.is_empty() {
            let diagnostic = codes::BAD_VALUE.diagnostic("the object has no name");
            let diagnostic = diagnostic.hint("set `metadata.name`");
            return self.report_at(&document, metadata.unwrap_or(root), diagnostic);
        }
        let Some(spec) = self.spec(&document, kind) else { return };
        let mesh = match &spec {
            Spec::ConfigMap(map) if meta.name == "istio" => Some(map.clone()),
            _ => None,
        };
        if let Some(map) = mesh {
            self.embedded_mesh_config(&document, &meta, &map);
        }
        self.push(&document, meta, spec);
    }

    fn push(&mut self, document: &Document<'_, '_>, meta: ObjectMeta, mut spec: Spec) {
        self.share_labels(&mut spec);
        let location = self.location(document.tree.line(document.root));
        self.objects.push(Object::new(meta, spec, location));
    }

    /// A hundred thousand workloads have a few thousand different labels.
    fn share_labels(&mut self, spec: &mut Spec) {
        let workloads: &mut [WorkloadEntry] = match spec {
            Spec::WorkloadEntry(entry) => Arc::get_mut(entry).map(std::slice::from_mut),
            Spec::ServiceEntry(entry) => Arc::get_mut(entry).map(|it| it.endpoints.as_mut_slice()),
            _ => None,
        }
        .unwrap_or_default();
        for workload in workloads {
            match self.labels.get(&workload.labels) {
                Some(known) => workload.labels = known.clone(),
                None => drop(self.labels.insert(workload.labels.clone())),
            }
        }
    }

    /// Content of an object of Kubernetes: of the fields that the mesh does not read it says
    /// nothing.
    fn core<T: DeserializeOwned + Default>(&mut self, document: &Document<'_, '_>) -> Option<Spec>
    where
        Spec: From<T>,
    {
        let unknown = RefCell::new(Vec::new());
        match de::read::<T>(document.tree, Some(document.root), &unknown) {
            Ok(value) => Some(value.into()),
            Err(error) => {
                self.refuse(document, error);
                None
            }
        }
    }

    /// Content of an object of Istio, below `spec`.
    fn custom<T: DeserializeOwned + Default>(&mut self, document: &Document<'_, '_>) -> Option<Spec>
    where
        Spec: From<T>,
    {
        self.below_spec::<T>(document).map(Spec::from)
    }

    fn fence(&mut self, document: &Document<'_, '_>) -> Option<Spec> {
        let spec = self.below_spec(document)?;
        let status = ServiceFenceStatus { metric_status: self.metric_status(document) };
        Some(ServiceFence { spec, status }.into())
    }

    /// The keys in the status of a fence, whatever their values are. Nobody writes a status, so it is
    /// no reason to refuse the fence.
    fn metric_status(&mut self, document: &Document<'_, '_>) -> BTreeSet<String> {
        let tree = document.tree;
        let mut keys = BTreeSet::new();
        let status = tree.get(document.root, "status");
        let Some(status) = self.status_object(document, status) else { return keys };
        for name in ["metricStatus", "metric_status"] {
            let learned = self.status_object(document, tree.get(status, name));
            let entries = learned.into_iter().flat_map(|learned| tree.entries(learned));
            keys.extend(entries.filter_map(|(key, _)| tree.scalar(key)).map(str::to_owned));
        }
        keys
    }

    /// A part of a status, if it is an object.
    fn status_object(&mut self, document: &Document<'_, '_>, node: Option<u32>) -> Option<u32> {
        let node = node.filter(|node| !document.tree.is_null(*node))?;
        let is_object = *document.tree.content(node) == Content::Map;
        if !is_object {
            let message = "only an object can hold what Slime learned; this has no effect";
            self.report_at(document, node, codes::FENCE_HOST.diagnostic(message));
        }
        is_object.then_some(node)
    }

    fn below_spec<T: DeserializeOwned + Default>(
        &mut self,
        document: &Document<'_, '_>,
    ) -> Option<T> {
        const TOP: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];
        let Document { tree, root, .. } = *document;
        for (key, _) in tree.entries(root) {
            if !TOP.contains(&tree.scalar(key).unwrap_or_default()) {
                self.unknown(document, &Unknown { node: key, known: TOP });
            }
        }
        let spec = tree.get(root, "spec");
        if let Some(spec) = spec.filter(|spec| tree.is_null(*spec)) {
            let diagnostic = codes::BAD_VALUE.diagnostic("`spec` is empty");
            self.report_at(document, spec, diagnostic.hint("write `spec: {}` for the defaults"));
            return None;
        }
        self.read(document, spec)
    }

    fn read<T: DeserializeOwned + Default>(
        &mut self,
        document: &Document<'_, '_>,
        node: Option<u32>,
    ) -> Option<T> {
        let unknown = RefCell::new(Vec::new());
        let value = de::read::<T>(document.tree, node, &unknown);
        for unknown in unknown.into_inner() {
            self.unknown(document, &unknown);
        }
        match value {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse(document, error);
                None
            }
        }
    }

    fn refuse(&mut self, document: &Document<'_, '_>, error: de::Error) {
        let diagnostic = codes::BAD_VALUE.diagnostic(error.message).hint(error.hint);
        self.report_at(document, error.node.unwrap_or(document.root), diagnostic);
    }

    fn unknown(&mut self, document: &Document<'_, '_>, unknown: &Unknown) {
        let name = document.tree.scalar(unknown.node).unwrap_or_default();
        let message = format!("the field `{name}` is not known and has no effect");
        // Names of the protobuf form are accepted, but not what anybody should write.
        let written = unknown.known.iter().copied().filter(|known| !known.contains('_'));
        let hint = match nearest(name, written) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => String::new(),
        };
        let diagnostic = codes::UNKNOWN_FIELD.diagnostic(message).hint(hint);
        self.report_at(document, unknown.node, diagnostic);
    }

    /// The mesh configuration in the ConfigMap `istio`, under `mesh`.
    fn embedded_mesh_config(
        &mut self,
        document: &Document<'_, '_>,
        meta: &ObjectMeta,
        map: &ConfigMap,
    ) {
        let Some(text) = map.data.get("mesh") else { return };
        let tree = document.tree;
        let line = tree.get(document.root, "data").and_then(|data| tree.get(data, "mesh"));
        let line = line.map_or(0, |node| tree.line(node));
        let mut inner = Self::new("");
        inner.file = self.file.clone();
        // The text of a block begins on the line below its key.
        inner.lines_before = self.lines_before.saturating_add(line);
        inner.documents(text.as_bytes(), |inner, tree, root| {
            let key = ObjectKey::new(Kind::MeshConfig, &meta.namespace, &meta.name);
            let document = Document { tree, root, key: Some(key) };
            if let Some(mesh) = inner.read::<MeshConfig>(&document, Some(root)) {
                inner.push(&document, meta.clone(), mesh.into());
            }
        });
        self.objects.extend(inner.objects.into_iter().take(1));
        self.diagnostics.extend(inner.diagnostics);
    }
}

fn default_namespace(kind: Kind, meta: &mut ObjectMeta) {
    if matches!(kind, Kind::Node | Kind::Namespace) {
        meta.namespace.clear();
    } else if meta.namespace.is_empty() {
        let is_mesh = kind == Kind::ConfigMap && meta.name == "istio";
        meta.namespace = if is_mesh { MESH_NAMESPACE } else { "default" }.to_owned();
    }
}

#[cfg(test)]
mod tests;
