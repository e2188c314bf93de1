# What each code means that is only seen with all objects at hand. The titles are those of the table in the code.

MEL0406 = A Secret with certificates is missing where the gateway runs
    .help = The server has no certificate to show, and connections to it are refused. Envoy gets Secrets from the namespace in which the gateway's Pods run, not from that of the Gateway object. Create it there: `kubectl create -n istio-system secret tls NAME --cert=… --key=…`.

MEL0407 = A Secret lacks a key that is asked of it
    .help = A certificate is read from `tls.crt` (or `cert`), its key from `tls.key` (or `key`), the authorities of callers from `ca.crt` (or `cacert`), which may also be in a Secret called `NAME-cacert`. Add what is missing.

MEL0408 = A certificate or key in a Secret cannot be used
    .help = The text is no PEM, is damaged, or the key belongs to another certificate. The server refuses connections. Compare `openssl x509 -noout -pubkey -in tls.crt` with `openssl pkey -pubout -in tls.key`: they must print the same.

MEL0409 = A certificate has expired, or is not valid yet
    .help = Callers that check certificates refuse the connection. Renew it and put the new one into the Secret; it is used without a restart.

MEL0410 = A subset selects no instance of its service
    .help = Calls that a rule sends to the subset get 503. Compare the labels of the subset with those of the Pods; they must have all of them. A subset for Pods that are still to come can stay, as long as no rule leads to it.

MEL0411 = A host has several DestinationRules in a namespace, and the policy of only one has an effect
    .help = Of the DestinationRules for one host in one namespace, subsets are put together, but only the oldest traffic policy counts. Write one policy for the host.

MEL0412 = A subset is defined by two DestinationRules
    .help = The definition in the oldest DestinationRule counts, and the other one has no effect. Define each subset once.

MEL0413 = A Gateway selects no proxy
    .help = No workload has all the labels of `spec.selector`, so nobody opens its ports. Compare with the labels of the gateway's Pods; those of a standard installation have `istio: ingressgateway`.

MEL0414 = Several Sidecars are for the same workloads, and only the oldest has an effect
    .help = A workload has the settings of one Sidecar: of the one that selects it, else of the one without a selector. Of several, the oldest counts. Put them into one, or give each workloads of its own.

MEL0415 = A Sidecar imports a host that does not exist
    .help = The line brings nothing into the sight of the workloads, and calls to the host are treated as unknown traffic. Check namespace and host: the host must be complete, such as `shop/cart.shop.svc.cluster.local`, and its service must be exported to the namespace of the Sidecar.

MEL0416 = A policy selects no workload
    .help = The policy does nothing until a workload has all the labels of its selector. For policies that protect, that means that nothing is protected. Compare with the labels of the Pods. A policy in the root namespace selects in all namespaces, every other one in its own.

MEL0417 = Several policies are for the same workloads, and only the oldest has an effect
    .help = Of several PeerAuthentications or Telemetries for the same place, the oldest counts. Merge them, or narrow their selectors.

MEL0418 = A policy is for workloads without a proxy, and nothing enforces it
    .help = Policies are enforced by the proxy beside the workload, and these have none: calls reach them unchecked. Have the proxy injected (label the namespace with `istio-injection: enabled` and restart the Pods), or take the policy away, so that it does not promise what does not hold.

MEL0419 = A port does not say its protocol, which is guessed for each connection
    .help = Each connection is looked at to guess whether it is HTTP, which costs time and fails where the server speaks first. Call the port `http-…`, `grpc-…`, `tcp-…`, or set `appProtocol`.

MEL0420 = A Service selects no Pod
    .help = Calls to the Service get 503. Compare its selector with the labels of the Pods in its namespace.

MEL0421 = A Service leads to a named port that no Pod has
    .help = A `targetPort` by name is looked up in the containers of each Pod. None has a port of that name, so the port of the Service leads nowhere. Name a container's port so, or use its number.

MEL0422 = A Pod serves ports, but no Service selects it
    .help = Nobody can call the Pod by a name, and its proxy knows nothing of its ports. Nothing is wrong if it is only to be called by address.

MEL0423 = A Pod has no proxy although its namespace asks for one
    .help = The namespace asks for injection, but this Pod was made before that, or by something that skips it. Its calls are in plain text and no policy is enforced. Restart it; if it is meant to have no proxy, label it with `sidecar.istio.io/inject: "false"`.

