# What each code of a finding means. The titles are those of the tables in the code.

MEL0001 = A document is not valid YAML or JSON
    .help = The document is left out; the other documents of the file are read. A file that was good before keeps its last good objects. Mend the syntax at the given line: most often it is the indentation, a tab, or a template that was not filled in.

MEL0002 = An object is of a kind that the mesh does not read
    .help = The object is left alone. Nothing is wrong if it belongs to another system; otherwise check `apiVersion` and `kind`.

MEL0003 = A field is not known and has no effect
    .help = The rest of the object has its effect. Most often the name is mistyped or stands one level too high or too low; compare it with the reference of the kind.

MEL0004 = A value does not have the type of its field
    .help = The object has no effect: a part of it could not be read. Numbers and booleans that a field wants as text need quotes, and lists need a dash for each entry.

MEL0010 = An object is written twice, and only the first has an effect
    .help = Two files, or two documents of one file, hold an object of the same kind, namespace and name. The one that is named first wins. Remove one of them.

MEL0011 = A file or directory cannot be read; what it last held stays in effect
    .help = Nothing is taken away because of it: what the file held when it could be read stays in effect. Check that it exists and that the process may read it.

MEL0012 = A named file or directory is gone; what it last held stays in effect
    .help = A folder that vanishes is more often a failed mount than a wish to empty the mesh, so nothing is deleted. Put it back, or take it out of `--config` and restart.

MEL0013 = A directory holds no configuration
    .help = Only files that end in .yaml, .yml or .json and are not hidden are read. Check the path.

MEL0014 = A directory cannot be watched; changes are found with a delay
    .help = The system refuses a watch, most often because the number of inotify watches is used up. Changes are found by reading everything again every few seconds. Raise fs.inotify.max_user_watches.

MEL0015 = A directory is nested too deeply and is not read
    .help = What is below is not in effect. A link that leads back up is the usual reason; otherwise name the folder itself with `--config`.

MEL0016 = The mesh configuration of an object gives way to that of the named file
    .help = The file of `--mesh-config` wins over the ConfigMap `istio`. Remove one of the two to keep them from drifting apart.

MEL0110 = A field is known but not supported yet, and has no effect
    .help = The rest of the object has its effect. Do not rely on the field; the documentation lists what is supported.

MEL0111 = An object is accepted and stored; a later release applies it
    .help = It is validated and kept, so that nothing must be changed later. Until then it does nothing.

MEL0112 = A field is deprecated
    .help = It still has its effect. Use the field that the hint names before it is taken away.

MEL0113 = A setting has no effect in this place
    .help = The setting is valid, but not together with what stands beside it. Remove it, or move it to where it counts.

MEL0114 = An annotation asks for the object to be refused
    .help = `internal.istio.io/webhook-always-reject` is a switch for tests of admission. Remove it.

MEL0115 = The dry-run annotation is wrong or not supported on this kind
    .help = Only an AuthorizationPolicy that allows or denies can be tried without being enforced, with `istio.io/dry-run: "true"`.

MEL0120 = A required field is missing or empty
    .help = The object, or the named part of it, has no effect until the field is set.

MEL0121 = A value that must be unique occurs twice
    .help = It is not clear which of the two is meant. Give each a name or number of its own.

MEL0122 = Fields that exclude each other are set together
    .help = Only one of the fields can be carried out. Keep the one that you mean.

MEL0123 = A port is not in the range 1 to 65535
    .help = Correct the number; it must be written as a number, not as a name.

MEL0124 = The name of a port is not a DNS label
    .help = Use up to 63 lower-case letters, digits and dashes. A prefix such as `http-` or `grpc-` also tells the protocol.

MEL0125 = A protocol is not known
    .help = Known are HTTP, HTTP2, GRPC, GRPC-WEB, HTTPS, TLS, TCP, MONGO, REDIS, MYSQL and UDP, in any case of letters.

MEL0126 = A host is not a valid DNS name
    .help = A host is letters, digits and dashes between dots; a wildcard is only possible as the whole first label (`*.example.com`) and where the field allows it.

