//! Backfills from the wish to the last run.

use jiff::tz::Offset;
use serde_json::{Map, Value, json};
use updraft_execution::{
    BackfillError, BackfillRules, BackfillWish, DateFinder, Filler, Progress, create_backfill,
    preview_backfill,
};
use updraft_model::backfill::{Backfill, BackfillOutcome, BackfillTick, ReprocessBehavior};
use updraft_model::{DagRunState, DagRunTriggeredBy, DagRunType, TaskInstanceState as S};
use updraft_planning::backfill::{BackfillOrder, BackfillRequest, WrittenDate};
use updraft_runtime::Tasks;

use crate::scene::{NOW, Scene, at, daily};

fn wish(from: &str, to: &str) -> BackfillWish {
    let date = |day: &str| WrittenDate {
        at: at(&format!("{day}T00:00:00Z")),
        offset: Offset::UTC,
    };
    BackfillWish {
        dag_id: "etl".into(),
        request: BackfillRequest {
            from_date: date(from),
            to_date: date(to),
            order: BackfillOrder::OldestFirst,
            reprocess: ReprocessBehavior::None,
        },
        conf: None,
        max_active_runs: 10,
        run_on_latest_version: None,
        triggering_user_name: Some("ann".to_owned()),
    }
}

fn dates(tasks: &Tasks) -> DateFinder<'_> {
    DateFinder {
        tasks,
        python: None,
    }
}

impl Scene {
    async fn create(&self, wish: &BackfillWish) -> Result<Backfill, BackfillError> {
        let rules = BackfillRules {
            run: self.rules.clone(),
            rerun_with_latest_version: None,
        };
        create_backfill(&self.store, &dates(&Tasks::new()), wish, &rules, at(NOW)).await
    }

    async fn preview(&self, wish: &BackfillWish) -> Result<Vec<BackfillTick>, BackfillError> {
        preview_backfill(&self.store, &dates(&Tasks::new()), wish, at(NOW)).await
    }

    fn filler(&self) -> Filler<'_> {
        Filler {
            store: &self.store,
            rules: &self.rules,
            ids: &self.ids,
        }
    }

    async fn fill(&self, backfill: &Backfill) {
        self.filler().fill(backfill.id, || at(NOW)).await.unwrap();
    }

    /// What became of the entries: `1 2026-01-01 run` or a reason.
    async fn outcomes(&self, backfill: &Backfill) -> Vec<String> {
        let mut reader = self.store.read().await.unwrap();
        let outcomes = reader.load_backfill_outcomes(backfill.id).await.unwrap();
        let shown = outcomes.into_iter().map(|(entry, outcome)| {
            let date = entry.tick.logical_date().or(entry.tick.partition_date);
            let date = date.unwrap().to_string();
            let outcome = match outcome {
                BackfillOutcome::Pending => "pending".to_owned(),
                BackfillOutcome::Run(Some(_)) => "run".to_owned(),
                BackfillOutcome::Run(None) => "deleted".to_owned(),
                BackfillOutcome::Skipped(reason) => reason,
            };
            format!("{} {} {outcome}", entry.sort_ordinal, &date[..10])
        });
        shown.collect()
    }
}

#[tokio::test]
async fn new_dates_get_queued_runs_of_type_backfill() {
    let scene = Scene::new().await;
    let version = scene.parse(&daily("etl", "a >> b"), None).await;
    let wanted = BackfillWish {
        conf: json!({"k": 1}).as_object().cloned(),
        ..wish("2026-01-01", "2026-01-03")
    };
    let seen = scene.preview(&wanted).await.unwrap();
    assert_eq!(seen.len(), 3);
    let backfill = scene.create(&wanted).await.unwrap();
    assert_eq!(
        (
            backfill.run_on_latest_version,
            backfill.triggering_user_name.as_deref()
        ),
        (true, Some("ann"))
    );
    assert_eq!(scene.runs("etl").await, []);
    scene.fill(&backfill).await;
    assert_eq!(
        scene.outcomes(&backfill).await,
        ["1 2026-01-01 run", "2 2026-01-02 run", "3 2026-01-03 run"]
    );
    let runs = scene.runs("etl").await;
    assert_eq!(runs.len(), 3);
    let first = &runs[0];
    assert_eq!(first.run_id.as_str(), "backfill__2026-01-01T00:00:00+00:00");
    assert_eq!(
        (first.run_type, first.triggered_by, first.state),
        (
            DagRunType::Backfill,
            Some(DagRunTriggeredBy::Backfill),
            DagRunState::Queued
        )
    );
    assert_eq!(
        (first.start_date, first.queued_at, first.backfill_id),
        (None, Some(at(NOW)), Some(backfill.id))
    );
    assert_eq!(first.conf, json!({"k": 1}));
    assert_eq!(first.triggering_user_name.as_deref(), Some("ann"));
    assert_eq!(first.created_dag_version_id, Some(version));
    let key = Scene::key("etl", &first.run_id);
    assert_eq!(scene.states(&key).await, ["a no_status", "b no_status"]);

    let second = scene.create(&wanted).await.unwrap_err();
    assert_eq!(
        second.to_string(),
        "Another backfill is running for Dag etl. There can be only one running backfill per Dag."
    );
}