MEL0424 = Two ServiceEntries disagree about a host
    .help = One of the two is not carried out, and which one is not obvious. Give the host one entry, or hide one of them from the clients of the other by `exportTo`.

MEL0425 = A ServiceEntry calls a Kubernetes Service external
    .help = The default of `location` is MESH_EXTERNAL, which turns mutual TLS off for the host. To add workloads outside Kubernetes to a Service, set `location: MESH_INTERNAL` and a `workloadSelector`; otherwise choose another host.

MEL0426 = Two services want the same address and port
    .help = A connection without HTTP or TLS carries no name: it is known by its address and port alone, so only one of the services can have them. Give each an address of its own; without `addresses`, one is allocated.

MEL0427 = No service selects a WorkloadEntry
    .help = The workload gets no calls. Compare its labels with the `workloadSelector` of the ServiceEntry in the same namespace.

MEL0428 = Clients are told to call without the encryption that the server demands
    .help = The server takes mutual TLS of the mesh only (STRICT), and the DestinationRule tells clients to do something else, so that every call fails. Remove `tls` from the rule: clients then do what the server takes. To allow plain text, set the server to PERMISSIVE first.

MEL0429 = Clients are told to use mutual TLS with a server that does not speak it
    .help = Every call fails, because nobody on the other side ends mutual TLS. Remove `tls` from the DestinationRule: then each connection is what its server takes.

MEL0430 = Clients are told to use their own TLS with a port that speaks plain HTTP
    .help = SIMPLE and MUTUAL are for servers that end TLS by themselves. This one's proxy hands the bytes to an application that waits for plain HTTP. Use ISTIO_MUTUAL, or leave `tls` out. If the application does speak TLS, call its port `https-…`.

MEL0431 = A policy is for a port that its workloads do not serve
    .help = Ports in policies are those on which the workload listens, not those of its Service. As it is, the line matches nothing. Use the port of the container.

MEL0432 = A policy names a namespace that does not exist
    .help = The line matches no caller. Check the name.

MEL0433 = A policy names a service account that no workload has
    .help = The line matches no caller. An identity is `TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT`, with the `serviceAccountName` of the Pods, which is `default` where none is set.

MEL0434 = A policy asks for a token that nothing validates
    .help = Claims and principals of requests are known only where a RequestAuthentication has validated the token. Without it, an ALLOW never matches, and a DENY of everything but a principal denies all. Add one with the issuer for the same workloads.

MEL0435 = A policy names an authorization provider that does not exist
    .help = Nobody can be asked, so that the calls are denied. Add the provider to `extensionProviders` of the mesh configuration, or correct the name.

MEL0436 = A policy asks who the caller is, where mutual TLS is off
    .help = Who the caller is comes from its certificate. With mutual TLS turned off there is none, and the line never matches: an ALLOW allows nobody, a DENY denies nobody. Use STRICT for these workloads, or ask for addresses.

MEL0437 = A policy asks for HTTP attributes on ports that carry no HTTP
    .help = Methods, paths, hosts and headers exist in HTTP only. On TCP ports such a rule never allows anything, so that all calls are denied. Use ports and identities, or declare the port as HTTP.

MEL0438 = A policy allows nothing, so everything is denied
    .help = `rules: []` matches nothing, and where there is an ALLOW policy, what none allows is denied. That is a good base for further policies. To allow everything, write `rules: [{"{"}{"}"}]`.

MEL0439 = Tokens are validated, but calls without one are let through
    .help = A RequestAuthentication refuses wrong tokens, and lets calls without any pass. If a token is needed, add an AuthorizationPolicy with `requestPrincipals: ["*"]`.

MEL0440 = A telemetry provider does not exist
    .help = Nothing is reported there. Add the provider to `extensionProviders` of the mesh configuration, or correct the name; `prometheus`, `stackdriver` and `envoy` are always there.

MEL0441 = The service of a provider does not exist
    .help = What is to be sent to the provider gets lost, and an authorizer that cannot be asked denies. Check the host, written completely, or add a Service or a ServiceEntry.

MEL0442 = A VirtualService is hidden from the gateway that it names
    .help = `exportTo` shows the rule to namespaces, and the gateway's Pods run in another one. Add that namespace.