MEL0127 = An address is not an IP address, a range of them, a host or a socket
    .help = Write an address such as `10.0.0.1`, a range such as `10.0.0.0/16`, or, where the field allows it, a host or `unix:///path`.

MEL0128 = A duration is below one millisecond or finer than milliseconds
    .help = Durations are written like `1.5s`, `200ms` or `2m`.

MEL0129 = A share is out of its range
    .help = Percentages are from 0 to 100.

MEL0130 = A number must not be negative
    .help = Use 0 or more; leave the field out for the default.

MEL0131 = A label is not a valid Kubernetes label
    .help = Keys and values have up to 63 letters, digits, dashes, dots and underscores, and begin and end with a letter or digit.

MEL0132 = A selector has an empty key or a wildcard
    .help = A selector compares labels exactly. Write each label in full.

MEL0133 = A selector without labels selects every workload
    .help = If that is meant, leave the selector out to say so; otherwise add the labels.

MEL0134 = `exportTo` holds values that do not go together
    .help = `*`, `.` and `~` stand for everybody, the own namespace and nobody. They cannot be combined with what contradicts them or occur twice.

MEL0135 = A regular expression is empty, too long or not valid
    .help = Expressions are those of RE2: no look-ahead and no back references. They must match the whole value.

MEL0136 = The name of a header is not valid here
    .help = Header names are letters, digits and dashes; names that begin with a colon, and `host` in some places, cannot be changed.

MEL0137 = The value of a header is not valid
    .help = Values must not hold control characters; a `%` that is not a command of Envoy is written `%%`.

MEL0138 = A name is not a DNS label
    .help = Use up to 63 lower-case letters, digits and dashes, beginning and ending with a letter or digit.

MEL0139 = Of some fields, exactly one must be set
    .help = Set exactly one of the named fields.

MEL0150 = A delegate or the route to it holds more than it may
    .help = A route with `delegate` may only match and change the request; a delegate has no `hosts` and no further delegates.

MEL0151 = The host `*` is not allowed without a gateway
    .help = For sidecars the host says which service a rule is for. Name the hosts, or bind the rule to a gateway.

MEL0152 = A host is covered by another host of the same object
    .help = Remove the narrower host, or give it a VirtualService of its own.

MEL0153 = A rule has actions that exclude each other, or none
    .help = An `http` rule has exactly one of `route`, `redirect`, `directResponse` and `delegate`.

MEL0154 = The weights of the destinations are not usable
    .help = Weights are not negative, and at least one is above 0. They need not add up to 100: each destination gets its share of the sum.

MEL0155 = A retry policy is contradictory or names unknown conditions
    .help = `retryOn` holds Envoy's conditions, HTTP statuses or gRPC status names, with commas and without spaces; with `attempts: 0` nothing else can be set.

MEL0156 = A redirect is empty or has a wrong code or scheme
    .help = A redirect changes the path, the authority, the scheme or the port; codes are from 300 to 399, schemes `http` and `https`.

MEL0157 = A rewrite is empty or sets the same thing twice
    .help = Set `uri` or `uriRegexRewrite`, and `authority` if the host is to change.

MEL0158 = An injected fault is incomplete, unknown or not supported
    .help = A delay needs `fixedDelay`, an abort a status; both need a percentage.

MEL0159 = A cross-origin rule has an unknown method, origin or age
    .help = Methods are names of HTTP methods or `*`; each origin is an exact value, a prefix or a regular expression.

MEL0160 = An HTTP status is out of range
    .help = Statuses are from 200 to 599.

MEL0161 = The body of a fixed answer is too large
    .help = Envoy takes bodies of up to 1 MiB. Serve larger ones from an application.

MEL0162 = An SNI host is missing or not covered by the hosts
    .help = A `tls` rule needs `sniHosts`, each of them covered by `hosts` of the rule.

MEL0163 = A rule can never match because of the rules before it
    .help = Rules are tried from the top, and the first one that matches wins. Move the general rule to the end.

MEL0164 = The name of a gateway is not valid
    .help = Gateways are named `name`, `namespace/name` or `mesh`.

