//! The forms of `-o`.

use clap::{
    ValueEnum,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};

/// A form of output. No command knows all of them: see [`Format::among`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns, cut to the width of the terminal.
    Table,
    /// More columns, never cut.
    Wide,
    /// Stable, never translated.
    Json,
    /// As JSON, but YAML.
    Yaml,
    /// One name per line.
    Name,
    /// Only what is wrong.
    Short,
    /// Annotations of a GitHub workflow.
    Github,
    /// A JUnit report.
    Junit,
    /// SARIF 2.1.0, as code scanners speak.
    Sarif,
}

impl Format {
    /// A parser for a command that knows these forms:
    /// `#[arg(short, long, value_parser = Format::among(&[Format::Table, Format::Json]))]`.
    pub(crate) fn among(known: &'static [Self]) -> impl TypedValueParser<Value = Self> + 'static {
        // Without their explanations: these would make long pages of all short ones.
        let names = known.iter().filter_map(ValueEnum::to_possible_value);
        let values = names.map(|value| PossibleValue::new(value.get_name().to_owned()));
        PossibleValuesParser::new(values.collect::<Vec<PossibleValue>>())
            .try_map(|text| Self::from_str(&text, false))
    }
}
