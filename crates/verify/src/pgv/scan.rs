//! Whether an encoded message breaks no rule, found in one walk over its bytes.
//!
//! - Sure or in doubt: a message that passes breaks nothing. Of one that does not, the rules
//!   themselves tell what is wrong, if anything.
//! - Most messages are without fault, and making values of them costs many times this walk.

mod cursor;
#[cfg(test)]
mod tests;

use self::cursor::{Cursor, Wire};
use super::{
    plan::{Content, FieldPlan, Form, MessagePlan, PlanId, Plans, Times},
    rules::RuleBook,
};
use crate::names::Named;

/// Decoders go as deep as a hundred messages. No configuration is nested half as deep.
const DEEPEST: usize = 50;

/// The message may break a rule, or is written as no encoder of ours does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Doubt;

type Sure<T> = Result<T, Doubt>;

/// A walk over one message.
pub(super) struct Scan<'a> {
    pub(super) plans: &'a mut Plans,
    pub(super) book: &'a mut RuleBook,
    /// Whether a name leads somewhere.
    pub(super) leads: &'a dyn Fn(Named, &str) -> bool,
    /// How many entries of lists were met so far, for the messages that the walk is in.
    pub(super) counts: Vec<usize>,
}

impl Scan<'_> {
    /// Walks over a message of the type with a full name.
    pub(super) fn scan(&mut self, name: &str, bytes: &[u8]) -> Sure<()> {
        let id = self.plans.id_of_name(name).ok_or(Doubt)?;
        self.message(id, bytes, 0)
    }

    fn message(&mut self, id: PlanId, bytes: &[u8], depth: usize) -> Sure<()> {
        let plan = self.plans.get(id, self.book);
        if plan.doubtful || depth > DEEPEST {
            return Err(Doubt);
        }
        let first = self.counts.len();
        self.counts.resize(first + plan.sizes.len(), 0);
        let met = self.fields(&plan, bytes, first, depth)?;
        let counts = self.counts.drain(first..).zip(&plan.sizes);
        let mut fits = met & plan.needed == plan.needed;
        fits &= plan.choices.iter().all(|choice| met & choice != 0);
        // A list that is not there is judged as needed or not.
        fits &= counts.into_iter().all(|(count, size)| count == 0 || size.has(count));
        if fits { Ok(()) } else { Err(Doubt) }
    }

    /// Returns the set of fields that were met.
    fn fields(
        &mut self,
        plan: &MessagePlan,
        bytes: &[u8],
        first: usize,
        depth: usize,
    ) -> Sure<u128> {
        let mut met = 0_u128;
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            let (number, wire) = cursor.key()?;
            let place = plan.find(number).ok_or(Doubt)?;
            let field = &plan.fields[place];
            match field.times {
                Times::Once if met & field.rivals != 0 => return Err(Doubt),
                Times::Once => self.value(field, wire, &mut cursor, depth)?,
                Times::Many { size, slot } => {
                    let many = self.values(field, wire, &mut cursor, depth)?;
                    if size.is_some() {
                        self.counts[first + slot] += many;
                    }
                }
            }
            met |= 1 << place;
        }
        Ok(met)
    }

    /// One entry of a list, or several that are packed; returns how many.
    fn values(
        &mut self,
        field: &FieldPlan,
        wire: Wire,
        cursor: &mut Cursor<'_>,
        depth: usize,
    ) -> Sure<usize> {
        let own = match field.content {
            Content::Bool(_) => Wire::Varint,
            Content::Integer(form, _) | Content::Float(form, _) => Wire::of(form),
            _ => Wire::Bytes,
        };
        if own == Wire::Bytes || wire != Wire::Bytes {
            self.value(field, wire, cursor, depth)?;
            return Ok(1);
        }
        let mut packed = Cursor::new(cursor.bytes()?);
        let mut many = 0;
        while !packed.is_empty() {
            self.value(field, own, &mut packed, depth)?;
            many += 1;
        }
        Ok(many)
    }

    fn value(
        &mut self,
        field: &FieldPlan,
        wire: Wire,
        cursor: &mut Cursor<'_>,
        depth: usize,
    ) -> Sure<()> {
        let fits = match &field.content {
            Content::Bool(wanted) => {
                let value = cursor.number(Form::Uint64, wire)? != 0;
                wanted.is_none_or(|wanted| wanted == value)
            }
            Content::Integer(form, rule) => {
                let value = cursor.number(*form, wire)?;
                rule.as_ref().is_none_or(|rule| rule.accepts(value))
            }
            Content::Float(form, rule) => {
                let value = cursor.float(*form, wire)?;
                rule.as_ref().is_none_or(|rule| rule.accepts(value))
            }
            // All others are so many bytes.
            _ if wire != Wire::Bytes => false,
            Content::Text(rule) => {
                let text = cursor.text()?;
                rule.as_ref().is_none_or(|rule| rule.accepts(text)) && self.leads(field, text)
            }
            Content::Bytes(rule) => {
                let bytes = cursor.bytes()?;
                rule.as_ref().is_none_or(|rule| rule.accepts(bytes))
            }
            Content::Message(id) => return self.message(*id, cursor.bytes()?, depth + 1),
            Content::Time(rule) => rule.accepts(nanoseconds(cursor.bytes()?)?),
            Content::Any(rule) => {
                let (url, value) = any(cursor.bytes()?)?;
                if rule.as_ref().is_some_and(|rule| !rule.accepts(url)) {
                    return Err(Doubt);
                }
                return self.any(url, value, depth);
            }
            Content::Doubtful => false,
        };
        if fits { Ok(()) } else { Err(Doubt) }
    }

    fn leads(&self, field: &FieldPlan, text: &str) -> bool {
        field.named.is_none_or(|named| text.is_empty() || (self.leads)(named, text))
    }

    fn any(&mut self, url: &str, value: &[u8], depth: usize) -> Sure<()> {
        if url.is_empty() && value.is_empty() {
            return Ok(());
        }
        let name = url.rsplit('/').next().unwrap_or_default();
        let id = self.plans.id_of_name(name).ok_or(Doubt)?;
        self.message(id, value, depth + 1)
    }
}

/// Type URL and value of an `Any`.
fn any(bytes: &[u8]) -> Sure<(&str, &[u8])> {
    let (mut url, mut value) = (None, None);
    let mut cursor = Cursor::new(bytes);
    while !cursor.is_empty() {
        match cursor.key()? {
            (1, Wire::Bytes) if url.is_none() => url = Some(cursor.text()?),
            (2, Wire::Bytes) if value.is_none() => value = Some(cursor.bytes()?),
            _ => return Err(Doubt),
        }
    }
    Ok((url.unwrap_or_default(), value.unwrap_or_default()))
}

/// What a `Duration` or `Timestamp` says.
fn nanoseconds(bytes: &[u8]) -> Sure<i128> {
    let (mut seconds, mut nanos) = (None, None);
    let mut cursor = Cursor::new(bytes);
    while !cursor.is_empty() {
        match cursor.key()? {
            (1, wire) if seconds.is_none() => seconds = Some(cursor.number(Form::Int64, wire)?),
            (2, wire) if nanos.is_none() => nanos = Some(cursor.number(Form::Int32, wire)?),
            _ => return Err(Doubt),
        }
    }
    Ok(seconds.unwrap_or(0) * 1_000_000_000 + nanos.unwrap_or(0))
}
