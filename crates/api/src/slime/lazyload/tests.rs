//! How settings are read that say nothing.

use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde_json::json;

use super::*;

/// Every field of `T`, of which `last` is one, in each of its spellings.
#[track_caller]
fn check_nulls<T: DeserializeOwned + Default + PartialEq + Debug>(last: &str) {
    let unknown = serde_json::from_value::<T>(json!({"-": null})).expect_err("it is no field");
    // The error names those that there are, in backticks, behind the one that is not.
    let unknown = unknown.to_string();
    let known: Vec<&str> = unknown.split('`').skip(1).step_by(2).skip(1).collect();
    assert!(known.contains(&last), "{unknown}");
    for field in known {
        let read = serde_json::from_value::<T>(json!({field: null}));
        assert_eq!(read.expect(field), T::default(), "{field}");
    }
}

#[test]
fn a_field_without_a_value_is_absent() {
    check_nulls::<LazyloadSettings>("render");
    check_nulls::<PrometheusSettings>("bearerTokenFile");
    check_nulls::<LazyGatewaySettings>("serviceAccount");
    check_nulls::<DispatchSettings>("domainRegex");
    check_nulls::<DomainAliasSettings>("templates");
    check_nulls::<NamespaceSelectorSettings>("matchExpressions");
    check_nulls::<LabelExpressionSettings>("values");
}
