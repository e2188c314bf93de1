//! Checks messages against the constraints that are written in Envoy's proto files.
//!
//! - Reads the options `validate.*` by reflection; nothing is generated, so nothing can be stale.
//! - Goes into every `Any`, as Envoy does when it makes the extension.
//! - What is without fault is found so in a walk over its bytes (`scan`); the rules by reflection
//!   tell what is wrong with the rest.
//! - Leaves out what Envoy's own check leaves out: URIs, e-mail addresses.
//! - Not here: constraints that Envoy has in code only (see `check`).

mod field;
mod number;
mod plan;
mod rules;
mod scan;
#[cfg(test)]
mod tests;
mod text;
pub(crate) mod visit;

use prost_reflect::{DynamicMessage, ReflectMessage};

use crate::{ResourceId, ResourceKind, Rule, Severity, Violation, names::Named};

use self::{plan::Plans, rules::RuleBook, scan::Scan, visit::Visitor};

/// All constraints that `message`, or a message inside it, breaks.
pub fn pgv(message: &DynamicMessage) -> Vec<Violation> {
    let name = message.descriptor().full_name().to_owned();
    Constraints::default().check(&ResourceId { kind: ResourceKind::Other, name }, message)
}

/// The constraints, read when first needed. One value for many messages saves reading them again.
#[derive(Default)]
pub struct Constraints {
    book: RuleBook,
    plans: Plans,
    work: Work,
}

/// What was done by [`Constraints`], in messages that are resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Walked over as bytes.
    pub scanned: usize,
    /// Taken apart by reflection as well, because the walk was not sure about them.
    pub explained: usize,
}

impl Constraints {
    /// What was done up to now.
    pub fn work(&self) -> Work {
        self.work
    }

    /// Whether an encoded message of the type `name` is surely without fault: [`Self::check`]
    /// would find nothing, and each name in it leads somewhere as `leads` tells.
    pub(crate) fn pass(
        &mut self,
        name: &str,
        bytes: &[u8],
        leads: &dyn Fn(Named, &str) -> bool,
    ) -> bool {
        let Self { book, plans, work } = self;
        let sure = Scan { plans, book, leads, counts: Vec::new() }.scan(name, bytes).is_ok();
        work.scanned += 1;
        work.explained += usize::from(!sure);
        sure
    }

    /// All constraints that `message` or a message inside it breaks, told as `resource`'s.
    pub fn check(&mut self, resource: &ResourceId, message: &DynamicMessage) -> Vec<Violation> {
        let mut checker = Checker { book: &mut self.book, resource, violations: Vec::new() };
        visit::visit(message, "", &mut checker);
        checker.violations
    }
}

struct Checker<'a> {
    book: &'a mut RuleBook,
    resource: &'a ResourceId,
    violations: Vec<Violation>,
}

impl Checker<'_> {
    fn report(&mut self, rule: Rule, path: &str, message: String) {
        self.violations.push(Violation {
            severity: Severity::Refused,
            resource: self.resource.clone(),
            path: path.to_owned(),
            rule,
            message,
        });
    }
}

impl Visitor for Checker<'_> {
    fn message(&mut self, message: &DynamicMessage, path: &str) {
        let rules = self.book.of(&message.descriptor());
        for oneof in &rules.required_oneofs {
            if !oneof.fields().any(|field| message.has_field(&field)) {
                self.report(
                    Rule::Constraint,
                    path,
                    format!("nothing of `{}` is set", oneof.name()),
                );
            }
        }
        for field in rules.disallowed.iter().filter(|field| message.has_field(field)) {
            let text = format!("Envoy no longer takes `{}`", field.name());
            self.report(Rule::Constraint, &visit::join(path, field.name()), text);
        }
        for rule in &rules.fields {
            let mut faults = Vec::new();
            field::check_field(message, rule, self.book, &mut faults);
            for (at, text) in faults {
                let path = format!("{}{at}", visit::join(path, rule.field.name()));
                self.report(Rule::Constraint, &path, text);
            }
        }
    }

    fn unreadable(&mut self, rule: Rule, path: &str, problem: String) {
        self.report(rule, path, problem);
    }

    fn skips(&mut self, field: &prost_reflect::FieldDescriptor) -> bool {
        self.book.skips(field)
    }
}
