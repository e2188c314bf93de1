//! The diagnostic codes of what is only seen with all objects at hand.

api::codes! {
    REFUSED "MEL0401" Error "Envoy would refuse what is made of an object";
    NO_SUCH_DESTINATION "MEL0402" Warning "A destination does not exist, and calls to it fail";
    NO_SUCH_GATEWAY "MEL0403" Warning "A gateway does not exist, and the rule has no effect there";
    SHADOWED "MEL0404" Warning "A host has several VirtualServices in the mesh, and only the oldest has an effect";
    NO_SUCH_HOST "MEL0405" Info "A DestinationRule is for a host that does not exist";
}
