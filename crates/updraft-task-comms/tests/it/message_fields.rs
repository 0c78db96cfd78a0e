//! Our message types have exactly the fields that task-sdk 1.3 has, with its defaults.
//!
//! The recorded list says for each message which fields there are, of which type, and with
//! which default. Serde tells us the fields of our types; a sample of each message, once
//! with all fields and once with the required ones only, tells that we can read them.

use std::collections::BTreeSet;

use serde::de::{self, DeserializeOwned, Deserializer, Visitor};
use serde_json::{Map, Value, json};
use updraft_task_comms::message::*;

use crate::capture::{load, msgpack};

#[test]
fn every_request_of_every_channel_is_known() {
    let fields = load("message-fields.json");
    let mut requests = 0;
    for channel in [
        "ToSupervisor(task)",
        "ToManager(dag processor)",
        "ToTriggerSupervisor",
    ] {
        for name in fields["unions"][channel].as_array().unwrap() {
            let name = name.as_str().unwrap();
            let body = msgpack(&sample(&fields["models"], name, Fields::All));
            match Request::decode(&body) {
                Ok(Request::Unknown { .. }) => panic!("{name} is unknown"),
                Ok(_) => requests += 1,
                Err(error) => panic!("{name}: {error}"),
            }
        }
    }
    assert_eq!(requests, 55 + 16 + 25);
}

#[test]
fn optional_fields_may_be_missing_and_required_ones_not() {
    let fields = load("message-fields.json");
    for name in fields["unions"]["ToSupervisor(task)"].as_array().unwrap() {
        let name = name.as_str().unwrap();
        let body = sample(&fields["models"], name, Fields::Required);
        if let Err(error) = Request::decode(&msgpack(&body)) {
            panic!("{name}: {error}");
        }
        for (field, kind) in fields["models"][name]["fields"].as_object().unwrap() {
            // Where null is allowed we also take a missing key.
            if is_optional(kind) || kind.as_str().unwrap().contains("null") || kind == "JsonValue" {
                continue;
            }
            let mut broken = body.as_object().unwrap().clone();
            broken.remove(field);
            let result = Request::decode(&msgpack(&Value::Object(broken)));
            assert!(result.is_err(), "{name} without {field}: {result:?}");
        }
    }
}

#[test]
fn every_answer_to_a_task_exists_here() {
    let fields = load("message-fields.json");
    // `CreateHITLDetailPayload` is in the union by mistake of the SDK; it is never sent.
    let not_answers = ["StartupDetails", "CreateHITLDetailPayload"];
    for channel in ["ToTask", "ToDagProcessor", "ToTriggerRunner"] {
        for name in fields["unions"][channel].as_array().unwrap() {
            let name = name.as_str().unwrap();
            let is_ours = RESPONSES.contains(&name) || FIRST_FRAMES.contains(&name);
            assert!(is_ours || not_answers.contains(&name), "{name}");
        }
    }
}

#[test]
fn our_types_have_the_recorded_fields() {
    let fields = load("message-fields.json");
    let mut checked = BTreeSet::new();
    for (name, ours, tagged) in our_fields() {
        let recorded: BTreeSet<&str> = fields["models"][name]["fields"]
            .as_object()
            .unwrap_or_else(|| panic!("{name} is not recorded"))
            .keys()
            .map(String::as_str)
            .filter(|field| *field != "type" || !tagged)
            // The state of an outcome follows from its type.
            .filter(|field| !(*field == "state" && IMPLIED_STATE.contains(&name)))
            .collect();
        assert_eq!(
            ours.iter().copied().collect::<BTreeSet<_>>(),
            recorded,
            "{name}"
        );
        checked.insert(name);
    }
    let nested = [
        "TaskFailedEvent",
        "TaskSkippedEvent",
        "TaskSuccessEvent",
        "TriggerEvent",
    ];
    for name in fields["models"].as_object().unwrap().keys() {
        let is_model = fields["models"][name].is_object();
        let elsewhere = NO_STRUCT.contains(&name.as_str()) || nested.contains(&name.as_str());
        assert!(
            !is_model || elsewhere || checked.contains(name.as_str()),
            "{name} unchecked"
        );
    }
}

