//! What filters keep of a connection or a request for those behind them.

use envoy::{
    config::core::v3::{
        DataSource, SubstitutionFormatString, data_source, substitution_format_string::Format,
    },
    extensions::filters::common::set_filter_state::v3::{
        FilterStateValue,
        filter_state_value::{Key, Value},
    },
};

/// The network filter that does so; proxies have the HTTP filter by another name.
pub(crate) const SET_FILTER_STATE: &str = "envoy.filters.network.set_filter_state";

/// A value, unless it is empty. `text` may have Envoy's placeholders; `factory` says what is made of it.
pub(crate) fn formatted(key: &str, factory: &str, text: &str) -> FilterStateValue {
    FilterStateValue {
        key: Some(Key::ObjectKey(key.to_owned())),
        factory_key: factory.to_owned(),
        value: Some(Value::FormatString(SubstitutionFormatString {
            omit_empty_values: true,
            format: Some(Format::TextFormatSource(DataSource {
                specifier: Some(data_source::Specifier::InlineString(text.to_owned())),
                ..DataSource::default()
            })),
            ..SubstitutionFormatString::default()
        })),
        skip_if_empty: true,
        ..FilterStateValue::default()
    }
}
