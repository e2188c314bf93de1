# Texts of the command line, in English. The keys are those of zh.ftl.

unreachable = no control plane answers at { $address }
unreachable-hint = is `meltemi serve` running? `--server` names another address

proxy-restored = the sources are still being read: what proxies are given is the state of { $time }
proxy-summary = { $total ->
        [one] { $total } proxy
       *[other] { $total } proxies
    }: { $synced } synced, { $stale } stale, { $refused } refused something

check-unreadable-hint = check the path; nothing was checked
check-summary = { $errors ->
        [one] { $errors } error
       *[other] { $errors } errors
    }, { $warnings ->
        [one] { $warnings } warning
       *[other] { $warnings } warnings
    }, { $notices ->
        [one] { $notices } notice
       *[other] { $notices } notices
    } in { $objects ->
        [one] { $objects } object
       *[other] { $objects } objects
    }, compiled for { $classes ->
        [one] { $classes } kind of proxy
       *[other] { $classes } kinds of proxies
    }
check-next = Next: meltemi help { $code }

input-unreadable = `{ $path }` cannot be read: { $reason }
input-unreadable-hint = check the path; nothing was sent

scope-export-none = nothing is fenced there
scope-export-limited-too = { $workload } has everything, as its label says, and the Sidecar { $by } would limit it: give it a Sidecar of its own
scope-export-overlapping = in { $namespace }, the Sidecars { $by } select the same workload, for which Istio goes by one of them alone: put the hosts of all of them into one, and leave out the others
scope-export-left-out = { $workload } is left out: it is fenced by a label alone, and has no labels by which a Sidecar would select it and nobody else

events-none = nothing has changed since the control plane started
events-summary = { $total ->
        [one] the last change
       *[other] the last { $total } changes
    }: { $live } live in all proxies that they concern, { $open } not yet
events-more = and { $count } more

wait-progress = { $live } of { $total } proxies are live
wait-live = live: { $live } of { $total } proxies have acknowledged revision { $revision } ({ $seconds } s)
wait-timed-out = timed out after { $seconds } s: { $live } of { $total } proxies have acknowledged revision { $revision }
wait-refused = refused: a proxy does not take revision { $revision } ({ $live } of { $total } have acknowledged it)
wait-lost = proxies went away: { $live } of { $total } have acknowledged revision { $revision }
wait-cut = the control plane ended before it could say how far the proxies are
wait-interrupted = interrupted; it goes on in the control plane: meltemi wait

diff-summary = { $changed } of { $objects } objects would change, compared with revision { $revision }
diff-effect = Effect on Envoy: { $affected } of { $connected } proxies
diff-more = and { $count } more resources

bootstrap-workload = `{ $workload }` is not NAME.NAMESPACE, such as `cart-1.shop`
bootstrap-unreadable-hint = check the path; nothing was printed

serve-unreadable-hint = check `--config` and `--mesh-config`; nothing is served
serve-settings-unknown = line { $line }: there is no setting `{ $field }` there; those there are { $known }
serve-settings-mistyped = line { $line }: there is no setting `{ $field }` there; did you mean `{ $meant }`?
serve-settings-hint = it holds the names of flags in camel case, such as `xdsAddress: 127.0.0.1:15010`
serve-no-config = there is nothing to serve: no folder is named
serve-no-config-hint = name a folder with `--config`, `MELTEMI_CONFIG`, or `config` in the file of `--settings`
serve-half-tokens = tokens need both `jwks` and `token-issuer`, or none
serve-tokens-alone = tokens prove identities, and there is no authority: set `identity-directory` or `cacerts`
serve-half-tls = a certificate and its key go together: set both `tls-certificate` and `tls-key`, or none