MEL0443 = A destination is hidden from those who route to it
    .help = The destination exists, but its `exportTo` (for a Service the annotation `networking.istio.io/exportTo`) hides it from the namespace of the rule and of its gateways. Calls get 503. Export it to them.

MEL0444 = The DestinationRule of a subset is hidden from those who route to it
    .help = The DestinationRule that defines the subset is not one of the callers': they use those of their own namespace, of the service's and of the root namespace, where those are exported to them. Calls to the subset get 503. Move or export it.

MEL0445 = A delegate does not exist
    .help = The requests of the rule are not answered by it. Check name and namespace of the delegate; without a namespace it is that of the rule.

MEL0446 = A VirtualService cannot be delegated to
    .help = A delegate has no hosts, delegates to no other, and is not the rule itself. As it is, the requests are not answered by it.

MEL0447 = A VirtualService without hosts is no other's delegate
    .help = A VirtualService without hosts has an effect only where another one delegates to it. Name its hosts, or delegate to it.

MEL0448 = A gateway serves a host for which there is no VirtualService
    .help = Requests for the host get 404. Write a VirtualService for it that names the gateway, or take the host away.

MEL0449 = A VirtualService has a host that its gateway does not serve
    .help = The host is not one of the gateway's servers (or they take rules from other namespaces only), so that the rule has no effect there. Add it to `servers[].hosts`.

MEL0450 = On a gateway, the rules of a VirtualService hide those of another one
    .help = A gateway puts the rules of several VirtualServices for a host together. Two of them match everything, and only the oldest does. Narrow the other one by `match`.

MEL0451 = An object is in a namespace that does not exist
    .help = Nobody is in that namespace, so that the object is for nobody. Check the name.

MEL0452 = An annotation is deprecated
    .help = It still has its effect. Use what the hint names.

MEL0453 = An annotation has no effect on this kind of object
    .help = The annotation counts on another kind of object only. Move it there, or remove it.

MEL0454 = A revision label has no effect: there is one control plane
    .help = Meltemi has no revisions beside each other: every object is in effect. Remove the label, so that nobody relies on it.

MEL0455 = There are several mesh configurations, and only one has an effect
    .help = Two ConfigMaps called `istio` hold a mesh configuration. The first by namespace counts. Remove the other one.

MEL0456 = The root namespace does not exist, so mesh-wide policies have no place
    .help = Policies for the whole mesh are kept in the root namespace. Create it, or correct `rootNamespace`.

MEL0457 = A destination has several ports, and the rule does not say which
    .help = Without a port in the destination, it is the one on which the call came in, and this service does not have it. Calls get 503. Set `destination.port.number`.

MEL0458 = A Secret for certificates is of another type
    .help = The type says that the Secret holds something else. Its keys are read all the same, but Kubernetes and other tools will not take it for a certificate. Use `kubernetes.io/tls` or `Opaque`.

MEL0459 = A change needs an order, which is kept for you
    .help = The change brings a route together with the cluster that it leads to, or takes both away. Elsewhere the order in which such edits arrive decides whether calls fail for a moment; here the cluster is always acknowledged before a route names it, and goes after the last route. Nothing is to be done.

MEL0460 = A fence selects no workload
    .help = The fence does nothing. With `fromService`, a Service of its name and namespace must select workloads; with `labels`, a workload must have all of them; without a selector, workloads are known by the label `app` (or the one that the setting `lazyload.service` names) with the fence's name.

MEL0461 = A fence names a host or namespace that does not exist
    .help = What does not exist cannot be in the scope. A host is written with its full name; a name without a dot is one of the fence's own namespace. If the service comes later, it is in the scope from then on.

MEL0462 = A fence is around workloads without a proxy
    .help = A fence limits what a proxy is told, so workloads without one are not concerned. Inject the proxy, or remove the fence.

MEL0463 = Several fences are around the same workloads, and the dependencies of all count
    .help = The workload is sent what any of them declares. As Sidecars (`meltemi scope export`) only one of them would have an effect: make one fence, or narrow their selectors.

MEL0464 = A label about lazy loading has a value that means nothing
    .help = `meltemi.io/scope` on a Namespace or a workload takes a mode: `full`, `declared`, `learned`, `on-demand`, `gateway` or `passthrough`, in lower case. `slime.io/serviceFenced` on a Namespace or a Service takes `true` or `false`. With any other value the label is passed over, as if it were not there.
