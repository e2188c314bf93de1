//! The diagnostic codes of what is only seen with all objects at hand.

use api::codes::Code;
use model::Severity;

/// Envoy would not take a resource.
pub(crate) const REFUSED: Code = Code {
    code: "MEL0401",
    severity: Severity::Error,
    title: "Envoy would refuse what is made of an object",
};
/// A name in a resource leads nowhere.
pub(crate) const NO_SUCH_DESTINATION: Code = Code {
    code: "MEL0402",
    severity: Severity::Warning,
    title: "A destination does not exist, and calls to it fail",
};
/// A rule is bound to nothing.
pub(crate) const NO_SUCH_GATEWAY: Code = Code {
    code: "MEL0403",
    severity: Severity::Warning,
    title: "A gateway does not exist, and the rule has no effect there",
};
/// Only one of several rules has an effect.
pub(crate) const SHADOWED: Code = Code {
    code: "MEL0404",
    severity: Severity::Warning,
    title: "A host has several VirtualServices in the mesh, and only the oldest has an effect",
};
/// A rule is for nothing.
pub(crate) const NO_SUCH_HOST: Code = Code {
    code: "MEL0405",
    severity: Severity::Info,
    title: "A DestinationRule is for a host that does not exist",
};

/// All codes, in order.
pub(crate) const ALL: &[Code] =
    &[REFUSED, NO_SUCH_DESTINATION, NO_SUCH_GATEWAY, SHADOWED, NO_SUCH_HOST];
