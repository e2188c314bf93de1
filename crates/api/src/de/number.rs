//! What unquoted texts are: numbers, truth values, or texts after all.

pub(super) enum Scalar {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text,
}

pub(super) fn scalar(text: &str) -> Scalar {
    match text {
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        _ => (),
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
        return Scalar::Text;
    }
    if let Some(number) = whole_digits(text).and_then(|number| i64::try_from(number).ok()) {
        return Scalar::Int(number);
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && !text.ends_with(|c: char| c.is_alphabetic()) => {
            Scalar::Float(number)
        }
        _ => Scalar::Text,
    }
}

/// Whether YAML gives an unquoted text another type.
pub(super) fn is_other(text: &str) -> bool {
    !matches!(scalar(text), Scalar::Text)
}

/// The words of YAML 1.1 count too where a truth value is expected.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

fn whole_digits(text: &str) -> Option<i128> {
    if let Some(digits) = text.strip_prefix("0x") {
        return (digits.len() <= 16).then(|| i128::from_str_radix(digits, 16).ok())?;
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return (digits.len() <= 22).then(|| i128::from_str_radix(digits, 8).ok())?;
    }
    if text.len() > 20 {
        return None;
    }
    text.parse().ok()
}

/// A whole number, also written as `80.0` or `8e1`.
pub(super) fn whole(text: &str) -> Option<i128> {
    whole_digits(text).or_else(|| {
        let number: f64 = text.parse().ok()?;
        (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i128)
    })
}

pub(super) fn decimal(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}
