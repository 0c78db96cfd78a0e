//! Runs that updates of assets make due: the recorded cases of Airflow, and what they do not reach.

use serde_json::{Value, json};
use updraft_model::dag_run::DagRun;
use updraft_model::{DagRunState, DagRunType};

use super::{Scene, Waits, run};

const VECTORS: &str = include_str!("../../../../updraft-planning/testdata/dagrun_creation.json");

#[test]
fn recorded_updates_make_the_recorded_runs() {
    let file: Value = serde_json::from_str(VECTORS).unwrap();
    let is_of_assets = |vector: &&Value| vector["group"] == "assets";
    let vectors: Vec<&Value> = file["vectors"]
        .as_array()
        .unwrap()
        .iter()
        .filter(is_of_assets)
        .collect();
    assert_eq!(vectors.len(), 6);
    for vector in vectors {
        run(replay(vector));
    }
}

async fn replay(vector: &Value) {
    let steps = vector["steps"].as_array().unwrap();
    let is_named = |name: &&str| steps.iter().any(|step| step[1] == json!(name));
    let names: Vec<&str> = ["a", "b"].into_iter().filter(is_named).collect();
    let mut scene = Scene::new(&Waits {
        condition: if vector["note"] == "any" {
            "asset_any"
        } else {
            "asset_all"
        },
        max_active_runs: i32::try_from(vector["max_active_runs"].as_i64().unwrap()).unwrap(),
        catchup: vector["catchup"].as_bool().unwrap(),
        ..Waits::all(&names)
    })
    .await;
    let mut ticks = vec![];
    for step in steps {
        match step[0].as_str().unwrap() {
            "emit" => {
                scene
                    .emit(step[1].as_str().unwrap(), json!({"n": step[2]}))
                    .await
            }
            "pause" => scene.set_paused(true).await,
            "unpause" => scene.set_paused(false).await,
            "finish" => scene.finish().await,
            "tick" => ticks.push(scene.tick().await),
            other => panic!("unknown step {other}"),
        }
    }
    assert_eq!(json!(ticks), vector["ticks"], "{}", vector["note"]);
}

#[test]
fn a_run_of_assets_says_where_it_comes_from() {
    run(async {
        let mut scene = Scene::new(&Waits::all(&["a"])).await;
        scene.emit("a", json!({})).await;
        let emitted = scene.clock;
        scene.look().await;
        let runs = scene.runs().await;
        let [made] = &runs[..] else {
            panic!("{runs:?}");
        };
        assert_eq!(made.run_type, DagRunType::AssetTriggered);
        assert_eq!(made.state, DagRunState::Queued);
        assert_eq!(made.triggered_by.unwrap().as_str(), "asset");
        assert_eq!(made.run_after, emitted);
        assert_eq!((made.logical_date, made.data_interval_start), (None, None));
        let prefix = "asset_triggered__2026-01-05T00:00:01+00:00_";
        let random = made.run_id.as_str().strip_prefix(prefix).unwrap();
        assert_eq!(random.len(), 8);
        assert!(random.chars().all(|char| char.is_ascii_alphanumeric()));
    });
}

#[test]
fn assets_come_before_the_clock() {
    run(async {
        let mut scene = Scene::new(&Waits {
            or_time: true,
            ..Waits::all(&["a"])
        })
        .await;
        scene.emit("a", json!({})).await;
        scene.look().await;
        let types = |runs: &[DagRun]| runs.iter().map(|run| run.run_type).collect::<Vec<_>>();
        assert_eq!(types(&scene.runs().await), [DagRunType::AssetTriggered]);
        scene.look().await;
        let both = [DagRunType::AssetTriggered, DagRunType::Scheduled];
        assert_eq!(
            types(&scene.runs().await),
            both,
            "the clock's run comes one round later"
        );
    });
}

#[test]
fn a_dag_that_waits_for_assets_no_more_forgets_them() {
    run(async {
        let mut scene = Scene::new(&Waits::all(&["a", "b"])).await;
        scene.emit("a", json!({})).await;
        let mut changed = Waits::all(&["a", "b"]).parsed(scene.clock);
        changed.data = changed
            .data
            .replace("AssetTriggeredTimetable", "NullTimetable");
        changed.dag_hash = "other".to_owned();
        scene.parse(changed).await;
        assert_eq!(scene.queue().await, ["a"]);
        scene.look().await;
        assert!(scene.queue().await.is_empty());
        assert!(scene.runs().await.is_empty());
    });
}

#[test]
fn without_job_schedule_updates_only_queue() {
    run(async {
        let mut scene = Scene::new(&Waits::all(&["a"])).await;
        scene.scheduler.options.use_job_schedule = false;
        scene.emit("a", json!({})).await;
        scene.look().await;
        assert!(scene.runs().await.is_empty());
        assert_eq!(scene.queue().await, ["a"]);
    });
}
