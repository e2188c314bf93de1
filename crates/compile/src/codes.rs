//! Every diagnostic code of this crate, in one table.
//!
//! Codes are stable: one is never given another meaning, and a dead one is never reused.

api::codes! {
    INGRESS_TLS_IGNORED "MEL0240" Warning "Encryption settings of a Sidecar's listener have no effect";
    INGRESS_TLS_UNUSABLE "MEL0241" Error "The encryption of a Sidecar's listener cannot be set up, and the port takes nothing";
    POLICY_PART "MEL0260" Error "A part of an authorization policy cannot be carried out";
    AUTHORIZER_UNUSABLE "MEL0261" Error "An external authorizer cannot be asked, so what it would decide is denied";
    AUTHORIZER_ONLY_HTTP "MEL0262" Info "An external authorizer that speaks HTTP does not decide about TCP connections";
    TOKEN_KEYS "MEL0263" Warning "The keys of an issuer are not known, so its tokens are refused";
    PROVIDER "MEL0290" Warning "A provider is named that does not exist or does not do this";
    PROVIDER_KIND "MEL0291" Warning "A provider is of a kind that is gone";
    COLLECTOR "MEL0292" Warning "A provider's address leads nowhere";
    LOG_FORMAT "MEL0293" Warning "A format has a part that Envoy would refuse";
    EXPRESSION "MEL0294" Warning "The filter of an access log cannot be read";

    ROUTE_UNUSABLE "MEL0310" Error "A rule of a route leads nowhere";
    DUPLICATE_DOMAIN "MEL0311" Warning "A host or one of its domains belongs to another host already";

    ONE_NAME "MEL0321" Warning "Only the first of several endpoints is used";
    NO_CERTIFICATE "MEL0322" Warning "A certificate is asked for that the client cannot have";
    NAMED_ENDPOINT "MEL0323" Warning "An endpoint with a name is left out where addresses are needed";

    OUTBOUND_CONFLICT "MEL0330" Warning "A service is not reachable through a listener that another one has";
    OUTBOUND_PORT "MEL0331" Warning "A port of a service cannot be listened on";
    UNUSABLE_MATCH "MEL0332" Warning "A condition on connections can never be met";
    OUTBOUND_DESTINATION "MEL0333" Warning "A rule for connections has no usable destination";
    INBOUND_CONFLICT "MEL0335" Warning "Two services disagree on a port of their application";
    INBOUND_PORT "MEL0336" Warning "A port of an application cannot be listened on";
    INBOUND_ENDPOINT "MEL0337" Error "A listener of a Sidecar leads nowhere";

    GATEWAY_CONFLICT "MEL0340" Warning "Two servers of gateways want the same port, host or route";
    GATEWAY_PORT "MEL0341" Error "A server of a gateway cannot listen on its port";
    GATEWAY_TLS_UNUSABLE "MEL0342" Error "The encryption of a server cannot be set up, and the server is left out";
    GATEWAY_TLS_LIMITED "MEL0343" Warning "A part of a server's encryption has no effect";
    GATEWAY_DESTINATION "MEL0344" Warning "A server or a rule of a gateway leads nowhere";
    SERVER_NAME "MEL0345" Warning "A server name cannot be matched, or is another chain's already";

    SECRET_MISSING "MEL0346" Error "A Secret that a proxy asks for does not exist";
    SECRET_UNUSABLE "MEL0347" Error "A Secret cannot be used as a certificate";
    SECRET_EXPIRED "MEL0348" Warning "The certificate of a Secret has expired";

    NOT_IN_GRPC "MEL0350" Warning "A setting has no effect on clients that speak gRPC without a proxy";
}