MEL0165 = Routing by token claims is only possible on gateways
    .help = Bind the rule to a gateway, or match a header that the gateway sets from the claim.

MEL0166 = The body of a fixed answer is large
    .help = It is part of the configuration of every proxy that has the rule. Serve it from an application.

MEL0167 = A gateway is named in the old form with dots
    .help = Names with dots were short for `name.namespace`. Write `namespace/name`, which cannot be misread.

MEL0168 = An SNI host is an IP address, which most clients never send
    .help = Server names are DNS names by their standard. Match the destination by `destinationSubnets`.

MEL0170 = A traffic policy or a part of it is empty
    .help = An empty part means nothing. Remove it, or set what it is for.

MEL0171 = Outlier detection is contradictory
    .help = `consecutiveLocalOriginFailures` counts only where `splitExternalLocalOriginErrors` is true. Set it, or remove the counter.

MEL0172 = Consistent hashing is incomplete or contradictory
    .help = Name exactly one key: a header, a cookie, the source address or a query parameter.

MEL0173 = Locality settings are contradictory
    .help = `distribute` and `failover` exclude each other; failing over needs outlier detection; shares of a distribution add up to 100, and places are named once.

MEL0174 = Client TLS settings are incomplete or contradictory
    .help = `MUTUAL` needs a certificate and a key, or `credentialName`; `ISTIO_MUTUAL` and `DISABLE` take no files.

MEL0175 = Warm-up settings are incomplete or out of range
    .help = A warm-up needs a duration; its lowest share is from 0 to 100 percent and its aggression is at least 1.

MEL0176 = Tunnel settings are wrong
    .help = A tunnel needs a host and a port; its protocol is CONNECT or POST.

MEL0177 = Connection pool settings are contradictory
    .help = `useClientProtocol` and `h2UpgradePolicy: UPGRADE` ask for different protocols. Keep one of them.

MEL0180 = The host `*` is not allowed in a ServiceEntry
    .help = Name the hosts, or use a wildcard below a domain such as `*.example.com`.

MEL0181 = Address ranges need the resolution `NONE` or `STATIC`
    .help = A range of addresses cannot be resolved by DNS. Change the resolution, or list single addresses.

MEL0182 = The endpoints do not go with the resolution
    .help = `NONE` takes no endpoints, `STATIC` wants IP addresses, `DNS` wants host names.

MEL0183 = An endpoint names a port that the service does not have
    .help = The names in `endpoints[].ports` are the names of `ports[]`.

MEL0184 = Several hosts cannot be told apart on a port without HTTP or TLS
    .help = Bytes do not say which host they are for. Give the entry addresses, or each host an entry of its own.

MEL0185 = A wildcard inside a label matches nothing
    .help = A wildcard stands for whole labels: write `*.example.com`.

MEL0186 = The socket of a workload is not usable
    .help = A socket is written `unix:///absolute/path` and has no ports.

MEL0187 = A workload has no address of its own
    .help = It is only reached through its network's gateway. Set `address` or `network`.

MEL0188 = A readiness probe is incomplete or wrong
    .help = A probe by HTTP has the scheme HTTP or HTTPS and a port, one by command has a command.

MEL0190 = A Sidecar has no settings
    .help = Set `egress`, `ingress` or `outboundTrafficPolicy`, or remove the object.

MEL0191 = A listener of a Sidecar is not usable
    .help = A listener needs a port with a number and a protocol, or, for egress, a socket as its `bind`.

MEL0192 = The egress listener without a port must be the only one and the last
    .help = It takes what the others do not take. Move it to the end and keep only one.

MEL0193 = The endpoint behind an ingress listener is not local
    .help = `defaultEndpoint` is `127.0.0.1:PORT`, `0.0.0.0:PORT`, or a socket `unix:///path`.

MEL0194 = TLS settings of a Sidecar listener are not supported
    .help = Certificates come from files; redirects, `credentialName`, alternative names and the modes ISTIO_MUTUAL and AUTO_PASSTHROUGH are not possible here.