#[tokio::test]
async fn existing_runs_are_left_alone_or_done_again_as_asked() {
    for (reprocess, expected, made) in [
        (
            ReprocessBehavior::None,
            [
                "already exists",
                "already exists",
                "in flight",
                "in flight",
                "run",
            ],
            1,
        ),
        (
            ReprocessBehavior::Failed,
            ["already exists", "run", "in flight", "in flight", "run"],
            2,
        ),
        (
            ReprocessBehavior::Completed,
            ["run", "run", "in flight", "in flight", "run"],
            3,
        ),
    ] {
        let scene = Scene::new().await;
        scene.parse(&daily("etl", "a >> b"), None).await;
        let states = [
            DagRunState::Success,
            DagRunState::Failed,
            DagRunState::Running,
            DagRunState::Queued,
        ];
        for (day, state) in (1..).zip(states) {
            let date = format!("2026-01-0{day}T00:00:00Z");
            let key = scene.run("etl", &format!("old{day}"), Some(&date)).await;
            if state != DagRunState::Queued {
                scene.set_run_state(&key, state).await;
            }
            if state.is_finished() {
                scene.set_states(&key, None, S::Success).await;
            }
        }
        let mut wanted = wish("2026-01-01", "2026-01-05");
        wanted.request.reprocess = reprocess;
        assert_eq!(scene.preview(&wanted).await.unwrap().len(), made);
        let backfill = scene.create(&wanted).await.unwrap();
        scene.fill(&backfill).await;
        let outcomes = scene.outcomes(&backfill).await;
        let ends: Vec<&str> = outcomes.iter().map(|line| &line[13..]).collect();
        assert_eq!(ends, expected, "{reprocess}");
        let key = Scene::key("etl", &"old2".into());
        let again = scene.find_run(&key).await;
        if reprocess == ReprocessBehavior::None {
            assert_eq!(again.state, DagRunState::Failed);
            continue;
        }
        assert_eq!(
            (again.state, again.run_type, again.backfill_id),
            (DagRunState::Queued, DagRunType::Backfill, Some(backfill.id))
        );
        assert_eq!(
            (again.clear_number, &again.conf),
            (1, &json!({"old": true}))
        );
        assert_eq!(scene.states(&key).await, ["a no_status", "b no_status"]);
    }
}

#[tokio::test]
async fn a_run_that_is_done_again_gets_the_tasks_of_the_newest_version() {
    let scene = Scene::new().await;
    scene.parse(&daily("etl", "a >> b"), Some("v1")).await;
    let key = scene.run("etl", "old", Some("2026-01-01T00:00:00Z")).await;
    scene.set_run_state(&key, DagRunState::Failed).await;
    scene.set_states(&key, None, S::Failed).await;
    let newest = scene.parse(&daily("etl", "a >> c"), Some("v2")).await;
    let mut wanted = BackfillWish {
        conf: json!({"new": true}).as_object().cloned(),
        ..wish("2026-01-01", "2026-01-01")
    };
    wanted.request.reprocess = ReprocessBehavior::Failed;
    let backfill = scene.create(&wanted).await.unwrap();
    scene.fill(&backfill).await;
    assert_eq!(
        scene.states(&key).await,
        ["a no_status", "b removed", "c no_status"]
    );
    let run = scene.find_run(&key).await;
    assert_eq!(
        (run.created_dag_version_id, run.bundle_version.as_deref()),
        (Some(newest), Some("v2"))
    );
    assert_eq!(run.conf, json!({"new": true}));
}

