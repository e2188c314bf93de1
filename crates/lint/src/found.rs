//! Where findings are collected.

use api::codes::Code;
use model::{Diagnostic, ObjectKey};

/// The findings so far.
#[derive(Debug, Default)]
pub(crate) struct Found(Vec<Diagnostic>);

impl Found {
    /// Adds a finding about a field of an object.
    pub(crate) fn add(
        &mut self,
        code: &Code,
        object: &ObjectKey,
        field: impl Into<String>,
        message: impl Into<String>,
        hint: &str,
    ) {
        let finding = code.diagnostic(message).object(object.clone());
        self.0.push(finding.field(field).hint(hint));
    }

    pub(crate) fn into_sorted(self) -> Vec<Diagnostic> {
        let mut all = self.0;
        all.sort_by(|one, other| {
            let order = |it: &Diagnostic| (it.object.clone(), it.field.clone(), it.code);
            order(one).cmp(&order(other)).then_with(|| one.message.cmp(&other.message))
        });
        all.dedup();
        all
    }
}
