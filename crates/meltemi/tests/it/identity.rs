//! `meltemi identity`: the authority from the command line, and that none of it shows a key.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use serde_json::Value;
use tempfile::TempDir;

use crate::command::{Run, run};

struct Authority {
    folder: TempDir,
    /// Everything that was printed.
    printed: String,
}

impl Authority {
    fn new() -> Self {
        let mut own = Self { folder: TempDir::new().unwrap(), printed: String::new() };
        let made = own.run(&["init"]);
        assert_eq!(made.code, 0, "{}", made.stderr);
        own
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn run(&mut self, arguments: &[&str]) -> Run {
        let state = self.path("state");
        let mut all = vec!["identity"];
        all.extend(arguments);
        all.extend(["--directory", &state]);
        let run = run(&all);
        self.printed += &run.stdout;
        self.printed += &run.stderr;
        run
    }

    fn status(&mut self) -> Value {
        let run = self.run(&["status", "-o", "json"]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        serde_json::from_str(&run.stdout).unwrap()
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Two pieces of the secret number in each key below a folder.
fn secrets(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            secrets(&path, found);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        if text.contains("PRIVATE KEY") {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
            let body: String = text.lines().filter(|line| !line.starts_with("--")).collect();
            found.extend([body[48..64].to_owned(), body[64..80].to_owned()]);
        }
    }
}

#[test]
fn a_root_is_replaced_from_the_command_line() {
    let mut authority = Authority::new();
    let before = authority.status();
    assert_eq!(before["phase"], "steady");
    assert_eq!(before["roots"].as_array().unwrap().len(), 1);
    assert_eq!(authority.run(&["rotate", "next"]).code, 1);
    let started = authority.run(&["rotate", "start"]);
    assert_eq!(started.code, 0, "{}", started.stderr);
    assert!(started.stdout.contains("Both roots are trusted, the old one issues."));
    assert_eq!(authority.run(&["rotate", "start"]).code, 1);
    let early = authority.run(&["rotate", "next"]);
    assert_eq!(early.code, 75, "{}", early.stderr);
    assert!(early.stderr.contains("too early"), "{}", early.stderr);
    assert_eq!(authority.run(&["rotate", "next", "--force"]).code, 64, "a reason is needed");
    let force = ["rotate", "next", "--force", "--reason", "a test"];
    assert_eq!(authority.run(&force).code, 0);
    assert_eq!(authority.status()["phase"], "issuing");
    assert_eq!(authority.run(&force).code, 0);
    let after = authority.status();
    assert_eq!(after["phase"], "steady");
    assert_ne!(after["roots"][0]["fingerprint"], before["roots"][0]["fingerprint"]);
    let shown = authority.run(&["rotate", "status"]);
    assert!(shown.stdout.contains("No rotation is under way."), "{}", shown.stdout);
    let again = authority.run(&["init"]);
    assert_eq!(again.code, 0);
    assert_eq!(authority.status(), after, "`init` changes nothing");
}

#[test]
fn certificates_and_intermediates_go_into_files() {
    let mut authority = Authority::new();
    let certs = authority.path("certs");
    let issued = authority.run(&["issue", "--identity", "shop/cart", "--out", &certs]);
    assert_eq!(issued.code, 0, "{}", issued.stderr);
    assert!(issued.stdout.contains("spiffe://cluster.local/ns/shop/sa/cart, valid until"));
    for name in ["cert-chain.pem", "root-cert.pem", "key.pem"] {
        assert!(Path::new(&certs).join(name).exists(), "{name}");
    }
    let south = authority.path("south");
    let made = authority.run(&["intermediate", "--cluster", "south", "--out", &south]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert!(made.stdout.contains("ca-key.pem"), "{}", made.stdout);
    assert_eq!(authority.run(&["issue", "--identity", "cart", "--out", &certs]).code, 64);
    let missing = run(&["identity", "status", "--directory", &authority.path("nothing")]);
    assert_eq!(missing.code, 65);
    assert!(missing.stderr.contains("`meltemi identity init` makes one"), "{}", missing.stderr);
}

#[test]
fn a_token_is_all_that_is_printed() {
    let authority = Authority::new();
    let (key, jwks) = (authority.path("issuer.key"), authority.path("jwks.json"));
    let arguments = [
        "identity",
        "token",
        "--key",
        &key,
        "--jwks",
        &jwks,
        "--issuer",
        "https://issuer.test",
        "--identity",
        "shop/cart",
    ];
    let first = run(&arguments);
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert_eq!(first.stdout.trim_end().split('.').count(), 3, "{}", first.stdout);
    assert_eq!(mode(Path::new(&key)), 0o600);
    let keys = fs::read_to_string(&jwks).unwrap();
    assert_eq!(run(&arguments).code, 0);
    assert_eq!(fs::read_to_string(&jwks).unwrap(), keys, "the key is kept");
    fs::write(&key, "nothing").unwrap();
    assert_eq!(run(&arguments).code, 65);
}

#[test]
fn no_output_shows_a_key() {
    let mut authority = Authority::new();
    let (certs, south) = (authority.path("certs"), authority.path("south"));
    authority.run(&["issue", "--identity", "shop/cart", "--out", &certs]);
    authority.run(&["intermediate", "--cluster", "south", "--out", &south]);
    authority.run(&["rotate", "start", "-o", "yaml"]);
    authority.run(&["rotate", "status", "-o", "wide"]);
    let key = authority.path("issuer.key");
    let issuer = ["--issuer", "https://issuer.test", "--identity", "shop/cart"];
    let token = run(&[&["identity", "token", "--key", &key][..], &issuer].concat());
    authority.printed += &token.stdout;
    let mut found = Vec::new();
    secrets(authority.folder.path(), &mut found);
    assert_eq!(found.len(), 2 * 7, "two roots, two intermediates, one each for the rest");
    for path in [&certs, &south] {
        // Files that cannot be used are named, and not quoted.
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, &text[..text.len() / 2]).unwrap();
            let path = path.display().to_string();
            let broken = run(&[&["identity", "token", "--key", &path][..], &issuer].concat());
            assert_eq!(broken.code, 65);
            authority.printed += &broken.stderr;
        }
    }
    for secret in found {
        assert!(!authority.printed.contains(&secret), "{}", authority.printed);
    }
}
