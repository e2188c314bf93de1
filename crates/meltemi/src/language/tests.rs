use std::{collections::BTreeSet, fs, path::Path};

use super::{Catalogue, Environment, Language};

/// The keys of messages and codes. Pages of commands have a test of their own.
fn keys(language: Language) -> BTreeSet<String> {
    let lines = language.sources().iter().flat_map(|source| source.lines());
    lines
        .filter(|line| line.starts_with(|it: char| it.is_ascii_alphabetic()))
        .filter_map(|line| Some(line.split_once(" =")?.0.to_owned()))
        .filter(|key| key != "help" && !key.starts_with("help-") || MESSAGES.contains(&&**key))
        .collect()
}

/// Messages of the command `help` itself.
const MESSAGES: [&str; 4] = ["help-mistake", "help-repaired", "help-unknown", "help-unknown-hint"];

#[test]
fn both_languages_have_the_same_keys() {
    assert_eq!(keys(Language::En), keys(Language::Zh));
}

#[test]
fn both_catalogues_are_free_of_faults() {
    for language in [Language::En, Language::Zh] {
        for source in language.sources() {
            let read = fluent_bundle::FluentResource::try_new((*source).to_owned());
            assert!(read.is_ok(), "{language:?}: {:?}", read.err().map(|(_, faults)| faults));
        }
    }
}

#[test]
fn a_word_is_put_in_and_an_unknown_key_shows() {
    let text = |language, key| Catalogue::new(language).text(key, &[("address", "x:1".into())]);
    assert_eq!(text(Language::En, "unreachable"), "no control plane answers at x:1");
    assert_eq!(text(Language::Zh, "unreachable"), "x:1 上没有控制面应答");
    assert_eq!(text(Language::En, "no-such-key"), "no-such-key");
}

#[test]
fn the_flag_beats_the_variable_and_that_the_locale() {
    let environment = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let both: Environment = environment(&[("MELTEMI_LANG", "zh"), ("LANG", "en_US.UTF-8")]);
    assert_eq!(Language::choose(Some(Language::En), &both), Language::En);
    assert_eq!(Language::choose(None, &both), Language::Zh);
    let locale: Environment = environment(&[("LC_ALL", "zh_CN.UTF-8"), ("LANG", "en_US.UTF-8")]);
    assert_eq!(Language::choose(None, &locale), Language::Zh);
    assert_eq!(Language::choose(None, &Environment::default()), Language::En);
}

#[test]
fn every_key_is_used() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut own, mut reasons) = (String::new(), String::new());
    read_sources(&folder.join("src"), &mut own);
    // The admin API names the reasons of a scope.
    read_sources(&folder.join("../admin/src"), &mut reasons);
    let is_used = |key: &String| {
        let reason = key.strip_prefix("scope-why-");
        own.contains(&format!("\"{key}\""))
            || reason.is_some_and(|reason| reasons.contains(&format!("\"{reason}\"")))
    };
    let unused: Vec<String> = keys(Language::En)
        .into_iter()
        .filter(|key| !key.starts_with("MEL") && !is_used(key))
        .collect();
    assert!(unused.is_empty(), "nothing uses {unused:?}");
}

fn read_sources(folder: &Path, sources: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => read_sources(&path, sources),
            false if !path.ends_with("tests.rs") => {
                sources.push_str(&fs::read_to_string(&path).unwrap());
            }
            false => (),
        }
    }
}
