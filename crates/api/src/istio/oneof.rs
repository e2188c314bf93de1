//! Messages of which exactly one member can be set, as enums.
//!
//! Two members are an error. No member is `Unset`, which some fields give a meaning.

use serde::{Deserialize, Serialize};

use crate::{
    Bytes,
    istio::telemetry::{EnvironmentTag, FormatterTag, HeaderTag, LiteralTag},
};

/// How a text is compared; `Regex` is RE2.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "StringMatchMembers", into = "StringMatchMembers")]
pub enum StringMatch {
    #[default]
    Unset,
    Exact(String),
    Prefix(String),
    Regex(String),
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct StringMatchMembers {
    #[serde(skip_serializing_if = "Option::is_none")]
    exact: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    regex: Option<String>,
}

impl TryFrom<StringMatchMembers> for StringMatch {
    type Error = String;

    fn try_from(members: StringMatchMembers) -> Result<Self, String> {
        let mut found = Vec::new();
        if let Some(value) = members.exact {
            found.push((StringMatch::Exact(value), "exact"));
        }
        if let Some(value) = members.prefix {
            found.push((StringMatch::Prefix(value), "prefix"));
        }
        if let Some(value) = members.regex {
            found.push((StringMatch::Regex(value), "regex"));
        }
        pick(found)
    }
}

impl From<StringMatch> for StringMatchMembers {
    fn from(value: StringMatch) -> Self {
        let mut members = Self::default();
        match value {
            StringMatch::Unset => (),
            StringMatch::Exact(value) => members.exact = Some(value),
            StringMatch::Prefix(value) => members.prefix = Some(value),
            StringMatch::Regex(value) => members.regex = Some(value),
        }
        members
    }
}

/// The body of a fixed answer.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "HttpBodyMembers", into = "HttpBodyMembers")]
pub enum HttpBody {
    #[default]
    Unset,
    Text(String),
    Bytes(Bytes),
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct HttpBodyMembers {
    #[serde(skip_serializing_if = "Option::is_none")]
    string: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<Bytes>,
}

impl TryFrom<HttpBodyMembers> for HttpBody {
    type Error = String;

    fn try_from(members: HttpBodyMembers) -> Result<Self, String> {
        let mut found = Vec::new();
        if let Some(value) = members.string {
            found.push((HttpBody::Text(value), "string"));
        }
        if let Some(value) = members.bytes {
            found.push((HttpBody::Bytes(value), "bytes"));
        }
        pick(found)
    }
}

impl From<HttpBody> for HttpBodyMembers {
    fn from(value: HttpBody) -> Self {
        let mut members = Self::default();
        match value {
            HttpBody::Unset => (),
            HttpBody::Text(value) => members.string = Some(value),
            HttpBody::Bytes(value) => members.bytes = Some(value),
        }
        members
    }
}

/// Where the value of a span tag comes from.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "CustomTagMembers", into = "CustomTagMembers")]
pub enum CustomTag {
    #[default]
    Unset,
    Literal(LiteralTag),
    Environment(EnvironmentTag),
    Header(HeaderTag),
    Formatter(FormatterTag),
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct CustomTagMembers {
    #[serde(skip_serializing_if = "Option::is_none")]
    literal: Option<LiteralTag>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<EnvironmentTag>,
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<HeaderTag>,
    #[serde(skip_serializing_if = "Option::is_none")]
    formatter: Option<FormatterTag>,
}

impl TryFrom<CustomTagMembers> for CustomTag {
    type Error = String;

    fn try_from(members: CustomTagMembers) -> Result<Self, String> {
        let mut found = Vec::new();
        if let Some(value) = members.literal {
            found.push((CustomTag::Literal(value), "literal"));
        }
        if let Some(value) = members.environment {
            found.push((CustomTag::Environment(value), "environment"));
        }
        if let Some(value) = members.header {
            found.push((CustomTag::Header(value), "header"));
        }
        if let Some(value) = members.formatter {
            found.push((CustomTag::Formatter(value), "formatter"));
        }
        pick(found)
    }
}

impl From<CustomTag> for CustomTagMembers {
    fn from(value: CustomTag) -> Self {
        let mut members = Self::default();
        match value {
            CustomTag::Unset => (),
            CustomTag::Literal(value) => members.literal = Some(value),
            CustomTag::Environment(value) => members.environment = Some(value),
            CustomTag::Header(value) => members.header = Some(value),
            CustomTag::Formatter(value) => members.formatter = Some(value),
        }
        members
    }
}

fn pick<T: Default>(found: Vec<(T, &'static str)>) -> Result<T, String> {
    if found.len() > 1 {
        let names: Vec<String> = found.iter().map(|(_, name)| format!("`{name}`")).collect();
        return Err(format!("only one of {} may be set", names.join(" and ")));
    }
    Ok(found.into_iter().next().map(|(value, _)| value).unwrap_or_default())
}
