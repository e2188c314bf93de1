//! The walk over bytes and the rules by reflection, on all that Envoy's files can be made to say.

use std::collections::BTreeSet;

use expect_test::expect;
use prost::Message as _;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value,
};

use crate::{
    Constraints, ResourceId, ResourceKind,
    names::{Named, named},
    pgv::field::is_wrapper,
};

/// Messages are made this deep.
const DEEP: usize = 4;

/// Both ways of judging.
#[derive(Default)]
struct Judges {
    constraints: Constraints,
}

impl Judges {
    /// What breaks rules, by path.
    fn explain(&mut self, message: &DynamicMessage) -> Vec<String> {
        let id = ResourceId::new(ResourceKind::Other, "");
        self.constraints.check(&id, message).into_iter().map(|it| it.path).collect()
    }

    fn pass(&mut self, message: &DynamicMessage) -> bool {
        let bytes = message.encode_to_vec();
        self.constraints.pass(message.descriptor().full_name(), &bytes, &|_, _| true)
    }

    /// A message without fault, if one is found by trying.
    fn valid(&mut self, descriptor: &MessageDescriptor, depth: usize) -> Option<DynamicMessage> {
        let mut message = DynamicMessage::new(descriptor.clone());
        for _ in 0..20 {
            let Some(path) = self.explain(&message).into_iter().next() else {
                return Some(message);
            };
            let name = path.split(['.', '[']).next().unwrap_or_default();
            let fields: Vec<FieldDescriptor> = match descriptor.get_field_by_name(name) {
                Some(field) => vec![field],
                // The message itself lacks one of a choice.
                None => descriptor.fields().filter(|it| it.containing_oneof().is_some()).collect(),
            };
            let mut tries = Vec::new();
            for field in &fields {
                tries.extend(self.values(field, depth).into_iter().map(|value| (field, value)));
            }
            let faults = self.explain(&message).len();
            let better = tries.into_iter().find_map(|(field, value)| {
                let mut next = message.clone();
                next.set_field(field, value);
                (self.explain(&next).len() < faults).then_some(next)
            });
            message = better?;
        }
        None
    }

    /// Values for a field, many of which break a rule.
    fn values(&mut self, field: &FieldDescriptor, depth: usize) -> Vec<Value> {
        if field.is_map() {
            let Kind::Message(entry) = field.kind() else { return Vec::new() };
            let value = entry.map_entry_value_field();
            let values = self.single(&value.kind(), depth);
            let pair = |value: Value| {
                ["", "a", "a\nb"]
                    .map(|key| Value::Map([(MapKey::String(key.to_owned()), value.clone())].into()))
            };
            let text = matches!(entry.map_entry_key_field().kind(), Kind::String);
            return values.into_iter().filter(|_| text).flat_map(pair).collect();
        }
        let values = self.single(&field.kind(), depth);
        if !field.is_list() {
            return values;
        }
        let twice = |value: Value| [1, 2].map(|times| Value::List(vec![value.clone(); times]));
        let all = Value::List(values.clone());
        values.into_iter().flat_map(twice).chain([Value::List(Vec::new()), all]).collect()
    }

    fn single(&mut self, kind: &Kind, depth: usize) -> Vec<Value> {
        const NUMBERS: [i64; 12] = [0, 1, 2, 3, 99, 128, 200, 300, 65_536, -1, i64::MAX, i64::MIN];
        let of = |make: fn(i64) -> Value| NUMBERS.into_iter().map(make).collect::<Vec<_>>();
        let floats = [0.0, 0.5, 1.0, 1.5, 50.0, 100.0, 101.0, -1.0, f64::NAN, f64::INFINITY];
        match kind {
            Kind::Bool => vec![Value::Bool(true), Value::Bool(false)],
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => of(|it| Value::I32(it as i32)),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => of(Value::I64),
            Kind::Uint32 | Kind::Fixed32 => of(|it| Value::U32(it as u32)),
            Kind::Uint64 | Kind::Fixed64 => of(|it| Value::U64(it as u64)),
            #[expect(clippy::cast_possible_truncation, reason = "any will do")]
            Kind::Float => floats.map(|it| Value::F32(it as f32)).into(),
            Kind::Double => floats.map(Value::F64).into(),
            Kind::Enum(_) => [0, 1, 2, 3, 99, -1].map(Value::EnumNumber).into(),
            Kind::String => texts().into_iter().map(Value::String).collect(),
            Kind::Bytes => {
                [0, 1, 2, 16, 32, 300].map(|size| Value::Bytes(vec![b'a'; size].into())).into()
            }
            Kind::Message(inner) => self.messages(inner, depth),
        }
    }

    fn messages(&mut self, descriptor: &MessageDescriptor, depth: usize) -> Vec<Value> {
        let empty = DynamicMessage::new(descriptor.clone());
        let name = descriptor.full_name();
        let mut all = vec![Value::Message(empty.clone())];
        let fields: Vec<FieldDescriptor> = match name {
            "google.protobuf.Any" => {
                let types = [
                    "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                    "type.googleapis.com/envoy.config.core.v3.SocketAddress",
                    "type.googleapis.com/nobody.knows",
                ];
                for url in types {
                    let mut any = empty.clone();
                    any.set_field_by_number(1, Value::String(url.to_owned()));
                    all.push(Value::Message(any));
                }
                return all;
            }
            "google.protobuf.Duration" | "google.protobuf.Timestamp" => {
                descriptor.fields().collect()
            }
            name if is_wrapper(name) => descriptor.fields().collect(),
            _ => Vec::new(),
        };
        for field in fields {
            for value in self.single(&field.kind(), depth) {
                let mut next = empty.clone();
                next.set_field(&field, value);
                all.push(Value::Message(next));
            }
        }
        if depth < DEEP {
            all.extend(self.valid(descriptor, depth + 1).map(Value::Message));
        }
        all
    }
}

