//! The checks of the fuzz targets, on changed pieces of the corpus.

use fuzzing::{Mutator, accepted, certificates, documents, graphs, mesh, requests, seeds, tokens};

/// Runs a check on every seed and on `variations` of each. A panic names the input.
fn run(check: fn(&[u8]), seeds: &[Vec<u8>], words: &[&str], variations: usize) {
    let mut mutator = Mutator::new(20_260_101, words);
    for (index, seed) in seeds.iter().enumerate() {
        try_input(check, seed);
        for turn in 0..variations {
            let other = &seeds[(index + turn * 7 + 1) % seeds.len()];
            try_input(check, &mutator.mutate(seed, other));
        }
    }
}

fn try_input(check: fn(&[u8]), data: &[u8]) {
    let result = std::panic::catch_unwind(|| check(data));
    assert!(result.is_ok(), "this input:\n{}", String::from_utf8_lossy(data));
}

#[test]
fn files_never_break_the_reader() {
    let Some(corpus) = testkit::corpus::require_corpus("changed files are read") else { return };
    let found = seeds::documents(&corpus).expect("the corpus is readable");
    assert!(found.len() > 100, "only {} seeds", found.len());
    run(documents, &found, seeds::DOCUMENT_WORDS, 20);
}

#[test]
fn files_never_break_the_compiler() {
    let Some(corpus) = testkit::corpus::require_corpus("changed files are compiled") else {
        return;
    };
    let found = seeds::documents(&corpus).expect("the corpus is readable");
    run(mesh, &found, seeds::DOCUMENT_WORDS, 6);
}

#[test]
fn what_comes_of_valid_files_is_accepted() {
    let Some(corpus) = testkit::corpus::require_corpus("changed files are judged") else { return };
    let mut found = seeds::documents(&corpus).expect("the corpus is readable");
    // The judge is thorough: only what is quick to judge.
    found.retain(|seed| seed.len() < 1000);
    run(accepted, &found, seeds::DOCUMENT_WORDS, 1);
}

#[test]
fn a_carriage_return_alone_ends_a_line() {
    documents(b"apiVersion: a b\rs:\n    - a: b\n      pth");
}

#[test]
fn streams_never_break_the_decoder() {
    run(requests, &seeds::requests(), seeds::REQUEST_WORDS, 500);
}

#[test]
fn signing_requests_never_break_the_reader() {
    let seeds = seeds::certificates();
    assert_eq!(seeds.len(), 4, "in PEM and in DER");
    run(certificates, &seeds, &[], 3000);
}

#[test]
fn tokens_never_break_the_reader_and_none_is_forged() {
    run(tokens, &seeds::tokens(), seeds::TOKEN_WORDS, 3000);
}

#[test]
fn call_graphs_never_break_the_reader() {
    run(graphs, &seeds::graphs(), seeds::GRAPH_WORDS, 3000);
}

#[test]
fn a_check_can_fail() {
    let check: fn(&[u8]) = |data| assert!(!data.contains(&b'?'));
    let found = std::panic::catch_unwind(|| run(check, &[b"a?".to_vec()], &[], 0));
    assert!(found.is_err());
}
