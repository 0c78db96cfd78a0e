use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::scenario::instant;
use crate::vectors::{check_vectors, expect_eq};

fn key(name: &str) -> AssetKey {
    AssetKey {
        name: name.to_owned(),
        uri: format!("s3://{name}"),
    }
}

/// A Dag that waits for assets, in memory: the rows that the store would keep.
struct Scene {
    condition: AssetCondition,
    max_active_runs: i32,
    catchup: bool,
    is_paused: bool,
    clock: Timestamp,
    scheduled_since: Timestamp,
    events: Vec<(String, i64, Timestamp)>,
    queue: BTreeMap<String, Timestamp>,
    runs: Vec<Timestamp>,
    active_runs: i64,
}

impl Scene {
    /// The condition stands in the recording only as the assets that it names.
    fn of(vector: &Value) -> Self {
        let steps = vector["steps"].as_array().unwrap();
        let is_named = |name: &&str| steps.iter().any(|step| step[1] == json!(name));
        let asset = |name| AssetCondition::Asset(key(name));
        let assets = ["a", "b"].into_iter().filter(is_named).map(asset).collect();
        let start = instant("2026-01-01T00:00:00Z");
        Self {
            condition: match vector["note"].as_str().unwrap() {
                "any" => AssetCondition::Any(assets),
                _ => AssetCondition::All(assets),
            },
            max_active_runs: i32::try_from(vector["max_active_runs"].as_i64().unwrap()).unwrap(),
            catchup: vector["catchup"].as_bool().unwrap(),
            is_paused: false,
            clock: start,
            scheduled_since: start,
            events: vec![],
            queue: BTreeMap::new(),
            runs: vec![],
            active_runs: 0,
        }
    }

    fn play(&mut self, step: &Value) -> Option<Value> {
        self.clock += SignedDuration::from_secs(1);
        match step[0].as_str().unwrap() {
            "emit" => {
                let name = step[1].as_str().unwrap().to_owned();
                let number = step[2].as_i64().unwrap();
                self.events.push((name.clone(), number, self.clock));
                if !self.is_paused {
                    self.queue.entry(name).or_insert(self.clock);
                }
            }
            "pause" => self.is_paused = true,
            "unpause" => self.is_paused = false,
            "finish" => self.active_runs -= 1,
            "tick" => {
                let created: Vec<Value> = self.tick().into_iter().collect();
                let queue: Vec<&String> = self.queue.keys().collect();
                return Some(json!({"created": created, "queue_after": queue}));
            }
            other => panic!("unknown step {other}"),
        }
        None
    }

    fn tick(&mut self) -> Option<Value> {
        let queued: Vec<QueuedAsset> = self
            .queue
            .iter()
            .map(|(name, created_at)| QueuedAsset {
                asset: key(name),
                created_at: *created_at,
            })
            .collect();
        let plan = plan_asset_run(&AssetRunView {
            condition: &self.condition,
            queued: &queued,
            resolved: &ResolvedAssets::default(),
            active_runs: self.active_runs,
            max_active_runs: self.max_active_runs,
        });
        let AssetRunPlan::Create { triggered_date } = plan else {
            return None;
        };
        let earlier = self.runs.iter().filter(|run| **run < triggered_date);
        let previous = earlier.copied().max();
        let floor = event_window_floor(previous, self.catchup, Some(self.scheduled_since));
        let consumed: Vec<Value> = self
            .events
            .iter()
            .filter(|(_, _, at)| floor.is_none_or(|floor| floor < *at) && *at <= triggered_date)
            .map(|(name, number, _)| json!([name, number]))
            .collect();
        self.queue.clear();
        self.runs.push(triggered_date);
        self.active_runs += 1;
        Some(json!({"run_type": "asset_triggered", "logical_date": null, "consumed": consumed}))
    }
}

#[test]
fn assets_make_runs_as_in_airflow() {
    let select = |vector: &Value| vector["group"] == json!("assets");
    check_vectors("dagrun_creation", select, &[], |vector| {
        let mut scene = Scene::of(vector);
        let steps = vector["steps"].as_array().unwrap();
        let ticks: Vec<Value> = steps.iter().filter_map(|step| scene.play(step)).collect();
        expect_eq("ticks", json!(ticks), vector["ticks"].clone())
    });
}

#[test]
fn the_first_run_looks_back_to_when_the_dag_began_to_wait_unless_it_catches_up() {
    let [previous, since] = ["2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"].map(instant);
    for (previous, catchup, expected) in [
        (Some(previous), false, Some(previous)),
        (Some(previous), true, Some(previous)),
        (None, false, Some(since)),
        (None, true, None),
    ] {
        let floor = event_window_floor(previous, catchup, Some(since));
        assert_eq!(floor, expected);
    }
    assert_eq!(event_window_floor(None, false, None), None, "aliases alone");
}

#[test]
fn a_dag_that_is_full_keeps_its_queue() {
    let queued = [QueuedAsset {
        asset: key("a"),
        created_at: instant("2026-01-01T00:00:00Z"),
    }];
    let plan = |active_runs, max_active_runs| {
        plan_asset_run(&AssetRunView {
            condition: &AssetCondition::Asset(key("a")),
            queued: &queued,
            resolved: &ResolvedAssets::default(),
            active_runs,
            max_active_runs,
        })
    };
    let full = AssetRunPlan::Wait(AssetRunWaits::MaxActiveRuns);
    let create = AssetRunPlan::Create {
        triggered_date: queued[0].created_at,
    };
    let plans = [plan(1, 2), plan(2, 2), plan(0, 0), plan(1, 0)];
    assert_eq!(plans, [create, full, create, full]);
}