fn texts() -> Vec<String> {
    let texts = [
        "",
        "a",
        "/",
        "a b",
        "a\nb",
        "a\tb",
        ":a",
        "é",
        "10.0.0.1",
        "a.b",
        "A_1",
        "{a}",
        "GET",
        "1s",
        "http://a/b",
        "\0",
        "\u{7f}",
    ];
    let long = [64, 256, 1025, 16_385].map(|size| "a".repeat(size));
    texts.map(str::to_owned).into_iter().chain(long).collect()
}

fn types() -> impl Iterator<Item = MessageDescriptor> {
    let all = envoy::descriptors().all_messages().filter(|it| !it.is_map_entry());
    all.filter(|it| !it.full_name().starts_with("google.protobuf."))
}

/// Whatever a field holds, beside fields that are as they should be.
#[test]
fn what_passes_breaks_no_rule_and_what_breaks_none_passes() {
    let mut judges = Judges::default();
    let (mut wrong, mut unsure, mut never) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let (mut passed, mut broken) = (0, 0);
    for descriptor in types() {
        let Some(base) = judges.valid(&descriptor, 0) else {
            never.insert(descriptor.full_name().to_owned());
            continue;
        };
        for field in descriptor.fields() {
            for value in judges.values(&field, DEEP - 1) {
                let mut message = base.clone();
                message.set_field(&field, value);
                let (clean, pass) = (judges.explain(&message).is_empty(), judges.pass(&message));
                passed += usize::from(pass);
                broken += usize::from(!clean);
                match (clean, pass) {
                    (true, false) => unsure.insert(field.full_name().to_owned()),
                    (false, true) => wrong.insert(format!("{} {message:?}", field.full_name())),
                    (true, true) | (false, false) => false,
                };
            }
        }
    }
    assert_eq!(wrong, BTreeSet::new());
    assert!(passed > 40_000 && broken > 5_000, "{passed} passed, {broken} were broken");
    let list = |names: BTreeSet<String>| names.into_iter().map(|it| it + "\n").collect::<String>();
    // Where the walk is stricter than the rules.
    expect![[r#"
        envoy.config.core.v3.ExtensionConfigSource.apply_default_config_without_warming
        envoy.config.core.v3.ExtensionConfigSource.config_source
        envoy.config.core.v3.ExtensionConfigSource.default_config
        envoy.config.core.v3.ExtensionConfigSource.type_urls
        envoy.config.core.v3.KeyValueAppend.entry
        envoy.config.core.v3.QuicKeepAliveSettings.initial_interval
    "#]]
    .assert_eq(&list(unsure));
    // Of these no good one was found by trying.
    expect![[r#"
        envoy.config.overload.v3.BufferFactoryConfig
        envoy.config.trace.v3.DynamicOtConfig
        envoy.extensions.access_loggers.stats.v3.Config.Histogram
        envoy.extensions.quic.connection_id_generator.quic_lb.v3.Config
        envoy.service.ext_proc.v3.ImmediateResponse
        envoy.type.HttpStatus
        envoy.type.v3.HttpStatus
    "#]]
    .assert_eq(&list(never));
}

/// Bytes that no encoder writes: what passes can be decoded, and breaks no rule then.
#[test]
fn damaged_bytes_do_not_pass_unless_they_mean_something_good() {
    let mut judges = Judges::default();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random >> 33).unwrap_or(0) % below
    };
    let (mut passed, mut stopped) = (0, 0);
    for descriptor in types() {
        let Some(base) = judges.valid(&descriptor, 0) else { continue };
        let bytes = base.encode_to_vec();
        for _ in 0..if bytes.is_empty() { 0 } else { 20 } {
            let mut damaged = bytes.clone();
            match next(4) {
                0 => damaged.truncate(next(bytes.len())),
                1 => damaged.extend_from_slice(&bytes),
                2 => damaged.insert(next(bytes.len()), [0, 8, 10, 0x7f, 0x80, 0xff][next(6)]),
                _ => damaged[next(bytes.len())] ^= 1 << next(8),
            }
            let name = descriptor.full_name();
            if !judges.constraints.pass(name, &damaged, &|_, _| true) {
                stopped += 1;
                continue;
            }
            passed += 1;
            let message = DynamicMessage::decode(descriptor.clone(), &*damaged);
            let message = message.unwrap_or_else(|error| panic!("{name} {damaged:?}: {error}"));
            assert_eq!(judges.explain(&message), [""; 0], "{name} {damaged:?}");
        }
    }
    assert!(passed > 500 && stopped > 5_000, "{passed} passed, {stopped} did not");
}

#[test]
fn names_are_asked_for_wherever_they_stand() {
    let mut judges = Judges::default();
    let is_named =
        |it: &FieldDescriptor| named(it.parent_message().full_name(), it.name()).is_some();
    let fields: Vec<FieldDescriptor> =
        types().flat_map(|it| it.fields().filter(is_named).collect::<Vec<_>>()).collect();
    assert_eq!(fields.len(), 13);
    for field in fields {
        let message = field.parent_message();
        let mut base = judges.valid(message, 0).expect("there are good ones");
        let name = Value::String("far".to_owned());
        base.set_field(&field, if field.is_list() { Value::List(vec![name]) } else { name });
        let bytes = base.encode_to_vec();
        let mut pass = |leads: &dyn Fn(Named, &str) -> bool| {
            judges.constraints.pass(message.full_name(), &bytes, leads)
        };
        let full_name = field.full_name();
        assert!(pass(&|_, name| name == "far"), "{full_name}");
        assert!(!pass(&|_, name| name != "far"), "{full_name}");
    }
}
