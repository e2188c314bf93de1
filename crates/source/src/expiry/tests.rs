use super::*;

const HOUR: i64 = 3_600;

/// A policy whose time is noon.
fn policy(action: &str, more: &str) -> Change {
    let text = format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
         metadata: {{name: it, namespace: shop, annotations: {{meltemi.io/expires-at: {more}}}}}\n\
         spec: {{action: {action}, rules: [{{}}]}}\n"
    );
    let (objects, findings) = api::parse_documents("test.yaml", text.as_bytes());
    assert!(findings.is_empty(), "{findings:?}");
    Change::Put(objects.into_iter().next().unwrap())
}

fn noon() -> i64 {
    "2026-01-31T12:00:00Z".parse::<Timestamp>().unwrap().0
}

const NOON: &str = "'2026-01-31T12:00:00Z'";

fn changes(event: SourceEvent) -> Vec<String> {
    let SourceEvent::Changes { changes, .. } = event else { panic!("no changes") };
    let words = changes.iter().map(|change| match change {
        Change::Put(object) => match &object.spec {
            Spec::AuthorizationPolicy(policy) => format!("{} rules", policy.rules.len()),
            other => panic!("{other:?}"),
        },
        Change::Delete(key) => format!("delete {}", key.name),
        Change::KeySet(source, _) => unreachable!("keys of {source}"),
        Change::Learned(workload, _) => unreachable!("calls of {workload}"),
        Change::FenceSwitched(target, _) => unreachable!("the fences of {target}"),
        Change::Time(now) => unreachable!("it is {now}"),
    });
    words.collect()
}

fn event(change: Change) -> SourceEvent {
    SourceEvent::Changes {
        source: "test".into(),
        changes: vec![change],
        diagnostics: Findings::new(),
        received: Instant::now(),
    }
}

fn findings(statuses: &SourceStatuses) -> Vec<String> {
    let status = statuses.get(NAME).unwrap_or_default();
    status.findings.values().flat_map(|it| it.iter()).map(|it| it.code.to_owned()).collect()
}

#[test]
fn a_denial_holds_until_its_end_and_is_then_gone() {
    let statuses = SourceStatuses::default();
    let (mut stage, mut ended) = ExpiryStage::new(statuses.clone());
    let made = format!("{NOON}, meltemi.io/made-by: access");
    let said = stage.take(event(policy("DENY", &made)), noon() - HOUR);
    assert_eq!(changes(said), ["1 rules"]);
    assert!(stage.end(noon() - 1).is_none());
    assert_eq!(stage.sleep(noon() - 7), Duration::from_secs(7));
    assert_eq!(changes(stage.end(noon()).unwrap()), ["delete it"]);
    assert!(stage.end(noon() + 1).is_none(), "it ends once");
    assert_eq!(findings(&statuses), ["MEL0265"]);
    assert_eq!(&*ended.try_recv().unwrap().name.to_string(), "it");
}

#[test]
fn an_allowance_that_ends_allows_nothing() {
    let statuses = SourceStatuses::default();
    let (mut stage, mut ended) = ExpiryStage::new(statuses.clone());
    let made = format!("{NOON}, meltemi.io/made-by: access");
    stage.take(event(policy("ALLOW", &made)), noon() - HOUR);
    assert_eq!(changes(stage.end(noon()).unwrap()), ["0 rules"]);
    assert!(ended.try_recv().is_err(), "its file stays: without it everything would be allowed");
}

#[test]
fn what_has_ended_before_it_is_read_has_no_effect_and_a_new_end_gives_it_one() {
    let (mut stage, _ended) = ExpiryStage::new(SourceStatuses::default());
    let said = stage.take(event(policy("DENY", NOON)), noon() + HOUR);
    assert_eq!(changes(said), ["delete it"]);
    let said = stage.take(event(policy("DENY", "'2026-01-31T16:00:00Z'")), noon() + HOUR);
    assert_eq!(changes(said), ["1 rules"]);
    assert_eq!(changes(stage.end(noon() + 4 * HOUR).unwrap()), ["delete it"]);
}

#[test]
fn a_time_that_cannot_be_read_is_no_end() {
    let statuses = SourceStatuses::default();
    let (mut stage, _ended) = ExpiryStage::new(statuses.clone());
    let said = stage.take(event(policy("DENY", "tomorrow")), noon());
    assert_eq!(changes(said), ["1 rules"]);
    assert!(stage.end(i64::MAX).is_none());
    assert_eq!(findings(&statuses), ["MEL0266"]);
    let Change::Put(object) = policy("DENY", "tomorrow") else { unreachable!() };
    stage.take(event(Change::Delete(object.key)), noon());
    assert!(findings(&statuses).is_empty());
}
