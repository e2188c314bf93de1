//! Paths of fields, written out only when something is wrong.

use std::fmt;

/// A path on the stack: a step and the path before it.
#[derive(Clone, Copy)]
pub(super) struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Step<'p>,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Field(&'p str),
    Index(usize),
    Key(&'p str),
}

impl<'p> Path<'p> {
    /// A path of one field; empty for the object itself.
    pub(super) fn root(name: &'p str) -> Self {
        Self { parent: None, step: Step::Field(name) }
    }

    pub(super) fn field<'s>(&'s self, name: &'s str) -> Path<'s> {
        Path { parent: Some(self), step: Step::Field(name) }
    }

    pub(super) fn index(&self, index: usize) -> Path<'_> {
        Path { parent: Some(self), step: Step::Index(index) }
    }

    pub(super) fn key<'s>(&'s self, key: &'s str) -> Path<'s> {
        Path { parent: Some(self), step: Step::Key(key) }
    }
}

/// `spec.http[0].headers["x.y"]`.
impl fmt::Display for Path<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(out)?;
        }
        match self.step {
            Step::Field("") => Ok(()),
            Step::Field(name) => {
                let is_first = self.parent.is_none_or(|parent| {
                    parent.parent.is_none() && matches!(parent.step, Step::Field(""))
                });
                write!(out, "{}{name}", if is_first { "" } else { "." })
            }
            Step::Index(index) => write!(out, "[{index}]"),
            Step::Key(key) => write!(out, "[{key:?}]"),
        }
    }
}
