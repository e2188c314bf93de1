use std::{
    collections::BTreeSet,
    net::{IpAddr, TcpListener},
};

use testkit::{corpus, ports};

#[test]
fn ports_are_free_and_given_out_once() {
    let ports: Vec<u16> = (0..50).map(|_| ports::free_port()).collect();
    assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 50);
    let bound: Result<Vec<_>, _> =
        ports.iter().map(|port| TcpListener::bind(("0.0.0.0", *port))).collect();
    bound.expect("every port is free");
}

#[test]
fn loopback_addresses_are_local_and_given_out_once() {
    // More than one block holds.
    let addresses: BTreeSet<IpAddr> = (0..300).map(|_| ports::loopback_address()).collect();
    assert_eq!(addresses.len(), 300);
    for address in &addresses {
        assert!(address.is_loopback(), "{address} is not a loopback address");
    }
    let last = addresses.last().expect("there are 300");
    TcpListener::bind((*last, 8080)).expect("any port is free on an address of our own");
}

#[test]
fn the_corpus_is_a_folder_if_it_is_there() {
    if let Some(folder) = corpus::require_corpus("the corpus is a folder") {
        assert!(folder.is_dir());
    }
}
