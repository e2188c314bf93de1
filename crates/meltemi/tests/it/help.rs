//! Pages, codes, languages and completion.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::command::{run, run_with};

#[test]
fn a_code_is_explained_in_both_languages() {
    let english = run(&["help", "MEL0154"]);
    assert_eq!(english.code, 0, "{}", english.stderr);
    assert!(english.stdout.starts_with("× MEL0154 (error): The weights"), "{}", english.stdout);
    let chinese = run(&["explain", "mel0154", "--lang", "zh"]);
    assert!(
        chinese.stdout.starts_with("× MEL0154 (error): 目标的权重不可用"),
        "{}",
        chinese.stdout
    );
    let json = run(&["help", "MEL0154", "-o", "json"]);
    let json: Value = serde_json::from_str(&json.stdout).expect("it is JSON");
    assert_eq!(json["severity"], "error");
}

#[test]
fn the_language_comes_from_flag_variable_and_locale() {
    let is_chinese = |arguments: &[&str], variables: &[(&str, &str)]| {
        run_with(arguments, variables).stdout.contains("用法：")
    };
    assert!(!is_chinese(&["check", "--help"], &[]));
    assert!(is_chinese(&["check", "--help"], &[("MELTEMI_LANG", "zh")]));
    assert!(is_chinese(&["check", "--help"], &[("LC_ALL", "zh_CN.UTF-8")]));
    assert!(is_chinese(&["--lang", "zh", "check", "--help"], &[]));
    assert!(is_chinese(&["--lang=zh", "help", "check"], &[]));
    assert!(!is_chinese(&["--lang", "en", "check", "--help"], &[("MELTEMI_LANG", "zh")]));
}

#[test]
fn a_mistyped_command_gets_a_suggestion() {
    let run = run(&["chek", "x"]);
    assert_eq!(run.code, 64);
    assert!(run.stderr.contains("'check'"), "{}", run.stderr);
    let run = crate::command::run(&["help", "nothing"]);
    assert_eq!(run.code, 64);
    assert!(run.stderr.contains("there is no command and no code `nothing`"), "{}", run.stderr);
}

#[test]
fn a_page_of_a_command_is_the_same_both_ways() {
    let by_flag = run(&["proxy", "status", "-h"]);
    let by_help = run(&["help", "proxy", "status"]);
    assert_eq!((by_flag.code, by_help.code), (0, 0));
    assert!(by_help.stdout.contains("meltemi proxy status"), "{}", by_help.stdout);
    assert_eq!(by_flag.stdout.trim(), by_help.stdout.trim());
}

#[test]
fn all_codes_are_listed() {
    let list = run(&["help", "codes", "-o", "json"]);
    let list: Value = serde_json::from_str(&list.stdout).expect("it is JSON");
    let items = list["items"].as_array().expect("it is a list");
    assert!(items.len() > 100, "{}", items.len());
    assert!(items.iter().all(|item| item["help"] != ""), "a code has no help");
}

#[test]
fn completion_scripts_are_taken_by_their_shells() {
    for (shell, mark) in
        [("bash", "_meltemi()"), ("zsh", "#compdef meltemi"), ("fish", "complete -c meltemi")]
    {
        let script = run(&["completion", shell]);
        assert_eq!(script.code, 0, "{}", script.stderr);
        assert!(script.stdout.contains(mark), "{shell}");
        assert!(script.stdout.contains("bootstrap"), "{shell}");
    }
    let script = run(&["completion", "bash"]).stdout;
    let mut bash = Command::new("bash")
        .arg("-n")
        .stdin(Stdio::piped())
        .spawn()
        .expect("bash is on every machine that builds this");
    bash.stdin.take().expect("it is piped").write_all(script.as_bytes()).expect("bash reads");
    assert!(bash.wait().expect("bash ends").success());
}

#[test]
fn nobody_who_cannot_see_colour_is_sent_it() {
    let plain = run(&["help", "MEL0154"]);
    assert!(!plain.stdout.contains('\u{1b}'), "{}", plain.stdout);
    let forced = run(&["help", "MEL0154", "--color", "always"]);
    assert!(forced.stdout.contains('\u{1b}'), "{}", forced.stdout);
    let ascii = run_with(&["help", "MEL0154"], &[("LANG", "C")]);
    assert!(ascii.stdout.starts_with("x MEL0154"), "{}", ascii.stdout);
}
