//! Every vector of `testdata/partition_mappers.json`, and what they do not reach.

use serde_json::{Value, json};

use super::{MappingError, PartitionMapper, PartitionMappers, WaitPolicy};
use crate::{AssetCondition, Error};

const FILE: &str = include_str!("../../testdata/partition_mappers.json");
const VECTORS_COUNT: usize = 181;

#[test]
fn every_recorded_answer_is_given() {
    let file: Value = serde_json::from_str(FILE).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), VECTORS_COUNT);
    let surprises: Vec<String> = vectors
        .iter()
        .filter(|vector| answer(vector) != vector["expect"])
        .map(|vector| format!("{vector}\n  answered {}", answer(vector)))
        .collect();
    assert!(
        surprises.is_empty(),
        "{} surprises:\n{}",
        surprises.len(),
        surprises.join("\n")
    );
}

/// What we say to a vector, in the form of its `expect`.
fn answer(vector: &Value) -> Value {
    if vector["op"] == "wait_policy" {
        return wait_policy(vector);
    }
    let mapper = match PartitionMapper::from_serialized(&vector["mapper"]) {
        Ok(mapper) => mapper,
        Err(error) => panic!("{vector}: {error}"),
    };
    let key = vector["key"].as_str().unwrap();
    let answer = match vector["op"].as_str().unwrap() {
        "to_downstream" => mapper.to_downstream(key).map(|keys| {
            let is_list = vector["expect"]["keys"].is_array();
            match &keys[..] {
                [only] if !is_list => json!({"keys": only}),
                keys => json!({"keys": keys}),
            }
        }),
        "to_upstream" => mapper
            .requirement(key)
            .map(|requirement| json!({"keys": requirement.unwrap().expected})),
        "to_partition_date" => mapper
            .to_partition_date(key)
            .map(|date| json!({"partition_date": date.map(|date| date.to_string())})),
        other => panic!("unknown operation {other}"),
    };
    answer.unwrap_or_else(|error| match error {
        MappingError::Value(_) => json!({"error": "ValueError"}),
        MappingError::Type(_) => json!({"error": "TypeError"}),
        MappingError::NeedsPython { .. } => json!({"error": "NeedsPython"}),
    })
}

fn wait_policy(vector: &Value) -> Value {
    let policy = match vector["policy"][0].as_str().unwrap() {
        "WaitForAll" => WaitPolicy::All,
        "MinimumCount" => WaitPolicy::MinimumCount(vector["policy"][1].as_i64().unwrap()),
        other => panic!("unknown policy {other}"),
    };
    let count = |key: &str| usize::try_from(vector[key].as_u64().unwrap()).unwrap();
    let (matched, expected) = (count("matched"), count("expected"));
    let satisfied = policy.is_satisfied_by(matched, expected);
    let unreachable = policy.is_unreachable(expected);
    json!({"satisfied": satisfied, "unreachable": unreachable})
}

fn mapper(class: &str, data: Value) -> Value {
    json!({"__type": format!("airflow.partition_mappers.{class}"), "__var": data})
}

fn daily_rollup(wait_policy: Value) -> Value {
    let start_of_day = json!({
        "timezone": "UTC", "input_format": "%Y-%m-%dT%H", "output_format": "%Y-%m-%d",
    });
    let data = json!({
        "upstream_mapper": mapper("temporal.StartOfDayMapper", start_of_day),
        "window": mapper("window.DayWindow", json!({"direction": "forward"})),
        "wait_policy": wait_policy,
    });
    mapper("base.RollupMapper", data)
}

#[test]
fn keys_that_nobody_expects_do_not_help_a_rollup() {
    let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
    let expected = keys(&["a", "b"]);
    let two = WaitPolicy::MinimumCount(2);
    assert!(!two.is_satisfied(&keys(&["a", "x", "y"]), &expected));
    assert!(two.is_satisfied(&keys(&["a", "b", "x"]), &expected));
    assert!(WaitPolicy::All.is_satisfied(&keys(&["a", "b", "x"]), &expected));
    assert!(!WaitPolicy::All.is_satisfied(&keys(&["a", "x"]), &expected));
}

#[test]
fn what_does_not_fit_together_is_refused_when_it_is_read() {
    let segments = mapper("window.SegmentWindow", json!({"segments": ["a"]}));
    let minimum = mapper("wait_policy.MinimumCount", json!({"n": 0}));
    let mut crossed = daily_rollup(mapper("wait_policy.WaitForAll", json!({})));
    crossed["__var"]["window"] = segments;
    let identity = mapper("identity.IdentityMapper", json!({}));
    let deep = (0..20).fold(identity.clone(), |inner, _| {
        mapper("chain.ChainMapper", json!({"mappers": [inner, identity]}))
    });
    for bad in [
        json!("identity"),
        crossed,
        daily_rollup(minimum),
        mapper("chain.ChainMapper", json!({"mappers": [identity]})),
        mapper("fixed_key.FixedKeyMapper", json!({})),
        mapper(
            "temporal.StartOfDayMapper",
            json!({"timezone": "Europe/Atlantis"}),
        ),
        deep,
    ] {
        let error = PartitionMapper::from_serialized(&bad).unwrap_err();
        assert!(matches!(error, Error::InvalidMapper { .. }), "{error}");
    }
}