/// Variants of [`Response`].
const RESPONSES: [&str; 30] = [
    "AssetEventsResult",
    "AssetResult",
    "AssetStateStoreResult",
    "AssetsByAliasResult",
    "ConnectionResult",
    "DRCount",
    "DagResult",
    "DagRunResult",
    "DagRunStateResult",
    "ErrorResponse",
    "HITLDetailRequestResult",
    "HITLDetailResponseResult",
    "InactiveAssetsResult",
    "OKResponse",
    "PrevSuccessfulDagRunResult",
    "PreviousDagRunResult",
    "PreviousTIResult",
    "SentFDs",
    "TICount",
    "TaskBreadcrumbsResult",
    "TaskRescheduleStartDate",
    "TaskStateStoreResult",
    "TaskStatesResult",
    "TriggerStateSync",
    "VariableKeysResult",
    "VariableResult",
    "XComCountResponse",
    "XComResult",
    "XComSequenceIndexResult",
    "XComSequenceSliceResult",
];

const FIRST_FRAMES: [&str; 3] = ["StartupDetails", "DagFileParseRequest", "StartTriggerer"];

/// Outcomes whose `state` has one possible value.
const IMPLIED_STATE: [&str; 5] = [
    "SucceedTask",
    "RetryTask",
    "DeferTask",
    "RescheduleTask",
    "AwaitInputTask",
];

/// Messages that are variants without a struct of their own, or share another's.
const NO_STRUCT: [&str; 7] = [
    "ConnectionResponse",
    "DagRunResult",
    "OKResponse",
    "ResendLoggingFD",
    "SentFDs",
    "VariableResponse",
    "StartTriggerer",
];

/// Name, fields, and whether `type` is the tag rather than a field.
fn our_fields() -> Vec<(&'static str, &'static [&'static str], bool)> {
    macro_rules! fields {
        ($($message:ident)*) => {
            vec![$((stringify!($message), fields_of::<$message>(), true)),*]
        };
    }
    let mut all = fields![
        AssetAliasReferenceAssetEventDagRun AssetEventDagRunReference AssetEventResponse
        AssetEventsResult AssetReferenceAssetEventDagRun AssetResponse AssetResult
        AssetStateStoreResult AssetsByAliasResult AwaitInputTask BundleInfo
        ClearAssetStateStoreByName ClearAssetStateStoreByUri ClearTaskStateStore ConnectionResult
        CreateHITLDetailPayload DRCount DagCallbackRequest DagFileParseRequest
        DagFileParsingResult DagResult DagRun DagRunAssetReference DagRunContext
        DagRunStateResult DeferTask DeleteAssetStateStoreByName DeleteAssetStateStoreByUri
        DeleteTaskStateStore DeleteVariable DeleteXCom EmailRequest ErrorResponse GetAssetByName
        GetAssetByUri GetAssetEventByAsset GetAssetEventByAssetAlias GetAssetStateStoreByName
        GetAssetStateStoreByUri GetAssetsByAlias GetConnection GetDRCount GetDag GetDagRun
        GetDagRunState GetHITLDetailResponse GetPrevSuccessfulDagRun GetPreviousDagRun
        GetPreviousTI GetTICount GetTaskBreadcrumbs GetTaskRescheduleStartDate GetTaskStateStore
        GetTaskStates GetVariable GetVariableKeys GetXCom GetXComCount GetXComSequenceItem
        GetXComSequenceSlice HITLDetailRequestResult HITLDetailResponseResult HITLUser
        InactiveAssetsResult LazyDeserializedDAG MaskSecret PrevSuccessfulDagRunResult
        PreviousDagRunResult PreviousTIResponse PreviousTIResult PutVariable RescheduleTask
        RetryTask RunTrigger SetAssetStateStoreByName SetAssetStateStoreByUri SetRenderedFields
        SetRenderedMapIndex SetTaskStateStore SetXCom SkipDownstreamTasks StartupDetails
        SucceedTask TICount TIRunContext TaskBreadcrumbsResult TaskCallbackRequest TaskInstance
        TaskInstanceDTO TaskRescheduleStartDate TaskState TaskStateStoreResult TaskStatesResult
        TriggerDagRun TriggerStateChanges TriggerStateSync UpdateHITLDetail
        ValidateInletsAndOutlets VariableKeysResult VariableResult XComCountResponse XComResult
        XComSequenceIndexResult XComSequenceSliceResult
    ];
    all.push(("AssetProfile", fields_of::<AssetProfile>(), false));
    all
}

/// Asks serde for the field names of a struct.
fn fields_of<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut fields: &'static [&'static str] = &[];
    let _refused = T::deserialize(FieldProbe(&mut fields));
    fields
}