identity-wrote = wrote { $path }
identity-issued = { $identity }, valid until { $until }
identity-unreadable = `{ $identity }` is not NAMESPACE/SERVICE-ACCOUNT, such as `shop/cart`
identity-steady = No rotation is under way.
identity-trusting = Both roots are trusted, the old one issues. From { $until } on: meltemi identity rotate next
identity-trusting-ready = Both roots are trusted, the old one issues. Next: meltemi identity rotate next (the new one issues)
identity-issuing = Both roots are trusted, the new one issues. From { $until } on: meltemi identity rotate next
identity-issuing-ready = Both roots are trusted, the new one issues. Next: meltemi identity rotate next (the old one goes; other clusters need their new intermediates before)
identity-reverting = The rotation is undone: the old root issues, the new one stays trusted. From { $until } on: meltemi identity rotate next
identity-reverting-ready = The rotation is undone: the old root issues. Next: meltemi identity rotate next (the new root goes)
identity-behind = { $count } of { $total } connected proxies have not acknowledged what the step needs: { $names }
identity-behind-hint = wait for them (`meltemi ps`), or use `--force` with a reason: calls of and to them may fail
identity-unasked-hint = name the control plane with --server, so that its proxies can be asked; or use `--force` with a reason

help-mistake = The mistake:
help-repaired = Repaired:
help-unknown = there is no command and no code `{ $topic }`
help-unknown-hint = commands: { $known }; `meltemi help codes` lists the codes

proxy-unknown = no connected proxy is called `{ $proxy }`
proxy-unknown-hint = `meltemi proxy status --all` lists them
proxy-hidden = { $count ->
        [one] { $count } synced proxy is
       *[other] { $count } synced proxies are
    } not listed; `--all` lists all
proxy-config-summary = { $proxy }: { $acknowledged } of { $total } resources acknowledged, { $waiting } wait, { $refused } refused

heading-examples = Examples:
heading-commands = Commands
heading-arguments = Arguments
heading-options = Options
heading-template = {"{about-with-newline}"}\nUsage: {"{usage}"}\n\n{"{all-args}{after-help}"}
heading-help = Print help
heading-version = Print version

access-allow-note = Note: what no ALLOW policy allows is refused there from now on.

scope-none = of no workload is it known whom it calls
scope-unknown = it is not known whom { $workload } calls
scope-unknown-namespace = nobody knows the namespace `{ $name }`
scope-unknown-workload = nobody knows the workload `{ $name }`
scope-means = `{ $written }` is `{ $host }` for { $workload }
scope-in-memory = learned dependencies are kept in memory alone: with `serve --scope-directory` they outlive the process
scope-silent = the sensor { $sensor } is silent since { $at }: nothing that it knows is forgotten until it works again
scope-prometheus = Prometheus at { $url } does not say who calls whom: { $problem }
scope-saved = fenced proxies hold { $held } of { $all }
scope-capped-everything = { $workload } has called { $asked } hosts and is sent everything: a fence does not fit it. Take it out with the label `meltemi.io/scope: full`, or find out who scans
scope-capped-unknown = { $workload } has called so many hosts that nothing defines, on port { $ports }, that it does not ask there any more: what it has not called yet follows `outboundTrafficPolicy`. Declare what it needs, or find out who scans; it asks again once none of its proxies was connected for half a minute, or after a restart of the control plane
scope-plan = { $proxies ->
        [one] { $proxies } proxy holds { $now } and would hold { $then }
       *[other] { $proxies } proxies hold { $now } and would hold { $then }
    }: { $cut } less
scope-plan-left-out = { $count } further kinds of proxies were left out: it took too long. Ask for one workload
scope-plan-offline = Without a control plane: { $listed } proxies of Pods and WorkloadEntries, { $named } of workloads that are only named, each taken for an Envoy that can ask.
scope-plan-errors = { $count ->
        [one] { $count } error is in the files
       *[other] { $count } errors are in the files
    }: `meltemi check` shows what is left out here
