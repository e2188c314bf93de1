//! The settings of `meltemi serve`: what beats what, and what is said about it.

use std::{
    fs,
    io::{BufRead, BufReader, Lines},
    process::{Child, ChildStderr, Command, Stdio},
};

use tempfile::TempDir;

use crate::command::{run, run_with};

/// A server that is killed when the test ends.
struct Server {
    child: Child,
    said: String,
    /// Kept, as what is said to nobody is an error in there.
    _rest: Lines<BufReader<ChildStderr>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a server and reads what it says until it serves, or ends.
fn serve(arguments: &[&str], variables: &[(&str, &str)]) -> Server {
    let mut child = Command::new(env!("CARGO_BIN_EXE_meltemi"))
        .arg("serve")
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary can be run");
    let stderr = child.stderr.take().expect("it is piped");
    let mut said = String::new();
    let mut lines = BufReader::new(stderr).lines();
    for line in lines.by_ref() {
        let line = line.expect("it is text");
        said = format!("{said}{line}\n");
        if line.contains("Meltemi serves") {
            break;
        }
    }
    assert!(!said.contains('\u{1b}'), "a pipe gets no colour:\n{said}");
    Server { child, said, _rest: lines }
}

/// Value and origin of a setting in the table that is printed at the start.
#[track_caller]
fn setting<'s>(server: &'s Server, name: &str) -> Vec<&'s str> {
    let line = server.said.lines().find(|line| line.split_whitespace().next() == Some(name));
    let line = line.unwrap_or_else(|| panic!("no setting `{name}` in\n{}", server.said));
    line.split_whitespace().skip(1).collect()
}

fn mesh() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: b}\n\
                   spec: {ports: [{port: 80}]}\n";
    fs::create_dir(folder.path().join("mesh")).expect("a folder can be made");
    fs::write(folder.path().join("mesh/a.yaml"), service).expect("a file can be written");
    folder
}

#[test]
fn flags_beat_the_environment_and_that_the_file() {
    let folder = mesh();
    let file = folder.path().join("settings.yaml");
    let text = "config: [mesh]\nxdsAddress: 127.0.0.1:0\nadminAddress: 127.0.0.1:0\n\
                domain: file.local\nlog: warn\n";
    fs::write(&file, text).expect("a file can be written");
    let file = file.to_str().expect("the path is text");
    let server = serve(
        &["--settings", file, "--log", "info"],
        &[("MELTEMI_DOMAIN", "env.local"), ("MELTEMI_LOG", "debug"), ("PILOT_HTTP10", "true")],
    );
    let config = format!("{}/mesh", folder.path().display());
    assert_eq!(setting(&server, "config"), [config.as_str(), "file"]);
    assert_eq!(setting(&server, "domain"), ["env.local", "environment", "MELTEMI_DOMAIN"]);
    assert_eq!(setting(&server, "log"), ["info", "flag"]);
    assert_eq!(setting(&server, "admin-address"), ["127.0.0.1:0", "file"]);
    assert_eq!(setting(&server, "mesh-config"), ["-", "default"]);
    assert_eq!(setting(&server, "PILOT_HTTP10"), ["true", "environment", "PILOT_HTTP10"]);
    assert!(server.said.contains("Meltemi serves"), "{}", server.said);
}

