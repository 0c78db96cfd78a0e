//! Runs of partitions: keys are mapped, runs wait for all that they roll up, and each comes once.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use updraft_model::dag_run::DagRun;
use updraft_model::filter::Page;
use updraft_runtime::{Clock, Tasks};
use updraft_store::WhichDags;
use updraft_store::listing::EventLogFilter;
use updraft_timetable::{Ask, Judged, Mapped, MapperAnswer, MapperQuestion};

use super::{DAG, Scene, Waits, run};
use crate::custom_mappers::{CustomMappers, NoAnswer};

fn mapper(class: &str, fields: Value) -> Value {
    json!({"__type": format!("airflow.partition_mappers.{class}"), "__var": fields})
}

fn temporal(class: &str, from: &str, to: &str) -> Value {
    let fields = json!({"timezone": "UTC", "input_format": from, "output_format": to});
    mapper(&format!("temporal.{class}"), fields)
}

fn days() -> Value {
    temporal("StartOfDayMapper", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d")
}

fn window(class: &str) -> Value {
    mapper(&format!("window.{class}"), json!({"direction": "forward"}))
}

/// Waits for all days of a month.
fn months_of_days() -> Value {
    mapper(
        "base.RollupMapper",
        json!({
            "upstream_mapper": temporal("StartOfMonthMapper", "%Y-%m-%d", "%Y-%m"),
            "window": window("MonthWindow"),
            "wait_policy": mapper("wait_policy.WaitForAll", json!({})),
        }),
    )
}

/// A week feeds each of its days.
fn days_of_weeks() -> Value {
    mapper(
        "temporal.FanOutMapper",
        json!({
            "upstream_mapper": temporal("StartOfWeekMapper", "%Y-%m-%d", "%Y-%m-%d"),
            "window": window("WeekWindow"),
            "downstream_mapper": temporal("StartOfDayMapper", "%Y-%m-%d", "%Y-%m-%d"),
        }),
    )
}

fn waits(names: &[&'static str], mapper: Value) -> Waits {
    Waits {
        mapper: Some(mapper),
        ..Waits::all(names)
    }
}

fn keys(runs: &[DagRun]) -> Vec<&str> {
    runs.iter()
        .map(|run| run.partition_key.as_deref().unwrap())
        .collect()
}

impl Scene {
    async fn emit_key(&mut self, name: &str, key: &str) {
        self.emit_for(name, Some(key), json!({"n": key})).await;
    }

    /// The texts of audit rows of an event.
    async fn audited(&self, event: &str) -> Vec<String> {
        let filter = EventLogFilter {
            event: Some(event.to_owned()),
            ..EventLogFilter::default()
        };
        let page = Page {
            limit: 100,
            ..Page::default()
        };
        let mut reader = self.store.read().await.unwrap();
        let listed = reader.list_event_logs(&filter, &page).await.unwrap();
        listed
            .rows
            .into_iter()
            .map(|row| row.extra.unwrap_or_default())
            .collect()
    }
}

#[test]
fn each_partition_has_one_run_until_it_is_updated_again() {
    run(async {
        let mut scene = Scene::new(&waits(&["a", "b"], days())).await;
        scene.emit_key("a", "2026-03-01T06:00:00").await;
        scene.emit_key("b", "2026-03-02T06:00:00").await;
        scene.look().await;
        assert!(scene.runs().await.is_empty(), "each day lacks an asset");
        scene.emit_key("a", "2026-03-01T07:00:00").await;
        scene.emit_key("b", "2026-03-01T23:59:59").await;
        scene.look().await;
        scene.look().await;
        let runs = scene.runs().await;
        let [made] = &runs[..] else {
            panic!("{runs:?}");
        };
        assert_eq!(made.partition_key.as_deref(), Some("2026-03-01"));
        let midnight = "2026-03-01T00:00:00Z".parse().unwrap();
        assert_eq!(made.partition_date, Some(midnight));
        assert_eq!(made.run_type.as_str(), "asset_triggered");
        assert_eq!(made.triggered_by.unwrap().as_str(), "asset");
        assert_eq!(made.logical_date, None);
        assert_eq!(
            scene.consumed_by(made).await,
            [
                json!(["a", "2026-03-01T06:00:00"]),
                json!(["a", "2026-03-01T07:00:00"]),
                json!(["b", "2026-03-01T23:59:59"]),
            ]
        );
        for name in ["a", "b"] {
            scene.emit_key(name, "2026-03-01T12:00:00").await;
        }
        scene.look().await;
        assert_eq!(keys(&scene.runs().await), ["2026-03-01", "2026-03-01"]);
    });
}

#[test]
fn a_month_waits_for_all_of_its_days() {
    run(async {
        let mut scene = Scene::new(&waits(&["a"], months_of_days())).await;
        for day in (1..=28).rev().filter(|day| *day != 14) {
            scene.emit_key("a", &format!("2026-02-{day:02}")).await;
        }
        scene.emit_key("a", "2026-03-01").await;
        scene.look().await;
        assert!(scene.runs().await.is_empty());
        scene.emit_key("a", "2026-02-14").await;
        scene.look().await;
        let runs = scene.runs().await;
        assert_eq!(keys(&runs), ["2026-02"]);
        let first = "2026-02-01T00:00:00Z".parse().unwrap();
        assert_eq!(runs[0].partition_date, Some(first));
        assert_eq!(scene.consumed_by(&runs[0]).await.len(), 28);
    });
}

#[test]
fn a_week_feeds_its_days() {
    run(async {
        let mut scene = Scene::new(&waits(&["a"], days_of_weeks())).await;
        scene.emit_key("a", "2026-03-04").await;
        scene.look().await;
        let runs = scene.runs().await;
        let week = [
            "2026-03-02",
            "2026-03-03",
            "2026-03-04",
            "2026-03-05",
            "2026-03-06",
            "2026-03-07",
            "2026-03-08",
        ];
        assert_eq!(keys(&runs), week);
        for run in &runs {
            assert_eq!(scene.consumed_by(run).await, [json!(["a", "2026-03-04"])]);
        }
        scene.scheduler.options.partition_keys_max = 6;
        scene.emit_key("a", "2026-03-11").await;
        scene.look().await;
        assert_eq!(scene.runs().await.len(), 7);
        let told = scene.audited("partition fan-out exceeded").await;
        assert_eq!(told.len(), 1);
        assert!(
            told[0].contains("partition_mapper_max_downstream_keys=6"),
            "{told:?}"
        );
    });
}

#[test]
fn other_mappers_begin_anew() {
    run(async {
        let mut scene = Scene::new(&waits(&["a"], months_of_days())).await;
        scene.emit_key("a", "2026-02-01").await;
        scene.look().await;
        let daily = temporal("StartOfDayMapper", "%Y-%m-%d", "%Y-%m-%d");
        let mut changed = waits(&["a"], daily).parsed(scene.clock);
        changed.dag_hash = "other".to_owned();
        scene.parse(changed).await;
        scene.look().await;
        assert!(
            scene.runs().await.is_empty(),
            "what came for a month is forgotten"
        );
        scene.emit_key("a", "2026-02-02").await;
        scene.look().await;
        assert_eq!(keys(&scene.runs().await), ["2026-02-02"]);
    });
}

#[test]
fn neither_a_pause_nor_max_active_runs_holds_a_partition_back() {
    run(async {
        let mut scene = Scene::new(&Waits {
            max_active_runs: 1,
            ..waits(&["a", "b"], mapper("identity.IdentityMapper", json!({})))
        })
        .await;
        for key in ["eu", "us"] {
            scene.emit_key("a", key).await;
            scene.emit_key("b", key).await;
        }
        scene.set_paused(true).await;
        scene.look().await;
        assert_eq!(keys(&scene.runs().await), ["eu", "us"]);
        scene.emit_key("a", "asia").await;
        scene.set_paused(false).await;
        scene.emit_key("b", "asia").await;
        scene.look().await;
        assert_eq!(
            scene.runs().await.len(),
            2,
            "a paused Dag hears of nothing new"
        );
    });
}

#[test]
fn keys_are_told_apart_by_who_waits_for_them() {
    run(async {
        let mut scene = Scene::new(&waits(&["a"], days())).await;
        scene.emit("a", json!({})).await;
        scene.emit_key("a", "yesterday").await;
        scene.look().await;
        assert!(scene.runs().await.is_empty());
        let missing = scene.audited("missing partition key").await;
        assert!(
            missing[0].contains(&format!("listening_dags=['{DAG}']")),
            "{missing:?}"
        );
        let failed = scene.audited("failed to map partition_key").await;
        assert!(failed[0].contains("time data 'yesterday'"), "{failed:?}");
    });
}

/// Mappers of the user: `my.Halves` wants two keys with the same first character, `my.Hangs` says
/// nothing, any other raises.
fn mappers() -> CustomMappers {
    CustomMappers::by(answer, Tasks::new(), Clock::machine())
}

async fn answer(question: MapperQuestion) -> Result<MapperAnswer, NoAnswer> {
    match question.class_path.as_str() {
        "my.Halves" => {}
        "my.Hangs" => return std::future::pending().await,
        _ => return Err(NoAnswer::Refused("OSError: no disk".to_owned())),
    }
    assert_eq!(question.mapper["__var"], json!({"a": 1}));
    Ok(match question.ask {
        Ask::Map { key, .. } => MapperAnswer::Mapped(Mapped {
            keys: vec![key.chars().take(1).collect()],
            ..Mapped::default()
        }),
        Ask::Judge { source_keys, .. } => MapperAnswer::Judged(Judged {
            is_satisfied: source_keys.len() == 2,
            unreachable: None,
            partition_date: Ok(None),
        }),
    })
}

fn custom(class: &str) -> Value {
    json!({"__type": class, "__var": {"a": 1}})
}

impl Scene {
    /// Looks until nothing is asked any more.
    async fn look_with(&mut self, mappers: &CustomMappers) {
        self.look().await;
        while mappers.is_asking() || !self.changes.is_empty() {
            tokio::task::yield_now().await;
            self.look().await;
        }
    }
}

#[test]
fn a_class_of_the_user_is_asked() {
    run(async {
        let mut scene = Scene::new(&waits(&["a"], custom("my.Halves"))).await;
        let mappers = mappers();
        scene.scheduler.options.custom_mappers = Some(mappers.clone());
        scene.emit_key("a", "x1").await;
        scene.emit_key("a", "y1").await;
        scene.look_with(&mappers).await;
        assert!(scene.runs().await.is_empty());
        scene.emit_key("a", "x2").await;
        scene.look_with(&mappers).await;
        assert_eq!(keys(&scene.runs().await), ["x"]);
        let consumed = scene.consumed_by(&scene.runs().await[0]).await;
        assert_eq!(consumed, [json!(["a", "x1"]), json!(["a", "x2"])]);
    });
}

#[test]
fn a_class_that_raises_or_cannot_be_asked_is_named_in_the_audit_log() {
    run(async {
        let mut scene = Scene::new(&waits(&["a"], custom("my.Raises"))).await;
        scene.emit_key("a", "x0").await;
        scene.look().await;
        let mappers = mappers();
        scene.scheduler.options.custom_mappers = Some(mappers.clone());
        scene.emit_key("a", "x1").await;
        scene.look_with(&mappers).await;
        let failed = scene.audited("failed to map partition_key").await;
        assert!(failed[0].contains("my.Raises"), "{failed:?}");
        assert!(failed[1].ends_with("\nOSError: no disk"), "{failed:?}");
    });
}

#[test]
fn a_class_that_hangs_keeps_its_events_and_holds_nobody_up() {
    run(async {
        let mut scene = Scene::new(&waits(&["a"], custom("my.Hangs"))).await;
        scene.scheduler.options.custom_mappers = Some(mappers());
        for number in 0..60 {
            scene.emit_key("a", &format!("x{number}")).await;
        }
        scene.look().await;
        scene.look().await;
        let mut reader = scene.store.read().await.unwrap();
        let all = (WhichDags::All, BTreeSet::new());
        let waiting = reader.load_unmapped_events(&all.0, &all.1, 100).await;
        assert_eq!(waiting.unwrap().len(), 60);
    });
}
