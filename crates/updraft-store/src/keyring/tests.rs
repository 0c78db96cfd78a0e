use super::Keyring;
use crate::Error;

const OLD: &str = "Nk2LrRmoT9bPzQ6cQbzYx1Jm1l8cVdX0sXbqgG5l6cE=";
const NEW: &str = "UGd2VjQ1a0F5cTd0V2JkR3hYcE5oTHoyU3JKc0NmRTg=";

fn what() -> String {
    "variable `x`".to_owned()
}

#[test]
fn rotation_encrypts_with_the_first_key_and_decrypts_with_all() {
    let old = Keyring::parse(OLD).unwrap();
    let rotating = Keyring::parse(&format!("{NEW}, {OLD}")).unwrap();
    let new = Keyring::parse(NEW).unwrap();
    let sealed = old.seal("s3cret");
    assert_ne!(sealed, "s3cret");
    assert_eq!(rotating.open(&sealed, what).unwrap(), "s3cret");
    let resealed = rotating.seal("s3cret");
    assert_eq!(new.open(&resealed, what).unwrap(), "s3cret");
    let error = new.open(&sealed, what).unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to decrypt variable `x`: none of the configured fernet keys fits"
    );
}

#[test]
fn a_wrong_key_is_told_by_its_place_and_not_shown() {
    let error = Keyring::parse(&format!("{OLD},hunter2")).unwrap_err();
    assert!(matches!(error, Error::FernetKey { position: 2 }));
    assert!(!error.to_string().contains("hunter2"));
    assert!(!format!("{:?}", Keyring::parse(OLD).unwrap()).contains(OLD));
}

#[test]
fn without_a_key_nothing_is_encrypted() {
    let none = Keyring::parse("").unwrap();
    assert!(!none.encrypts());
    assert_eq!(none.seal("plain"), "plain");
}
