//! Every diagnostic code of this crate, in one table.
//!
//! Codes are stable: one is never given another meaning, and a dead one is never reused.

use model::Diagnostic;
pub use model::Severity;

/// A kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    pub code: &'static str,
    pub severity: Severity,
    /// One line that explains the finding without an example.
    pub title: &'static str,
}

impl Code {
    /// A finding of this kind.
    pub fn diagnostic(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self.severity, self.code, message)
    }
}

/// Writes the table of a crate: a constant for each code, and `ALL` with all of them in order.
#[macro_export]
macro_rules! codes {
    ($($name:ident $code:literal $severity:ident $title:literal;)+) => {
        $(
            #[doc = $title]
            pub const $name: $crate::codes::Code = $crate::codes::Code {
                code: $code,
                severity: $crate::codes::Severity::$severity,
                title: $title,
            };
        )+

        /// All codes, in order.
        pub const ALL: &[$crate::codes::Code] = &[$($name),+];

        #[cfg(test)]
        #[test]
        fn codes_are_unique_and_sorted() {
            assert!(ALL.windows(2).all(|pair| pair[0].code < pair[1].code));
        }
    };
}

codes! {
    SYNTAX "MEL0001" Error "A document is not valid YAML or JSON";
    UNKNOWN_KIND "MEL0002" Info "An object is of a kind that the mesh does not read";
    UNKNOWN_FIELD "MEL0003" Warning "A field is not known and has no effect";
    BAD_VALUE "MEL0004" Error "A value does not have the type of its field";

    UNSUPPORTED_FIELD "MEL0110" Warning "A field is known but not supported yet, and has no effect";
    LATER_KIND "MEL0111" Info "An object is accepted and stored; a later release applies it";
    DEPRECATED_FIELD "MEL0112" Warning "A field is deprecated";
    NO_EFFECT "MEL0113" Warning "A setting has no effect in this place";
    REJECT_ANNOTATION "MEL0114" Error "An annotation asks for the object to be refused";
    DRY_RUN "MEL0115" Error "The dry-run annotation is wrong or not supported on this kind";

    REQUIRED "MEL0120" Error "A required field is missing or empty";
    DUPLICATE "MEL0121" Error "A value that must be unique occurs twice";
    EXCLUSIVE "MEL0122" Error "Fields that exclude each other are set together";
    PORT_RANGE "MEL0123" Error "A port is not in the range 1 to 65535";
    PORT_NAME "MEL0124" Error "The name of a port is not a DNS label";
    PROTOCOL "MEL0125" Error "A protocol is not known";
    HOST "MEL0126" Error "A host is not a valid DNS name";
    ADDRESS "MEL0127" Error "An address is not an IP address, a range of them, a host or a socket";
    DURATION "MEL0128" Error "A duration is below one millisecond or finer than milliseconds";
    PERCENT "MEL0129" Error "A share is out of its range";
    NEGATIVE "MEL0130" Error "A number must not be negative";
    LABEL "MEL0131" Error "A label is not a valid Kubernetes label";
    SELECTOR "MEL0132" Error "A selector has an empty key or a wildcard";
    SELECTOR_EMPTY "MEL0133" Warning "A selector without labels selects every workload";
    EXPORT_TO "MEL0134" Error "`exportTo` holds values that do not go together";
    REGEX "MEL0135" Error "A regular expression is empty, too long or not valid";
    HEADER_NAME "MEL0136" Error "The name of a header is not valid here";
    HEADER_VALUE "MEL0137" Error "The value of a header is not valid";
    NAME "MEL0138" Error "A name is not a DNS label";
    ONE_OF "MEL0139" Error "Of some fields, exactly one must be set";

    VS_DELEGATE "MEL0150" Error "A delegate or the route to it holds more than it may";
    VS_WILDCARD "MEL0151" Error "The host `*` is not allowed without a gateway";
    VS_DUPLICATE_HOST "MEL0152" Error "A host is covered by another host of the same object";
    VS_ROUTE_CONFLICT "MEL0153" Error "A rule has actions that exclude each other, or none";
    VS_WEIGHT "MEL0154" Error "The weights of the destinations are not usable";
    VS_RETRY "MEL0155" Error "A retry policy is contradictory or names unknown conditions";
    VS_REDIRECT "MEL0156" Error "A redirect is empty or has a wrong code or scheme";
    VS_REWRITE "MEL0157" Error "A rewrite is empty or sets the same thing twice";
    VS_FAULT "MEL0158" Error "An injected fault is incomplete, unknown or not supported";
    VS_CORS "MEL0159" Error "A cross-origin rule has an unknown method, origin or age";
    VS_STATUS "MEL0160" Error "An HTTP status is out of range";
    VS_BODY_SIZE "MEL0161" Error "The body of a fixed answer is too large";
    VS_SNI "MEL0162" Error "An SNI host is missing or not covered by the hosts";
    VS_UNREACHABLE "MEL0163" Warning "A rule can never match because of the rules before it";
    VS_GATEWAY_NAME "MEL0164" Error "The name of a gateway is not valid";
    VS_CLAIM "MEL0165" Error "Routing by token claims is only possible on gateways";
    VS_BODY_LARGE "MEL0166" Warning "The body of a fixed answer is large";
    VS_GATEWAY_LEGACY "MEL0167" Warning "A gateway is named in the old form with dots";
    VS_SNI_ADDRESS "MEL0168" Warning "An SNI host is an IP address, which most clients never send";

    DR_EMPTY_POLICY "MEL0170" Error "A traffic policy or a part of it is empty";
    DR_OUTLIER "MEL0171" Error "Outlier detection is contradictory";
    DR_HASH "MEL0172" Error "Consistent hashing is incomplete or contradictory";
    DR_LOCALITY "MEL0173" Error "Locality settings are contradictory";
    DR_TLS "MEL0174" Error "Client TLS settings are incomplete or contradictory";
    DR_WARMUP "MEL0175" Error "Warm-up settings are incomplete or out of range";
    DR_TUNNEL "MEL0176" Error "Tunnel settings are wrong";
    DR_POOL "MEL0177" Error "Connection pool settings are contradictory";

    SE_WILDCARD "MEL0180" Error "The host `*` is not allowed in a ServiceEntry";
    SE_CIDR "MEL0181" Error "Address ranges need the resolution `NONE` or `STATIC`";
    SE_ENDPOINTS "MEL0182" Error "The endpoints do not go with the resolution";
    SE_PORT_UNKNOWN "MEL0183" Error "An endpoint names a port that the service does not have";
    SE_TCP_HOSTS "MEL0184" Error "Several hosts cannot be told apart on a port without HTTP or TLS";
    SE_PARTIAL_WILDCARD "MEL0185" Warning "A wildcard inside a label matches nothing";
    WE_SOCKET "MEL0186" Error "The socket of a workload is not usable";
    WE_NO_ADDRESS "MEL0187" Warning "A workload has no address of its own";
    WG_PROBE "MEL0188" Error "A readiness probe is incomplete or wrong";

    SC_EMPTY "MEL0190" Error "A Sidecar has no settings";
    SC_LISTENER "MEL0191" Error "A listener of a Sidecar is not usable";
    SC_CATCH_ALL "MEL0192" Error "The egress listener without a port must be the only one and the last";
    SC_ENDPOINT "MEL0193" Error "The endpoint behind an ingress listener is not local";
    SC_TLS "MEL0194" Error "TLS settings of a Sidecar listener are not supported";
    SC_EGRESS_HOST "MEL0195" Error "An egress host is not of the form `namespace/host`";
    SC_DUPLICATE_HOST "MEL0196" Warning "An egress host is covered by another one";
    SC_PROXY "MEL0197" Error "An egress proxy is incomplete or not allowed in this mode";

    GW_TLS "MEL0200" Error "TLS settings of a server are incomplete or contradictory";
    GW_TLS_WARNING "MEL0201" Warning "TLS settings of a server have no effect";
    GW_HOST "MEL0202" Error "A host of a server is not of the form `namespace/host`";

    AUTH_TARGET "MEL0210" Error "A policy is attached to something that is not possible";
    AUTH_PORT_LEVEL "MEL0211" Error "Port settings need a selector and at least one port";
    AUTH_RULE "MEL0212" Error "A rule of a policy is empty or contradictory";
    AUTH_CONDITION "MEL0213" Error "A condition of a policy is not known or malformed";
    AUTH_PROVIDER "MEL0214" Error "A provider is missing, or given where none is possible";
    AUTH_JWT "MEL0215" Error "A token rule is incomplete or wrong";
    AUTH_TCP "MEL0216" Warning "A denial with only HTTP attributes denies all TCP traffic";

    TEL_OVERRIDE "MEL0220" Error "An override of a metric is incomplete or contradictory";
    TEL_TAG "MEL0221" Error "A custom tag is empty";
    TEL_MULTIPLE "MEL0222" Warning "Only one of several has an effect";
    TEL_PROVIDER "MEL0223" Warning "A part of a provider has no effect";
    WASM_URL "MEL0225" Error "The address of a plugin is missing or malformed";
    WASM_FIELD "MEL0226" Error "A field of a plugin is malformed";
    WASM_ENV "MEL0227" Error "An environment variable of a plugin is wrong";
    EF_MATCH "MEL0230" Error "The match of a patch does not go with its context";
    EF_PATCH "MEL0231" Error "A patch is incomplete";
    EF_WARNING "MEL0232" Warning "A patch will have less effect than it seems";

    FENCE_HOST "MEL0233" Warning "A host or namespace of a fence is not usable and has no effect";
    FENCE_STRATEGY "MEL0234" Warning "A recycling strategy has no effect or is incomplete";
    FENCE_SELECTOR "MEL0235" Warning "A selector of a fence can select nothing";
    LAZYLOAD_SETTING "MEL0236" Warning "A setting of lazy loading has no effect";
}

/// The code with this name.
pub fn find(code: &str) -> Option<&'static Code> {
    ALL.iter().find(|known| known.code == code)
}
