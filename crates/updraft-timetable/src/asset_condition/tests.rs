//! Every vector of `testdata/asset_conditions.json`, and what they do not reach.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use updraft_model::asset::AssetKey;

use super::{AssetCondition, AssetMention, ResolvedAssets};
use crate::Error;

const FILE: &str = include_str!("../../testdata/asset_conditions.json");
const VECTORS_COUNT: usize = 56;

fn key(name: &str) -> AssetKey {
    AssetKey {
        name: name.to_owned(),
        uri: format!("s3://{name}"),
    }
}

/// Reads the notation of the vectors: names, `&`, `|`, brackets, `all()` and `any()`.
fn condition(text: &str) -> AssetCondition {
    let text = text.trim();
    for (operator, build) in [
        ('|', AssetCondition::Any as fn(_) -> _),
        ('&', AssetCondition::All as fn(_) -> _),
    ] {
        let members = split_outside_brackets(text, operator);
        if members.len() > 1 {
            return build(members.into_iter().map(condition).collect());
        }
    }
    match text {
        "all()" => AssetCondition::All(vec![]),
        "any()" => AssetCondition::Any(vec![]),
        _ => match text
            .strip_prefix('(')
            .and_then(|rest| rest.strip_suffix(')'))
        {
            Some(inner) => condition(inner),
            None => AssetCondition::Asset(key(text)),
        },
    }
}

fn split_outside_brackets(text: &str, separator: char) -> Vec<&str> {
    let mut depth = 0;
    text.split(|char| {
        depth += match char {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        depth == 0 && char == separator
    })
    .collect()
}

fn updated(names: &[&str]) -> BTreeSet<AssetKey> {
    names.iter().map(|name| key(name)).collect()
}

#[test]
fn every_recorded_condition_is_answered_as_recorded() {
    let file: Value = serde_json::from_str(FILE).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), VECTORS_COUNT);
    for vector in vectors {
        let queued = vector["queued"].as_array().unwrap().iter();
        let queued: Vec<&str> = queued.map(|name| name.as_str().unwrap()).collect();
        let condition = condition(vector["expr"].as_str().unwrap());
        let met = condition.is_met(&updated(&queued), &ResolvedAssets::default());
        assert_eq!(json!(met), vector["expect"], "{vector}");
    }
}

#[test]
fn aliases_and_references_hold_through_what_they_stand_for() {
    let mut resolved = ResolvedAssets::default();
    resolved
        .of_aliases
        .insert("any".to_owned(), vec![key("a"), key("b")]);
    resolved.by_name.insert("a".to_owned(), key("a"));
    resolved.by_uri.insert("s3://b".to_owned(), key("b"));
    let alias = AssetCondition::Alias("any".to_owned());
    let name = AssetCondition::NameRef("a".to_owned());
    let uri = AssetCondition::UriRef("s3://b".to_owned());
    for (names, expected) in [
        (&["a"][..], [true, true, false]),
        (&["b"], [true, false, true]),
        (&["c"], [false, false, false]),
    ] {
        let updated = updated(names);
        let met = [&alias, &name, &uri].map(|each| each.is_met(&updated, &resolved));
        assert_eq!(met, expected, "{names:?}");
    }
    let nothing = ResolvedAssets::default();
    assert!(
        !alias.is_met(&updated(&["a"]), &nothing),
        "an alias nobody used"
    );
    assert!(
        !name.is_met(&updated(&["a"]), &nothing),
        "an asset that is not active"
    );
}

#[test]
fn an_asset_with_the_same_name_and_another_uri_is_another_asset() {
    let other = AssetKey {
        uri: "s3://elsewhere".to_owned(),
        ..key("a")
    };
    let met = condition("a").is_met(&BTreeSet::from([other]), &ResolvedAssets::default());
    assert!(!met);
}

#[test]
fn serialized_expressions_are_read() {
    let serialized = json!({"__type": "asset_all", "objects": [
        {"__type": "asset", "name": "a", "uri": "s3://a", "group": "asset", "extra": {}},
        {"__type": "asset_any", "objects": [
            {"__type": "asset_alias", "name": "al", "group": ""},
            {"__type": "asset_ref", "name": "n"},
            {"__type": "asset_ref", "uri": "u"},
        ]},
    ]});
    let condition = AssetCondition::from_serialized(&serialized).unwrap();
    let a = key("a");
    let expected = [
        AssetMention::Asset(&a),
        AssetMention::Alias("al"),
        AssetMention::NameRef("n"),
        AssetMention::UriRef("u"),
    ];
    assert_eq!(condition.mentions(), expected);
}

#[test]
fn what_is_no_condition_is_refused_with_what_was_found() {
    let deep = (0..100).fold(
        json!({"__type": "asset_any", "objects": []}),
        |inner, _| json!({"__type": "asset_any", "objects": [inner]}),
    );
    for bad in [
        json!(null),
        json!({"__type": "asset"}),
        json!({"__type": "asset_ref"}),
        json!({"__type": "asset_all"}),
        json!({"__type": "asset_xor", "objects": []}),
        deep,
    ] {
        let error = AssetCondition::from_serialized(&bad).unwrap_err();
        assert!(
            matches!(error, Error::NotAnAssetCondition { .. }),
            "{error}"
        );
    }
}