#[test]
fn a_class_of_the_user_is_left_to_python_wherever_it_stands() {
    let own = json!({"__type": "my.Own", "__var": {"max_downstream_keys": "theirs"}});
    let identity = mapper("identity.IdentityMapper", json!({}));
    let chain = mapper("chain.ChainMapper", json!({"mappers": [identity, own]}));
    let waits = daily_rollup(json!({"__type": "my.Patience", "__var": {}}));
    let mut windowed = daily_rollup(mapper("wait_policy.WaitForAll", json!({})));
    windowed["__var"]["window"] = json!({"__type": "my.Moon", "__var": {}});
    let needs = |mapper: &Value, ask: fn(&PartitionMapper) -> Option<MappingError>| match ask(
        &PartitionMapper::from_serialized(mapper).unwrap(),
    ) {
        Some(MappingError::NeedsPython { class_path }) => class_path,
        other => panic!("{mapper}: {other:?}"),
    };
    assert_eq!(
        needs(&own, |mapper| mapper.to_downstream("k").err()),
        "my.Own"
    );
    assert_eq!(
        needs(&chain, |mapper| mapper.to_downstream("k").err()),
        "my.Own"
    );
    assert_eq!(
        needs(&chain, |mapper| mapper.to_partition_date("k").err()),
        "my.Own"
    );
    assert_eq!(
        needs(&own, |mapper| mapper.requirement("k").err()),
        "my.Own"
    );
    let of_day = |mapper: &PartitionMapper| mapper.requirement("2026-01-01").err();
    assert_eq!(needs(&waits, of_day), "my.Patience");
    assert_eq!(needs(&windowed, of_day), "my.Moon");
}

#[test]
fn an_asset_has_its_own_mapper_or_the_default() {
    let asset =
        |name: &str| json!({"__type": "asset", "name": name, "uri": format!("s3://{name}")});
    let fixed = |key: &str| mapper("fixed_key.FixedKeyMapper", json!({"downstream_key": key}));
    let both = json!({"__type": "asset_any", "objects": [asset("a"), asset("b")]});
    let by_uri = json!({"__type": "asset_ref", "uri": "s3://c"});
    let config = [(both, fixed("of a and b")), (by_uri.clone(), fixed("of c"))];
    let mappers = PartitionMappers::from_serialized(&fixed("default"), &config).unwrap();
    let to = |name: &str, uri: &str| mappers.of_asset(name, uri).to_downstream("k").unwrap();
    assert_eq!(to("a", "s3://a"), ["of a and b"]);
    assert_eq!(to("b", ""), ["of a and b"]);
    assert_eq!(to("", "s3://c"), ["of c"]);
    assert_eq!(
        to("c", "s3://c"),
        ["default"],
        "the name comes first, and has none"
    );

    let all = json!({"__type": "asset_all", "objects": [asset("a"), asset("d"), by_uri]});
    let condition = AssetCondition::from_serialized(&all).unwrap();
    let expected = json!({
        "a|s3://a": fixed("of a and b"), "d|s3://d": fixed("default"), "|s3://c": fixed("of c"),
    });
    assert_eq!(mappers.fingerprint(&condition), expected);
}

#[test]
fn mappers_that_disagree_about_a_date_give_none() {
    let start_of_day = |zone: &str| {
        let data =
            json!({"timezone": zone, "input_format": "%Y-%m-%d", "output_format": "%Y-%m-%d"});
        mapper("temporal.StartOfDayMapper", data)
    };
    let asset = |name: &str| json!({"__type": "asset", "name": name, "uri": name});
    let date = |zone: &str| {
        let config = [
            (asset("a"), start_of_day("UTC")),
            (asset("b"), start_of_day(zone)),
        ];
        let identity = mapper("identity.IdentityMapper", json!({}));
        let mappers = PartitionMappers::from_serialized(&identity, &config).unwrap();
        let all = json!({"__type": "asset_all", "objects": [asset("a"), asset("b"), asset("c")]});
        let condition = AssetCondition::from_serialized(&all).unwrap();
        mappers.partition_date(&condition, "2026-01-05").unwrap()
    };
    let midnight = "2026-01-05T00:00:00Z".parse().unwrap();
    assert_eq!(date("Europe/London"), Some(midnight));
    assert_eq!(date("Europe/Paris"), None);
}