#[tokio::test]
async fn a_backfill_may_keep_runs_at_their_version() {
    let scene = Scene::new().await;
    let old = scene.parse(&daily("etl", "a >> b"), Some("v1")).await;
    let key = scene.run("etl", "old", Some("2026-01-01T00:00:00Z")).await;
    scene.set_run_state(&key, DagRunState::Failed).await;
    scene.set_states(&key, None, S::Failed).await;
    scene.parse(&daily("etl", "a >> c"), Some("v2")).await;
    let mut wanted = BackfillWish {
        run_on_latest_version: Some(false),
        ..wish("2026-01-01", "2026-01-01")
    };
    wanted.request.reprocess = ReprocessBehavior::Failed;
    let backfill = scene.create(&wanted).await.unwrap();
    scene.fill(&backfill).await;
    assert_eq!(scene.states(&key).await, ["a no_status", "b no_status"]);
    let run = scene.find_run(&key).await;
    assert_eq!(run.created_dag_version_id, Some(old));
    assert_eq!(run.bundle_version.as_deref(), Some("v1"));
}

#[tokio::test]
async fn two_thousand_dates_are_filled_in_small_steps_that_anybody_may_take() {
    let scene = Scene::new().await;
    let tasks: Vec<String> = (0..10).map(|number| format!("t{number}")).collect();
    scene.parse(&daily("etl", &tasks.join(" >> ")), None).await;
    let mut wanted = wish("2020-09-09", "2026-02-28");
    wanted.request.order = BackfillOrder::NewestFirst;
    let backfill = scene.create(&wanted).await.unwrap();
    let filler = scene.filler();
    assert_eq!(
        filler.step(backfill.id, at(NOW)).await.unwrap(),
        Progress::More
    );
    let begun = scene.runs("etl").await.len();
    assert_eq!(begun, 200, "2,000 task instances in a step");
    // Two may work at it at once, and a third finds nothing left.
    let (one, other) = tokio::join!(
        filler.fill(backfill.id, || at(NOW)),
        filler.fill(backfill.id, || at(NOW))
    );
    one.unwrap();
    other.unwrap();
    assert_eq!(
        filler.step(backfill.id, at(NOW)).await.unwrap(),
        Progress::Done
    );
    let outcomes = scene.outcomes(&backfill).await;
    assert_eq!(outcomes.len(), 1_999);
    assert!(outcomes.iter().all(|line| line.ends_with(" run")));
    assert_eq!(outcomes[0], "1 2026-02-28 run");
    let runs = scene.runs("etl").await;
    assert_eq!(runs.len(), 1_999);
    // Created in the order of the backfill: the newest first.
    let mut by_id = runs.clone();
    by_id.sort_by_key(|run| run.id);
    let newest_first = by_id
        .windows(2)
        .all(|pair| pair[0].logical_date > pair[1].logical_date);
    assert!(newest_first);
}

#[tokio::test]
async fn a_cancelled_backfill_makes_no_more_runs() {
    let scene = Scene::new().await;
    scene.parse(&daily("etl", "a"), None).await;
    let backfill = scene
        .create(&wish("2026-01-01", "2026-01-09"))
        .await
        .unwrap();
    let mut tx = scene.store.write().await.unwrap();
    assert!(
        tx.cancel_backfill(backfill.id, "unknown", at(NOW))
            .await
            .unwrap()
    );
    tx.commit().await.unwrap();
    scene.fill(&backfill).await;
    assert_eq!(scene.runs("etl").await, []);
    assert!(scene.outcomes(&backfill).await[8].ends_with("unknown"));
}

