use std::{collections::BTreeSet, fs, path::Path};

use clap::Command;
use fluent_syntax::{ast::Entry, parser::parse};

use super::{Explanation, localise};
use crate::{
    command, explain,
    language::{Catalogue, Language},
};

/// The texts that the Chinese pages need: a key for each command, an attribute for each argument.
fn wanted(command: &Command, path: &str, found: &mut BTreeSet<String>) {
    found.insert(path.to_owned());
    found.insert(format!("{path}.after"));
    for arg in command.get_arguments().filter(|arg| !is_builtin(arg.get_id().as_str())) {
        found.insert(format!("{path}.{}", arg.get_id()));
    }
    for sub in command.get_subcommands() {
        wanted(sub, &format!("{path}-{}", sub.get_name()), found);
    }
}

/// clap adds these itself.
fn is_builtin(id: &str) -> bool {
    ["help", "version"].contains(&id)
}

#[test]
fn every_command_and_argument_has_a_chinese_text() {
    let mut needed = BTreeSet::new();
    wanted(&command::whole(), "help", &mut needed);
    let resource =
        parse(include_str!("../../locales/zh/help.ftl")).expect("the file has no faults");
    let mut written = BTreeSet::new();
    for entry in resource.body {
        let Entry::Message(message) = entry else { continue };
        written.extend(
            message.attributes.iter().map(|it| format!("{}.{}", message.id.name, it.id.name)),
        );
        written.insert(message.id.name.to_owned());
    }
    let missing: Vec<_> = needed.difference(&written).collect();
    let needless: Vec<_> = written.difference(&needed).collect();
    assert!(
        missing.is_empty() && needless.is_empty(),
        "missing {missing:?}, needless {needless:?}"
    );
}

#[test]
fn every_command_shows_examples_and_exit_codes() {
    fn walk(command: &Command, without: &mut Vec<String>) {
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        if !(after.starts_with("Examples:\n  meltemi ") && after.contains("\nExit codes: 0 ")) {
            without.push(command.get_name().to_owned());
        }
        command.get_subcommands().for_each(|sub| walk(sub, without));
    }
    let mut without = Vec::new();
    walk(&command::whole(), &mut without);
    assert!(without.is_empty(), "no examples or exit codes: {without:?}");
}

#[test]
fn every_example_can_be_parsed() {
    fn walk(command: &Command, examples: &mut Vec<String>) {
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines = after.lines().filter_map(|line| line.strip_prefix("  "));
        // What a shell does with the line is not the command's.
        let own =
            lines.filter_map(|line| line.split(['|', '>']).find(|it| it.contains("meltemi ")));
        examples.extend(own.map(|line| line.trim().to_owned()));
        command.get_subcommands().for_each(|sub| walk(sub, examples));
    }
    let mut examples = Vec::new();
    walk(&command::whole(), &mut examples);
    assert!(examples.len() > 20, "{examples:?}");
    for example in examples {
        let result = command::whole().try_get_matches_from(example.split_whitespace());
        assert!(result.is_ok(), "`{example}`: {}", result.unwrap_err());
    }
}

#[test]
fn pages_in_chinese_have_no_english_heading() {
    let catalogue = Catalogue::new(Language::Zh);
    let mut command = localise(command::whole(), &catalogue);
    command.build();
    let page = command.find_subcommand("check").unwrap().clone().render_help().to_string();
    for english in ["Usage:", "Options:", "Arguments:", "Examples:", "Exit codes:", "Print help"] {
        assert!(!page.contains(english), "`{english}` in\n{page}");
    }
    assert!(page.contains("meltemi check ./mesh"), "{page}");
}

#[test]
fn codes_are_explained_in_both_languages() {
    let [english, chinese] = [Language::En, Language::Zh].map(Catalogue::new);
    for code in explain::all() {
        let page = Explanation::new(code, &english);
        assert_eq!(page.title, code.title, "{}: the title of the catalogue", code.code);
        assert!(!page.help.is_empty(), "{} has no English help", code.code);
        let page = Explanation::new(code, &chinese);
        assert!(page.title != code.title, "{} has no Chinese title", code.code);
        assert!(!page.help.is_empty(), "{} has no Chinese help", code.code);
    }
}

#[test]
fn codes_are_unique() {
    let codes: Vec<&str> = explain::all().into_iter().map(|code| code.code).collect();
    assert!(codes.is_sorted_by(|one, other| one < other), "{codes:?}");
}

/// Calls `found` with the text of every Rust file below `folder` that is no test.
fn read_sources(folder: &Path, found: &mut dyn FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_test = path.file_name().is_some_and(|name| name == "tests" || name == "tests.rs");
        if path.is_dir() && !is_test {
            read_sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") && !is_test {
            found(&path, &fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_code_in_the_tree_is_in_a_table() {
    let known: BTreeSet<&str> = explain::all().into_iter().map(|code| code.code).collect();
    let mut unknown = Vec::new();
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    read_sources(&crates, &mut |path, text| {
        let codes = text.split("\"MEL").skip(1).filter_map(|rest| {
            let digits = rest.get(..4).filter(|it| it.bytes().all(|byte| byte.is_ascii_digit()))?;
            Some(format!("MEL{digits}"))
        });
        for code in codes {
            // Only tables hold codes, so that each has a title and one meaning.
            let is_table =
                path.file_name().is_some_and(|name| name == "codes.rs" || name == "examples.rs");
            if !is_table || !known.contains(code.as_str()) {
                unknown.push(format!("{code} in {}", path.display()));
            }
        }
    });
    assert!(unknown.is_empty(), "{unknown:#?}");
}
