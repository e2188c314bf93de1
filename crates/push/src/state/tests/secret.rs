//! Secrets: asked for by name, absent until there is one, and never in anybody's way.

use xds::Protocol::{Delta, Sotw};

use super::talk::Talk;

#[test]
fn a_secret_that_does_not_exist_is_answered_at_once_and_sent_when_it_comes() {
    let mut talk = Talk::synced(Delta, "lds l");
    talk.ask("sds", "default ROOTCA");
    talk.settles("sds -ROOTCA -default");
    assert!(talk.state.is_synced());
    talk.see("lds l sds ROOTCA default");
    talk.settles("sds ROOTCA default");
    assert_eq!(talk.holds("sds"), "ROOTCA default");
}

#[test]
fn a_secret_that_does_not_exist_has_no_name_in_the_state_of_the_world() {
    let mut talk = Talk::synced(Sotw, "lds l sds ROOTCA");
    talk.ask("sds", "default ROOTCA");
    talk.settles("sds ROOTCA");
    assert!(talk.state.is_synced());
    talk.see("lds l sds ROOTCA default");
    talk.settles("sds default");
    assert_eq!(talk.holds("sds"), "ROOTCA default");
}

#[test]
fn nothing_but_a_renewed_secret_is_sent() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::synced(protocol, "cds a lds l(r) rds r(h=a) sds default ROOTCA");
        talk.ask("sds", "default ROOTCA");
        talk.settles("sds ROOTCA default");
        talk.see("cds a lds l(r) rds r(h=a) sds default.2 ROOTCA");
        talk.settles("sds default.2");
        talk.settles("");
    }
}

#[test]
fn a_secret_that_is_gone_is_taken_away_over_delta() {
    let mut talk = Talk::synced(Delta, "sds a");
    talk.ask("sds", "a");
    talk.settles("sds a");
    talk.see("");
    talk.settles("sds -a");
    talk.see("sds a.2");
    talk.settles("sds a.2");
}

#[test]
fn secrets_that_nobody_has_asked_for_are_not_sent() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::synced(protocol, "lds l sds a b");
        talk.ask("sds", "a");
        talk.settles("sds a");
        talk.see("lds l sds a b.2 c");
        talk.settles("");
        talk.ask("sds", "");
        talk.see("lds l sds a.2");
        talk.settles("");
    }
}

#[test]
fn a_proxy_that_comes_back_is_sent_only_what_is_another() {
    let mut talk = Talk::synced(Delta, "sds default ROOTCA");
    talk.ask("sds", "default ROOTCA");
    talk.settle();
    talk.reconnect("sds default.2 ROOTCA");
    talk.settles("cds | lds | sds default.2");
    // Without a proof this time: it is told that there are none, and goes on with what it has.
    talk.reconnect("");
    talk.settles("cds | lds | sds -ROOTCA -default");
}

#[test]
fn a_refused_secret_is_shown_and_holds_nothing_up() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::synced(protocol, "lds l sds a.bad");
        talk.ask("sds", "a");
        talk.settles("sds a.bad");
        assert_eq!(talk.refused("sds").len(), 1);
        talk.see("lds l.2 sds a.bad");
        talk.settles("lds l.2");
        talk.see("lds l.2 sds a.2");
        talk.settles("sds a.2");
        assert!(talk.refused("sds").is_empty());
    }
}

#[test]
fn what_envoy_quotes_of_a_refused_secret_is_not_repeated() {
    for quoted in
        ["goo.gle/debugproto resources { hush }", "goo.gle/debugproto\nresources\nhush", "\nhush"]
    {
        let mut talk = Talk::synced(Delta, "sds a");
        talk.ask("sds", "a");
        talk.says("sds a");
        talk.refuse("sds", &format!("no such type in DeltaDiscoveryResponse {quoted}"));
        assert_eq!(talk.refused("sds"), ["a: no such type in DeltaDiscoveryResponse"]);
    }
}
