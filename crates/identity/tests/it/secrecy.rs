//! No key and no token is shown by anything that is printed.

use std::{fs, sync::Arc};

use identity::{AuthorityDirectory, Credential, Haste, PrivateKeyPem, Token, TokenSigner};

use crate::{
    ambient::Fixture,
    authenticating::{Gate, shown},
    issuing::cart,
};

/// Two pieces of the secret number of a P-256 key: in PKCS#8 it is the bytes 36 to 67. What comes
/// after it is the public half, which certificates show.
fn needles(pem: &str) -> [String; 2] {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    [body[48..64].to_owned(), body[64..80].to_owned()]
}

#[test]
fn debug_hides_keys_and_tokens() {
    let gate = Gate::new();
    let fixture = Fixture::new();
    let authority = fixture.open();
    let issued = authority.issue(&cart()).unwrap();
    let directory = AuthorityDirectory::new(&fixture.settings().directory, fixture.ambient.clone());
    let intermediate = directory.make_intermediate("two", None).unwrap();
    let (signer, signer_key) = TokenSigner::generate().unwrap();
    let Credential::Bearer(token) = gate.token(|_| ()) else { panic!("it is a token") };
    directory.start_rotation().unwrap();
    let status = directory.continue_rotation(Haste::Forced("a test".to_owned())).unwrap();
    let mut secrets: Vec<String> = Vec::new();
    for key in [&issued.key_pem, &intermediate.key_pem, &signer_key] {
        secrets.extend(needles(key.expose()));
    }
    for entry in fs::read_dir(fixture.settings().directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension() == Some("key".as_ref()) {
            secrets.extend(needles(&fs::read_to_string(path).unwrap()));
        }
    }
    assert_eq!(secrets.len(), 2 * (3 + 4));
    secrets.extend(token.expose().split('.').map(|part| part[..10].to_owned()));
    let credential = Credential::Bearer(token.clone());
    let printed = format!(
        "{authority:?} {issued:#?} {intermediate:?} {signer:?} {signer_key:?} {token:?} \
         {credential:?} {:?} {:?} {:?} {status:?} {:?}",
        gate.open(),
        shown(&issued),
        authority.status(),
        (PrivateKeyPem::new("x".to_owned()), Token::new("y".to_owned())),
    );
    for secret in &secrets {
        assert!(!printed.contains(secret.as_str()), "{secret} in\n{printed}");
    }
    assert!(printed.contains("PrivateKeyPem(hidden)") && printed.contains("Token(hidden)"));
}

#[test]
fn the_state_and_errors_hold_no_keys() {
    let fixture = Fixture::new();
    fixture.open();
    let directory = fixture.settings().directory;
    let mut secrets = Vec::new();
    let mut texts = String::new();
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let content = fs::read_to_string(&path).unwrap();
        if path.extension() != Some("key".as_ref()) {
            texts.push_str(&content);
            continue;
        }
        secrets.extend(needles(&content));
        // What is wrong with a key is said without its content.
        fs::write(&path, &content[..content.len() / 2]).unwrap();
        let error = identity::Authority::open_with(
            fixture.settings(),
            Arc::clone(&fixture.ambient) as Arc<dyn identity::Ambient>,
        );
        texts.push_str(&format!("{:?}", error.err()));
        fs::write(&path, &content).unwrap();
    }
    assert_eq!(secrets.len(), 2 * 2);
    assert!(texts.contains("it holds no private key in PEM"), "{texts}");
    for secret in secrets {
        assert!(!texts.contains(&secret), "{texts}");
    }
}
