//! What a message type asks for, read once into a form that a walk over bytes can follow.
//!
//! - A plan is at least as strict as the rules that it is made from: what it cannot express is
//!   doubtful wherever it is met. So whatever follows the plan breaks no rule.
//! - Not here: what exactly is broken, and where. That is told from the rules themselves.

mod field;
mod rule;

use std::{collections::HashMap, rc::Rc};

use prost_reflect::{FieldDescriptor, MessageDescriptor};

pub(super) use self::{
    field::{Content, FieldPlan, Form, Size, Times},
    rule::{BytesRule, FloatRule, IntegerRule, TextRule, TypeRule},
};
use super::rules::{FieldRule, MessageRules, RuleBook, flag, part};

/// Fields of one message of which it can be remembered whether they were met.
const MOST_FIELDS: usize = u128::BITS as usize;

/// The place of a plan among the plans.
pub(super) type PlanId = usize;

/// The plan of one message type.
#[derive(Default)]
pub(super) struct MessagePlan {
    /// By number.
    pub(super) fields: Vec<FieldPlan>,
    /// Fields without which the message breaks a rule. A bit for each field, as in all sets here.
    pub(super) needed: u128,
    /// Of each of these sets at least one field has to be there.
    pub(super) choices: Vec<u128>,
    /// How long the lists and maps may be whose length matters.
    pub(super) sizes: Vec<Size>,
    /// Nothing is known about such messages.
    pub(super) doubtful: bool,
}

impl MessagePlan {
    /// The place of the field with a number.
    pub(super) fn find(&self, number: u32) -> Option<usize> {
        self.fields.binary_search_by_key(&number, |field| field.number).ok()
    }
}

/// The plans made so far.
#[derive(Default)]
pub(super) struct Plans {
    ids: HashMap<String, PlanId>,
    plans: Vec<Slot>,
}

enum Slot {
    /// Named by another plan, and not needed until now.
    Named(MessageDescriptor),
    Made(Rc<MessagePlan>),
}

impl Plans {
    /// Where the plan of a type lies, or will lie.
    pub(super) fn id_of(&mut self, descriptor: &MessageDescriptor) -> PlanId {
        if let Some(id) = self.ids.get(descriptor.full_name()) {
            return *id;
        }
        self.plans.push(Slot::Named(descriptor.clone()));
        let id = self.plans.len() - 1;
        self.ids.insert(descriptor.full_name().to_owned(), id);
        id
    }

    /// The same for a full name; `None`: Envoy has no such type.
    pub(super) fn id_of_name(&mut self, name: &str) -> Option<PlanId> {
        match self.ids.get(name) {
            Some(id) => Some(*id),
            None => envoy::json::find_message(name).ok().map(|it| self.id_of(&it)),
        }
    }

    /// Keeps a plan that no type has by itself.
    fn keep(&mut self, plan: MessagePlan) -> PlanId {
        self.plans.push(Slot::Made(Rc::new(plan)));
        self.plans.len() - 1
    }

    /// The plan itself.
    pub(super) fn get(&mut self, id: PlanId, book: &mut RuleBook) -> Rc<MessagePlan> {
        let descriptor = match &self.plans[id] {
            Slot::Made(plan) => return Rc::clone(plan),
            Slot::Named(descriptor) => descriptor.clone(),
        };
        let plan = Rc::new(self.make(&descriptor, &book.of(&descriptor)));
        self.plans[id] = Slot::Made(Rc::clone(&plan));
        plan
    }

    fn make(&mut self, descriptor: &MessageDescriptor, rules: &MessageRules) -> MessagePlan {
        let mut descriptors: Vec<FieldDescriptor> = descriptor.fields().collect();
        descriptors.sort_by_key(FieldDescriptor::number);
        // What is in an `Any` is read where it stands in a field.
        let is_any = descriptor.full_name() == "google.protobuf.Any";
        if descriptors.len() > MOST_FIELDS || is_any {
            return MessagePlan { doubtful: true, ..MessagePlan::default() };
        }
        let place = |number: u32| descriptors.iter().position(|it| it.number() == number);
        let bit =
            |field: &FieldDescriptor| place(field.number()).map_or(0, |place| 1_u128 << place);
        let mut plan = MessagePlan {
            choices: rules
                .required_oneofs
                .iter()
                .map(|oneof| oneof.fields().map(|field| bit(&field)).sum())
                .collect(),
            ..MessagePlan::default()
        };
        for field in &descriptors {
            let own = rules.fields.iter().find(|rule| rule.field.number() == field.number());
            let mut made = self.make_field(field, own.map(|rule| &rule.rules));
            made.rivals = match field.containing_oneof() {
                Some(oneof) => oneof.fields().map(|field| bit(&field)).sum(),
                None => bit(field),
            };
            if let Times::Many { size: Some(size), slot } = &mut made.times {
                *slot = plan.sizes.len();
                plan.sizes.push(*size);
            }
            if own.is_some_and(is_required) || made.breaks_when_absent(field) {
                plan.needed |= bit(field);
            }
            if rules.disallowed.iter().any(|it| it.number() == field.number()) {
                made.content = Content::Doubtful;
            }
            plan.fields.push(made);
        }
        plan
    }
}

/// Whether the field has to be there by a rule that says so.
fn is_required(rule: &FieldRule) -> bool {
    let FieldRule { field, rules, .. } = rule;
    let kinds = ["message", "any", "duration", "timestamp"];
    field.supports_presence()
        && field.containing_oneof().is_none()
        && kinds.into_iter().any(|kind| part(rules, kind).is_some_and(|it| flag(&it, "required")))
}