struct FieldProbe<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for FieldProbe<'_> {
    type Error = de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("only the names are wanted"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        Err(de::Error::custom("only the names are wanted"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[derive(Clone, Copy)]
enum Fields {
    All,
    Required,
}

/// A message built from its recorded description.
fn sample(models: &Value, name: &str, fields: Fields) -> Value {
    let mut message = Map::new();
    for (field, kind) in models[name]["fields"].as_object().unwrap() {
        if field == "type" || matches!(fields, Fields::Required) && is_optional(kind) {
            continue;
        }
        message.insert(
            field.clone(),
            value_of(models, kind.as_str().unwrap(), fields),
        );
    }
    if models[name]["fields"]
        .get("type")
        .is_some_and(|kind| kind != "string")
    {
        message.insert("type".to_owned(), json!(name));
    } else if models[name]["fields"].get("type").is_some() {
        message.insert("type".to_owned(), json!("Asset"));
    }
    Value::Object(message)
}

fn is_optional(kind: &Value) -> bool {
    kind.as_str().unwrap().contains(" =")
}

/// A value of a recorded type: the first of the alternatives.
fn value_of(models: &Value, kind: &str, fields: Fields) -> Value {
    let kind = kind.split(" =").next().unwrap();
    if let Some(items) = kind.strip_prefix('[') {
        return match items {
            "integer,[string]|null]]|null" => unreachable!("handled by the outer list"),
            _ if kind.starts_with("[[integer,[string]") => json!([[1, ["line"]], [2, null]]),
            _ if kind.starts_with("[string|[string,integer]]") => json!(["a", ["b", -1]]),
            _ => {
                let inner = items.split(']').next().unwrap();
                json!([value_of(models, inner, fields)])
            }
        };
    }
    if let Some(object) = kind.strip_prefix('{') {
        let text_only = object.starts_with("str:string");
        return if text_only {
            json!({"k": "v"})
        } else {
            json!({"k": [1, null, "x"]})
        };
    }
    match kind.split('|').next().unwrap() {
        "string" | "path" => json!("text"),
        "integer" => json!(3),
        "number" => json!(1.5),
        "boolean" => json!(true),
        "uuid" => json!("01993ee0-0000-7000-8000-000000000001"),
        "date-time" => json!({"$msgpack_timestamp": "2025-01-02T03:04:05Z"}),
        "duration" => json!("P1DT1.5S"),
        "any" | "JsonValue" => json!({"k": 1}),
        "TriggerEventEntry" => json!([1, {"payload": {"i": 0}}, null]),
        literal if literal.starts_with('"') => json!(literal.trim_matches('"')),
        model => match &models[model] {
            Value::String(alias) => value_of(models, alias, fields),
            _ => sample(models, model, fields),
        },
    }
}