scope-plan-nobody = the files speak of no workload of { $target }
scope-plan-nobody-hint = a plan is made for Pods, WorkloadEntries, WorkloadGroups, and for what Services, fences and calls of `--import` name
scope-plan-no-directory = no folder is named: name one with `--directory`, or with `config` in the file of `--settings`
scope-plan-gateway = { $workload } is a gateway: it has what its routes name, and is not fenced
scope-plan-grpc = { $workload } would be sent everything all the same: gRPC without a proxy cannot ask; the modes declared and learned fence it
scope-plan-cannot-ask = { $workload } would be sent everything all the same: its proxies cannot ask, as they speak no delta xDS, lack the filter envoy.filters.http.on_demand or are older than Envoy 1.40; the modes declared and learned fence it
scope-plan-unknown = { $workload }: nothing is known of its calls: each waits once
scope-plan-waiting = { $workload }: known calls that would wait once: { $hosts }
scope-plan-detoured = { $workload }: known calls that would go through the lazy gateway first: { $hosts }
scope-plan-no-gateway = { $workload }: mode gateway has nowhere to lead to: `lazyload.gateway` names no Service that the workload may see
scope-plan-unknown-detoured = { $workload }: nothing is known of its calls: each goes through the lazy gateway until it is learned
scope-plan-unknown-declared = { $workload }: nothing is known of its calls: those to what nothing declares go where `outboundTrafficPolicy` says
scope-plan-unknown-learned = { $workload }: nothing is known of its calls: each goes where `outboundTrafficPolicy` says until it is learned
scope-plan-unknown-passthrough = { $workload }: nothing is known of its calls: each leaves the mesh, where `outboundTrafficPolicy` allows it, until it is learned
scope-plan-cut = { $workload }: known calls that would go where `outboundTrafficPolicy` says: { $hosts }
scope-plan-invisible = { $workload }: known calls to what it may not see, now as then: { $hosts }
scope-holds = { $workload } is limited ({ $mode }): each of { $proxies } proxies holds { $bytes } in { $resources } resources
scope-holds-of = { $workload } is limited ({ $mode }): each of { $proxies } proxies holds { $bytes } in { $resources } resources, and would hold { $all } in { $of } without its fence
scope-why-declared = { $by } declares it.
scope-why-declared-no-longer = { $by } declared it until a moment ago; it stays for a while.
scope-why-deadline = Its time in { $by } is over: being called does not bring it back.
scope-why-stable-host = Every fence holds it (`lazyload.stableHost`).
scope-why-root-namespace = Every fence holds the root namespace { $by }.
scope-why-learned = The workload was seen to call it.
scope-why-pinned = Somebody has pinned it; no call of it was seen.
scope-why-seeded = It is there from the start: no call of it was seen yet.
scope-why-asked = Its proxies have asked for it since they connected.
scope-why-led-to = { $by } leads there from something that is in the scope.
scope-why-alias = Another name of it is in the scope.
scope-why-mode-without-learning = It is known by calls or pinned, but in the mode { $by } only what is declared counts.
scope-why-waits-for-a-call = Nothing declares it and no call of it is known: the first call waits for its route. `meltemi scope pin { $workload } { $host }` brings it in before.
scope-why-not-declared = Nothing declares it, and in the mode { $by } a call does not bring it in: it follows `outboundTrafficPolicy`.
scope-why-not-learned = Nothing declares it and no call of it is known: in the mode { $by } a call follows `outboundTrafficPolicy`, and brings it in once it is learned. `meltemi scope pin { $workload } { $host }` brings it in before.
scope-why-by-gateway = Nothing declares it and no call of it is known: it is called through the lazy gateway, and directly once that is learned. `meltemi scope pin { $workload } { $host }` brings it in before.
scope-why-shared-port = It carries bytes on a port on which the workload has a listener for all addresses: there, a server that speaks first would wait for its caller.
scope-why-not-public = It, or a rule for it, is not exported to everybody, so that the lazy gateway does not have it.
scope-why-lazy-gateway = It is the lazy gateway, through which the rest is called.
scope-why-egress-proxy = { $by } sends there what nothing defines (`egressProxy`).
scope-why-dispatch = The dispatch { $by } sends unknown hosts there (`lazyload.dispatches`).
scope-why-not-defined = No Service, ServiceEntry or VirtualService defines it.
scope-why-not-exported = { $by } is not exported to its namespace (`exportTo`).
scope-why-sidecar = { $by } leaves it out.
scope-why-fence-off = The fences of { $by } are switched off: everything is sent (`meltemi scope enable { $by }`).
scope-why-not-fenced = No fence is around the workload: everything that it may see is sent.
scope-why-everything = The workload has called so many hosts that everything is sent: a fence does not fit it.
scope-why-port-closed = On port { $by } the workload has called so many hosts that nothing defines that it does not ask there any more: a call follows `outboundTrafficPolicy`. `meltemi scope pin { $workload } { $host }` brings it in.
scope-off = the fences of { $target } are off since { $since }: it is sent everything until `meltemi scope enable { $target }`
scope-off-until = the fences of { $target } are off from { $since } until { $until }
scope-widening = the fences of { $target } are off since { $since }, but not every proxy has acknowledged everything: `meltemi scope disable { $target }` waits for it
scope-disabled = the fences of { $target } are off: { $live ->
        [one] { $live } proxy has everything
       *[other] { $live } proxies have everything
    }
