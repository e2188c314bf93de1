//! What becomes of a label's value that looks like this: Envoy's matcher in a tag of a metric.

use std::sync::LazyLock;

use envoy::{
    Any,
    extensions::matching::{
        actions::transform_stat::v3::{
            TransformStat,
            transform_stat::{DropTag, UpdateTag},
        },
        common_inputs::stats::v3::StatTagValueInput,
    },
    xds::{
        core::v3::TypedExtensionConfig,
        r#type::matcher::v3::{
            Matcher, StringMatcher,
            matcher::{
                MatcherList, MatcherType, OnMatch,
                matcher_list::{
                    FieldMatcher, Predicate,
                    predicate::{
                        MatchType, SinglePredicate, single_predicate::Matcher as ValueMatcher,
                    },
                },
                on_match,
            },
            string_matcher::MatchPattern,
        },
    },
};

/// What a value is compared with.
#[derive(Clone, Copy)]
pub(super) enum Is {
    Exact(&'static str),
    Prefix(&'static str),
}

/// Shared by all rules: a label has several, and a mesh many thousands.
static VALUE: LazyLock<TypedExtensionConfig> =
    LazyLock::new(|| extension("value", Any::pack(&StatTagValueInput {})));

/// The value is another.
pub(super) fn replaced(value: &str) -> TransformStat {
    let new_tag_value = value.to_owned();
    TransformStat { update_tag: Some(UpdateTag { new_tag_value }), ..TransformStat::default() }
}

/// The metric does not have the label.
pub(super) fn dropped() -> TransformStat {
    TransformStat { drop_tag: Some(DropTag {}), ..TransformStat::default() }
}

/// What happens to a value that matches, and which one stands in place of all others.
pub(super) fn rules<const N: usize>(
    matching: [(Is, TransformStat); N],
    otherwise: Option<&str>,
) -> Matcher {
    let matchers = matching.into_iter().map(|(is, action)| FieldMatcher {
        predicate: Some(Predicate { match_type: Some(MatchType::SinglePredicate(value(is))) }),
        on_match: Some(on_match(&action)),
    });
    Matcher {
        on_no_match: otherwise.map(|it| Box::new(on_match(&replaced(it)))),
        matcher_type: Some(MatcherType::MatcherList(MatcherList { matchers: matchers.collect() })),
    }
}

fn value(is: Is) -> SinglePredicate {
    let pattern = match is {
        Is::Exact(text) => MatchPattern::Exact(text.to_owned()),
        Is::Prefix(text) => MatchPattern::Prefix(text.to_owned()),
    };
    SinglePredicate {
        input: Some(VALUE.clone()),
        matcher: Some(ValueMatcher::ValueMatch(StringMatcher {
            match_pattern: Some(pattern),
            ..StringMatcher::default()
        })),
    }
}

fn on_match(action: &TransformStat) -> OnMatch {
    let action = extension("transform", Any::pack(action));
    OnMatch { on_match: Some(on_match::OnMatch::Action(action)), ..OnMatch::default() }
}

fn extension(name: &str, config: Any) -> TypedExtensionConfig {
    TypedExtensionConfig { name: name.to_owned(), typed_config: Some(config) }
}