MEL0195 = An egress host is not of the form `namespace/host`
    .help = Write `shop/*`, `./*`, `*/cart.shop.svc.cluster.local`, or `~/*` for nothing.

MEL0196 = An egress host is covered by another one
    .help = The narrower one has no effect. Remove it.

MEL0197 = An egress proxy is incomplete or not allowed in this mode
    .help = An egress proxy needs a host, and `outboundTrafficPolicy.mode: ALLOW_ANY`.

MEL0200 = TLS settings of a server are incomplete or contradictory
    .help = Ports with HTTPS or TLS need `tls.mode`, and all modes that end TLS need `credentialName` or files.

MEL0201 = TLS settings of a server have no effect
    .help = The setting does not go with the protocol or mode of the server. Remove it.

MEL0202 = A host of a server is not of the form `namespace/host`
    .help = Write a host, `*`, `*.example.com`, or one of them behind `namespace/`.

MEL0210 = A policy is attached to something that is not possible
    .help = A policy applies to a namespace, to workloads by labels, or to what `targetRefs` names, and not to two of these.

MEL0211 = Port settings need a selector and at least one port
    .help = Ports belong to applications: say which ones by a selector.

MEL0212 = A rule of a policy is empty or contradictory
    .help = An empty list matches nothing. Leave the part out to match everything.

MEL0213 = A condition of a policy is not known or malformed
    .help = Known keys are `request.headers[…]`, `source.ip`, `remote.ip`, `source.namespace`, `source.principal`, `request.auth.…`, `destination.port`, `connection.sni` and `experimental.…`.

MEL0214 = A provider is missing, or given where none is possible
    .help = The action CUSTOM needs a provider of the mesh configuration; the others take none.

MEL0215 = A token rule is incomplete or wrong
    .help = A rule needs an issuer, and its keys come from `jwks` or `jwksUri`, not from both.

MEL0216 = A denial with only HTTP attributes denies all TCP traffic
    .help = On a port that is not HTTP the attributes cannot be read, and a denial is the safe meaning. Add the ports that are meant.

MEL0220 = An override of a metric is incomplete or contradictory
    .help = An override names a metric and sets `disabled` or tags; a removed tag has no value.

MEL0221 = A custom tag is empty
    .help = A tag is a literal, a variable of the environment or a header; set one of these.

MEL0222 = Only one of several has an effect
    .help = Keep one, or put the others into objects of their own.

MEL0223 = A part of a provider has no effect
    .help = The rest of the provider is used. A header whose value is to come from the environment (`envName`) is left out, since a value from the control plane's environment would be shown wherever configuration is: write its `value`. A provider has exactly one kind.

MEL0225 = The address of a plugin is missing or malformed
    .help = Write `oci://…`, `http(s)://…` or `file:///…`.

MEL0226 = A field of a plugin is malformed
    .help = Compare the value with the reference of WasmPlugin.

MEL0227 = An environment variable of a plugin is wrong
    .help = A variable has a name once, and a value unless it is taken from the host.

MEL0230 = The match of a patch does not go with its context
    .help = A match on routes goes with `ROUTE_CONFIGURATION`, `VIRTUAL_HOST` and `HTTP_ROUTE`; one on listeners or clusters with patches of these.

MEL0231 = A patch is incomplete
    .help = A patch needs `applyTo`, an operation and, unless it removes, a value.

MEL0232 = A patch will have less effect than it seems
    .help = Read the message: a part of the match or of the value does not do what its name says.

MEL0233 = A host or namespace of a fence is not usable and has no effect
    .help = Write `namespace/*`, or the full name of a host without a port. The other hosts of the fence stay in effect.

MEL0234 = A recycling strategy has no effect or is incomplete
    .help = Set one of `stable`, `deadline` and `auto`. Times count seconds since 1970; without a usable time the host stays.

MEL0235 = A selector of a fence can select nothing
    .help = Write at least one label, with a key and a value as Kubernetes allows them.

MEL0236 = A setting of lazy loading has no effect
    .help = The message says why, and what to use instead. The other settings of the section `lazyload` stay in effect.