#[test]
fn limits_are_read_from_everywhere() {
    let folder = mesh();
    let file = folder.path().join("settings.yaml");
    let text = "config: [mesh]\nxdsAddress: 127.0.0.1:0\nadminAddress: 127.0.0.1:0\n\
                memoryLimit: 2Gi\npeers: [other:15014]\nmaxConnectionAge: 30m\n\
                scope: # nothing yet\nlazyload:\n";
    fs::write(&file, text).expect("a file can be written");
    let file = file.to_str().expect("the path is text");
    let server = serve(
        &["--settings", file, "--max-streams", "7"],
        &[("PILOT_MAX_REQUESTS_PER_SECOND", "25"), ("MELTEMI_WEIGHT", "3")],
    );
    assert_eq!(setting(&server, "max-streams"), ["7", "flag"]);
    assert_eq!(setting(&server, "max-streams-per-second")[0], "25");
    assert_eq!(setting(&server, "memory-limit"), ["2.0", "GiB", "file"]);
    assert_eq!(setting(&server, "max-connection-age"), ["1800s", "file"]);
    assert_eq!(setting(&server, "peers"), ["other:15014", "file"]);
    assert_eq!(setting(&server, "weight"), ["3", "environment", "MELTEMI_WEIGHT"]);
    assert!(!server.said.contains("no meaning here"), "{}", server.said);
}

#[test]
fn what_is_learned_has_a_section_and_a_folder() {
    let folder = mesh();
    let file = folder.path().join("settings.yaml");
    let text = "config: [mesh]\nxdsAddress: 127.0.0.1:0\nadminAddress: 127.0.0.1:0\n\
                scopeDirectory: learned\n\
                scope: {halfLife: 48h, shrinkTotalPercent: 2, maxTargets: 50}\n";
    fs::write(&file, text).expect("a file can be written");
    let path = file.to_str().expect("the path is text");
    let server = serve(&["--settings", path], &[]);
    assert_eq!(setting(&server, "scope.half-life"), ["172800s", "file"]);
    assert_eq!(setting(&server, "scope.minimum-life"), ["86400s", "default"]);
    assert_eq!(setting(&server, "scope.shrink-total-percent"), ["2", "file"]);
    assert_eq!(setting(&server, "scope.max-targets"), ["50", "file"]);
    assert!(folder.path().join("learned/meltemi.redb").is_file(), "{}", server.said);
    // The folder is taken: another server says so, and does not learn for nothing.
    let second = serve(&["--settings", path], &[]);
    assert!(second.said.contains("in use by another process"), "{}", second.said);
    drop((server, second));
    fs::write(&file, text.replace("2,", "200,")).expect("a file can be written");
    let run = run(&["serve", "--settings", path]);
    assert_eq!(run.code, 65, "{}", run.stderr);
    assert!(run.stderr.contains("at most 100 percent"), "{}", run.stderr);
}

#[test]
fn without_a_folder_what_is_learned_ends_with_the_process_and_that_is_said() {
    let folder = mesh();
    let config = folder.path().join("mesh");
    let addresses = ["--xds-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"];
    let config = ["--config", config.to_str().expect("the path is text")];
    let server = serve(&[config.as_slice(), &addresses].concat(), &[]);
    assert!(server.said.contains("kept in memory alone"), "{}", server.said);
}

#[test]
fn variables_without_effect_are_named_once() {
    let folder = mesh();
    let config = folder.path().to_str().expect("the path is text");
    let server = serve(
        &["--config", config, "--xds-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"],
        &[
            ("PILOT_DEBOUNCE_AFTER", "10ms"),
            ("ENABLE_LEADER_ELECTION", "true"),
            ("MELTEMI_XDS_ADRESS", "0.0.0.0:1"),
            ("MELTEMI_LANG", "zh"),
            ("PILOT_HTTP10", "1"),
        ],
    );
    let line =
        |text: &str| server.said.lines().find(|line| line.contains(text)).unwrap_or_default();
    let ignored = line("Switches of istiod");
    assert!(ignored.contains("ENABLE_LEADER_ELECTION PILOT_DEBOUNCE_AFTER"), "{}", server.said);
    assert!(!ignored.contains("PILOT_HTTP10"), "{ignored}");
    let unknown = line("Variables are set that nothing reads");
    assert!(unknown.contains("MELTEMI_XDS_ADRESS"), "{}", server.said);
    assert!(!unknown.contains("MELTEMI_LANG"), "{unknown}");
}

