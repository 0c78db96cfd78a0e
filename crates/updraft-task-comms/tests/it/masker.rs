//! Which texts are secrets, and how they look afterwards.

use updraft_task_comms::json::Json;
use updraft_task_comms::masker::{MaskerConfig, SecretsMasker};

fn masker(secrets: &[&str]) -> SecretsMasker {
    let mut masker = SecretsMasker::new(MaskerConfig::default());
    secrets.iter().for_each(|secret| masker.add(secret));
    masker
}

fn masked_json(masker: &SecretsMasker, json: &str) -> String {
    let mut json = Json::parse(json).unwrap();
    masker.mask_json(&mut json);
    updraft_task_comms::json::JsonText::from(&json).to_string()
}

#[test]
fn the_longest_secret_wins() {
    let masker = masker(&["secret", "secret-and-more"]);
    assert_eq!(masker.mask("a secret-and-more b secret c"), "a *** b *** c");
}

#[test]
fn short_texts_and_the_word_airflow_are_no_secrets() {
    let masker = masker(&["", "abcd", "AirFlow", "éééé", "ééééé"]);
    assert_eq!(
        masker.mask("abcd airflow éééé ééééé"),
        "abcd airflow éééé ***"
    );
}

#[test]
fn secrets_are_text_and_no_patterns() {
    assert_eq!(masker(&["a.b*c+"]).mask("a.b*c+ aXbbc"), "*** aXbbc");
}

#[test]
fn a_secret_is_found_in_escaped_form() {
    let masker = masker(&["line\nbreak\"quote"]);
    assert_eq!(
        masker.mask(r#"{"broken": "line\nbreak\"quote"#),
        r#"{"broken": "***"#
    );
}

#[test]
fn jwts_are_cut_wherever_they_stand() {
    let masker = masker(&[]);
    assert_eq!(
        masker.mask("token eyJhbGci.eyJz-dW_I.sig! eyJ"),
        "token eyJ***! eyJ***"
    );
}

#[test]
fn names_decide_by_their_normal_form() {
    let mut config = MaskerConfig {
        extra_sensitive_names: vec!["pin".to_owned()],
        ..Default::default()
    };
    let masker = SecretsMasker::new(config.clone());
    for name in [
        "password",
        " API-Key ",
        "my.secret.name",
        "X_TOKEN_Y",
        "Access  Key",
        "spin",
    ] {
        assert!(masker.is_sensitive(name), "{name}");
    }
    for name in ["", "pass", "colour", "accesskey"] {
        assert!(!masker.is_sensitive(name), "{name}");
    }
    config.hide_sensitive_fields = false;
    assert!(!SecretsMasker::new(config).is_sensitive("password"));
}

#[test]
fn named_values_are_secrets_only_under_a_sensitive_name() {
    let mut masker = masker(&[]);
    masker.add_named("value-one", "colour");
    masker.add_named("value-two", "db_password");
    let value = Json::parse(
        r#"{"password":["value-3","value-4"],"host":"value-5","deep":{"token":{"x":"value-6"}}}"#,
    );
    masker.add_json(&value.unwrap(), None);
    masker.add_json(&Json::from("value-7"), Some("colour"));
    masker.add_json(&Json::from("value-8"), None);
    let text = "value-one value-two value-3 value-4 value-5 value-6 value-7 value-8";
    assert_eq!(
        masker.mask(text),
        "value-one *** *** *** value-5 value-6 value-7 ***"
    );
}

#[test]
fn text_that_holds_json_is_one_secret() {
    let masker = masker(&[r#"{"k":"inner-value"}"#]);
    assert_eq!(
        masker.mask(r#"inner-value {"k":"inner-value"}"#),
        "inner-value ***"
    );
}

#[test]
fn everything_under_a_sensitive_key_goes() {
    let masker = masker(&["s3cr3t"]);
    assert_eq!(
        masked_json(
            &masker,
            r#"{"a":"s3cr3t x","api_key":{"b":["c",1]},"s3cr3t":null,"l":["s3cr3t"]}"#
        ),
        r#"{"a":"*** x","api_key":{"b":["***",1]},"***":null,"l":["***"]}"#
    );
}

#[test]
fn a_line_is_cut_before_a_secret_that_may_have_begun() {
    let masker = masker(&["abcab", "abcabxyz"]);
    assert_eq!(masker.safe_cut("no secret"), 9);
    assert_eq!(masker.safe_cut("a start: abc"), 9);
    // The whole of one secret is the start of another.
    assert_eq!(masker.safe_cut("abcab"), 0);
    assert_eq!(masker.safe_cut("abcabxyz"), 8);
}