MEL0240 = Encryption settings of a Sidecar's listener have no effect
    .help = A port that takes mTLS of the mesh ends it with the workload's own certificate. Set `portLevelMtls` to `DISABLE` for the port in a PeerAuthentication with a selector, or take `tls` away.

MEL0241 = The encryption of a Sidecar's listener cannot be set up, and the port takes nothing
    .help = Without its certificate the port would take plain text, so it takes nothing. Set `serverCertificate` and `privateKey`, or `credentialName`, and for `MUTUAL` the authorities of callers.

MEL0260 = A part of an authorization policy cannot be carried out
    .help = A rule that allows matches nothing then; one that denies or audits matches as if the part were not there, so it matches more. Mend the field that the message names.

MEL0261 = An external authorizer cannot be asked, so what it would decide is denied
    .help = Define the provider in `extensionProviders` of the mesh configuration, with a service, a port and settings that are valid, and let every workload that is protected by it see the service. One workload can have one provider.

MEL0262 = An external authorizer that speaks HTTP does not decide about TCP connections
    .help = It is asked about HTTP requests only. Use `envoyExtAuthzGrpc` to decide about other connections too, or deny them with a policy of their own.

MEL0263 = The keys of an issuer are not known, so its tokens are refused
    .help = `jwks` holds no key that an Envoy can read. Tokens of other issuers are not affected.

MEL0264 = The keys of an issuer could not be fetched
    .help = The control plane tries again by itself. Until the first success tokens of this issuer are refused; later the last good keys stay in use. Check `jwksUri`, or that `/.well-known/openid-configuration` below the issuer names a `jwks_uri`, and that the control plane reaches it and trusts its certificate.

MEL0265 = A policy has expired
    .help = Its annotation `meltemi.io/expires-at` lies in the past. A policy that denies, audits or asks has no effect then; one that allows stays and allows nothing, because without it everything would be allowed. Delete the policy or give it a later time.

MEL0266 = The time at which a policy expires cannot be read, so it stays
    .help = Write the annotation `meltemi.io/expires-at` as RFC 3339, such as `2026-01-31T12:00:00Z`.

    .help = The control plane has not fetched a usable key set yet, or `jwks` holds none. Check that it reaches the address; tokens of other issuers are not affected.
MEL0290 = A provider is named that does not exist or does not do this
    .help = Nothing is sent to it; other providers of the rule are used. Add the provider to `extensionProviders` of the MeshConfig, or correct the name; `envoy` and `prometheus` are always there.

MEL0291 = A provider is of a kind that is gone
    .help = Envoy has no `lightstep`, `opencensus` or `stackdriver` any more, so nothing is sent. Send to an OpenTelemetry collector instead.

MEL0292 = A provider's address leads nowhere
    .help = The log or the traces are left out, and traffic goes on: Envoy would refuse a listener that names an unknown cluster. `service` must be a host that the mesh knows, with that `port`; `$(HOST_IP)` needs a bootstrap made with `--node-agent-port`.

MEL0293 = A format has a part that Envoy would refuse
    .help = Envoy would refuse the whole listener, so the default format is used, or the tag or label is left out. Correct the operator; a plain `%` is written `%%`.

MEL0294 = The filter of an access log cannot be read
    .help = Envoy would refuse the whole listener, so everything is logged as if there were no filter. Correct the CEL expression; functions that go through a list (`exists`, `all`, `map`) are turned off in Envoy.

MEL0310 = A rule of a route leads nowhere
    .help = Requests that match get an error. Set a destination with a weight, a redirect with a known code, or a fixed response.

MEL0311 = A host or one of its domains belongs to another host already
    .help = Envoy refuses a configuration in which a domain occurs twice, so the older rule keeps it. Remove the host from one of the rules.

MEL0321 = Only the first of several endpoints is used
    .help = With `DNS_ROUND_ROBIN` Envoy connects to one name only. Use the resolution `DNS` to use all of them.

MEL0322 = A certificate is asked for that the client cannot have
    .help = The connection will fail, as nothing is sent in plain text instead. Give the rule a `workloadSelector`, or name files that the proxies have.