#[tokio::test]
async fn refusals_name_what_is_wrong() {
    let scene = Scene::new().await;
    let mut data = daily("etl", "a");
    data["dag"]["params"] = json!([["limit", {
        "__class": "airflow.sdk.definitions.param.Param", "default": 1,
        "description": null, "source": null,
        "schema": {"__type": "dict", "__var": {"type": "integer"}},
    }]]);
    scene.parse(&data, None).await;
    let conf = |limit: Value| Some(Map::from_iter([("limit".to_owned(), limit)]));
    let bad_conf = BackfillWish {
        conf: conf(json!("many")),
        ..wish("2026-01-01", "2026-01-02")
    };
    let unknown = BackfillWish {
        dag_id: "nothing".into(),
        ..wish("2026-01-01", "2026-01-02")
    };
    for (wanted, expected) in [
        (unknown, "Could not find dag nothing"),
        (
            bad_conf,
            "Invalid input for param limit: 'many' is not of type 'integer'",
        ),
        (
            wish("2026-03-01", "2026-02-27"),
            "from_date (2026-03-01T00:00:00+00:00) must not be after to_date",
        ),
        (
            wish("2026-04-01", "2026-04-02"),
            "Backfill cannot be executed for future dates.",
        ),
    ] {
        let refused = scene.create(&wanted).await.unwrap_err().to_string();
        assert!(refused.starts_with(expected), "{refused}");
        let refused = scene.preview(&wanted).await.unwrap_err().to_string();
        assert!(refused.starts_with(expected), "{refused}");
    }
    let mut between = wish("2026-01-01", "2026-01-01");
    between.request.from_date.at = at("2026-01-01T01:00:00Z");
    between.request.to_date.at = at("2026-01-01T02:00:00Z");
    assert_eq!(
        scene.create(&between).await.unwrap_err().to_string(),
        "No runs to create for Dag etl in the range [2026-01-01 01:00:00+00:00, 2026-01-01 \
         02:00:00+00:00]"
    );
    assert_eq!(scene.preview(&between).await.unwrap(), []);
    let minutes = BackfillWish {
        dag_id: "minutes".into(),
        ..wish("2020-01-01", "2026-01-01")
    };
    let mut data = daily("minutes", "a");
    data["dag"]["timetable"]["__var"]["expression"] = json!("* * * * *");
    scene.parse(&data, None).await;
    let refused = scene.create(&minutes).await.unwrap_err();
    assert!(matches!(refused, BackfillError::TooMany), "{refused}");
}

#[tokio::test]
async fn partitions_are_filled_by_their_dates_and_done_again_beside_the_old_runs() {
    let scene = Scene::new().await;
    let mut data = daily("etl", "a");
    data["dag"]["timetable"] = json!({
        "__type": "airflow.timetables.trigger.CronPartitionTimetable",
        "__var": {
            "expression": "0 0 * * *", "timezone": "Europe/Berlin", "run_immediately": false,
            "run_offset": 0, "key_format": "%Y-%m-%d",
        },
    });
    scene.parse(&data, None).await;
    let mut wanted = wish("2026-01-01", "2026-01-02");
    let backfill = scene.create(&wanted).await.unwrap();
    scene.fill(&backfill).await;
    // Midnights of the timetable's zone.
    assert_eq!(
        scene.outcomes(&backfill).await,
        ["1 2025-12-31 run", "2 2026-01-01 run"]
    );
    let runs = scene.runs("etl").await;
    let first = &runs[0];
    assert!(
        first
            .run_id
            .as_str()
            .starts_with("backfill__2025-12-31T23:00:00+00:00__2026-01-01__"),
        "{}",
        first.run_id
    );
    assert_eq!(
        (
            first.partition_key.as_deref(),
            first.partition_date,
            first.logical_date
        ),
        (Some("2026-01-01"), Some(at("2025-12-31T23:00:00Z")), None)
    );
    for run in &runs {
        let key = Scene::key("etl", &run.run_id);
        scene.set_run_state(&key, DagRunState::Success).await;
    }
    let mut tx = scene.store.write().await.unwrap();
    assert_eq!(tx.complete_backfills(at(NOW)).await.unwrap(), [backfill.id]);
    tx.commit().await.unwrap();
    wanted.request.reprocess = ReprocessBehavior::Completed;
    let again = scene.create(&wanted).await.unwrap();
    scene.fill(&again).await;
    assert_eq!(
        scene.outcomes(&again).await,
        ["1 2025-12-31 run", "2 2026-01-01 run"]
    );
    assert_eq!(scene.runs("etl").await.len(), 4, "two beside the old ones");
}