scope-disable-open = the fences of { $target } are off all the same: everything is sent; `meltemi scope disable { $target }` waits again, `meltemi scope enable { $target }` takes it back
scope-disable-interrupted = nobody waits any more, but the fences of { $target } are off: `meltemi scope enable { $target }` takes it back
scope-enabled = fences and labels count again for { $target }
scope-in = `{ $host }` is in the scope of { $workload }
scope-out = `{ $host }` is not in the scope of { $workload }
scope-how = A call brings it in where its mode allows that; `meltemi scope pin { $workload } { $host }` does in any case.
scope-seen = known by { $sensors }; first seen { $first }, last seen { $last }, { $count } in all
scope-state-pinned = It is pinned: it stays until `meltemi scope unpin`.
scope-state-learned = It is forgotten after { $forget }, if it is not seen before.
scope-state-seeded = A workload of the same application calls it. It is forgotten after { $forget }, if this one does not.
scope-state-due = It was not seen for long: the next look forgets it.
scope-kept-sensor-silent = It was not seen for long, but a sensor that knows it is silent: it stays until that works again.
scope-kept-unwatched = It was not seen for long, but no access logs or metrics would tell of calls: it stays.
scope-kept-just-watched = It was not seen for long, but access logs or metrics have not come for as long as the minimum life yet: it stays.
scope-kept-workload-budget = It was not seen for long, but the workload has lost as many as it may for now: it stays until the next window.
scope-kept-total-budget = It was not seen for long, but as many as may be were forgotten for now: it stays until the next window.
scope-note-aged = { $at }: forgotten, as it had not been seen for long
scope-note-reset = { $at }: reset by somebody
scope-note-refused = { $at }: not learned ({ $reason })
scope-pin = `{ $host }` is pinned in the scope of { $workload }
scope-pin-undefined = nothing defines `{ $host }` yet: it is sent as soon as something does
scope-pin-near = did you mean `{ $near }`? Then `meltemi scope unpin { $workload } { $host }`
scope-pin-barred = the deadline in { $by } is over: `{ $host }` is not sent until that key is removed
scope-pin-unknown-workload = nobody knows the workload { $workload }: it counts when a proxy of it connects
scope-unpin = `{ $host }` is no longer pinned in the scope of { $workload }: it ages from now on
scope-reset = { $count ->
        [one] { $count } dependency of { $workload } is forgotten
       *[other] { $count } dependencies of { $workload } are forgotten
    }
scope-import = { $total } calls were taken in, { $new } of them new; { $left } entries were left out
scope-import-undefined = nothing defines { $count } of the hosts yet, such as `{ $host }`: each is sent as soon as something does
scope-import-dry-run = { $total } calls would be taken in, { $new } of them new; { $left } entries are left out