MEL0323 = An endpoint with a name is left out where addresses are needed
    .help = Proxies look up names only for hosts whose first ServiceEntry, the oldest, has the resolution `DNS` or `DNS_ROUND_ROBIN`. Where several entries define one host, give all of them the same resolution. Names in EndpointSlices (`addressType: FQDN`) are used nowhere.

MEL0330 = A service is not reachable through a listener that another one has
    .help = Two services want one address and port, and their connections cannot be told apart; the oldest has it. Give the other one a port or an address of its own.

MEL0331 = A port of a service cannot be listened on
    .help = The proxy itself uses the port, or may not bind it. Use another port for the service.

MEL0332 = A condition on connections can never be met
    .help = What is asked for cannot be seen on a connection, such as a server name that is not a DNS name. The rest of the rule has its effect.

MEL0333 = A rule for connections has no usable destination
    .help = Connections that match are closed. Name a service that exists, with a port.

MEL0335 = Two services disagree on a port of their application
    .help = Both lead to one port of the application and give it different protocols; the oldest decides. Make them agree.

MEL0336 = A port of an application cannot be listened on
    .help = The proxy itself uses the port, or may not bind it. Traffic to it reaches the application without the proxy, or not at all.

MEL0337 = A listener of a Sidecar leads nowhere
    .help = The `defaultEndpoint` is no port of this workload. Correct it; until then the listener is left out.

MEL0340 = Two servers of gateways want the same port, host or route
    .help = The oldest Gateway has it, and the other server is left out. Give it another port, host or port name.

MEL0341 = A server of a gateway cannot listen on its port
    .help = The port is missing, is for UDP, or is one that the proxy may not bind; the server is left out.

MEL0342 = The encryption of a server cannot be set up, and the server is left out
    .help = Nothing is served in plain text instead. Set `credentialName`, or the paths of certificate and key.

MEL0343 = A part of a server's encryption has no effect
    .help = The server ends TLS, but without the named part, such as a cipher that Envoy does not have.

MEL0344 = A server or a rule of a gateway leads nowhere
    .help = Connections to it fail. Bind a VirtualService with a route for the protocol of the port.

MEL0345 = A server name cannot be matched, or is another chain's already
    .help = Server names are exact, or `*.` and a suffix, and each leads to one place only; the first rule keeps it.

MEL0346 = A Secret that a proxy asks for does not exist
    .help = Callers of that server are refused. A proxy gets Secrets of its own namespace alone; put it there, or correct `credentialName`.

MEL0347 = A Secret cannot be used as a certificate
    .help = It needs `tls.crt` and `tls.key` (or `cert` and `key`), or `ca.crt` (or `cacert`), as PEM, and the key must be that of the certificate. Until it is mended, proxies go on with what was last usable.

MEL0348 = The certificate of a Secret has expired
    .help = Proxies go on showing it, and callers refuse it. Put a new one into the Secret: it is used at once.

MEL0350 = A setting has no effect on clients that speak gRPC without a proxy
    .help = Applications whose gRPC library reads the configuration carry out a part of it only. Envoys are not affected.

MEL0401 = Envoy would refuse what is made of an object
    .help = The resource breaks a rule of Envoy, so that proxies would keep the old one. Change the object; if it is valid by its own reference, this is a defect of Meltemi and worth a report.

MEL0402 = A destination does not exist, and calls to it fail
    .help = The rule is in effect, and calls that it sends there get 503. Check host, port and subset; with files of several teams, check all folders together.

MEL0403 = A gateway does not exist, and the rule has no effect there
    .help = The rule names a Gateway that no file defines. Check name and namespace; a name without a namespace is looked for in the namespace of the rule.

MEL0404 = A host has several VirtualServices in the mesh, and only the oldest has an effect
    .help = Sidecars do not merge the rules of several VirtualServices for one host. Put them into one, or use delegates.

MEL0405 = A DestinationRule is for a host that does not exist
    .help = The rule waits for a service that no file defines. Check the host: a short name is completed with the namespace of the rule.