#[test]
fn what_cannot_be_served_ends_at_once_with_a_reason() {
    let folder = mesh();
    let mesh = folder.path().join("mesh");
    let mesh = mesh.to_str().expect("the path is text");
    let wrong = folder.path().join("wrong.yaml");
    fs::write(&wrong, "xdsAdress: 127.0.0.1:1\n").expect("a file can be written");
    let wrong = wrong.to_str().expect("the path is text");
    let cases: [(&[&str], i32, &str); 6] = [
        (&[], 64, "there is nothing to serve"),
        (&["--config", "no/such"], 65, "`no/such` cannot be read"),
        (&["--config", mesh, "--mesh-config", "no/such"], 65, "`no/such` cannot be read"),
        (&["--settings", "no/such"], 65, "`no/such` cannot be read"),
        (&["--settings", wrong], 65, "xdsAdress"),
        (&["--config", mesh, "--tls-key", "x"], 64, "a certificate and its key go together"),
    ];
    for (arguments, code, said) in cases {
        let run = run(&[&["serve"], arguments].concat());
        assert_eq!(run.code, code, "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(said), "{arguments:?}: {}", run.stderr);
    }
    let run = run_with(&["serve"], &[("MELTEMI_XDS_ADDRESS", "nowhere")]);
    assert_eq!(run.code, 64, "{}", run.stderr);
}

#[test]
fn a_mistyped_setting_gets_its_line_and_the_one_that_is_meant() {
    let folder = mesh();
    let file = folder.path().join("wrong.yaml");
    for (text, language, said) in [
        (
            "lazyload:\n  mod: full\n",
            "en",
            "line 2: there is no setting `mod` there; did you mean `mode`?",
        ),
        (
            "scope: {full: 1h}\n",
            "en",
            "line 1: there is no setting `full` there; those there are halfLife, ",
        ),
        (
            "lazyload: {prometheus: {timout: x}}\n",
            "zh",
            "第 1 行：那里没有名为 `timout` 的设置；是否指 `timeout`？",
        ),
    ] {
        fs::write(&file, text).expect("a file can be written");
        let path = file.to_str().expect("the path is text");
        let run = run_with(&["serve", "--settings", path], &[("MELTEMI_LANG", language)]);
        assert_eq!(run.code, 65, "{}", run.stderr);
        assert!(run.stderr.contains(said), "{}", run.stderr);
    }
}

#[test]
fn the_settings_of_slimes_module_are_taken_and_what_has_no_effect_is_named() {
    let folder = mesh();
    let file = folder.path().join("settings.yaml");
    let text = "config: [mesh]\nxdsAddress: 127.0.0.1:0\nadminAddress: 127.0.0.1:0\n\
                lazyload:\n  default_fence: true\n  stableHost: [base/*]\n  wormholePort: [9080]\n  \
                domainAliases: [{pattern: '((', templates: [a]}, {pattern: ^a$, templates: [b]}]\n  \
                managementSelectors:\n  mode: null\n  blackNamespaceList: ~\n  \
                dispatches: [{name: x, domains: [x.com], cluster: PassthroughCluster, domainRegex: }]\n";
    fs::write(&file, text).expect("a file can be written");
    let path = file.to_str().expect("the path is text");
    let server = serve(&["--settings", path], &[]);
    assert_eq!(setting(&server, "lazyload.default-fence"), ["true", "file"]);
    assert_eq!(setting(&server, "lazyload.stable-host"), ["[\"base/*\"]", "file"]);
    for part in ["lazyload.wormholePort: `wormholePort` has no effect", "lazyload.domainAliases[0]"]
    {
        assert!(server.said.contains(part), "{part} in {}", server.said);
    }
    assert!(!server.said.contains("domainAliases[1]"), "{}", server.said);
    drop(server);
    fs::write(&file, text.replace("default_fence", "defaultfence")).expect("a file can be written");
    let run = run(&["serve", "--settings", path]);
    assert_eq!(run.code, 65, "a name that nobody knows is mistyped: {}", run.stderr);
}
