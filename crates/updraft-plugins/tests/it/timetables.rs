//! Custom timetables answer as they do in Airflow.

use anyhow::Result;
use serde_json::{Value, json};
use updraft_model::DagRunType;
use updraft_plugins::{LastRun, ManualRun};
use updraft_timetable::{Custom, DagRunInfo, DataInterval, TimeRestriction};

use crate::{Home, at, restriction, text};

const VECTORS: &str = include_str!("../../../updraft-timetable/testdata/timetables.json");
const WORKDAY: &str = "airflow.example_dags.plugins.workday.AfterWorkdayTimetable";

fn instant(value: &Value) -> Option<jiff::Timestamp> {
    value.as_str().map(at)
}

fn interval(value: &Value) -> Option<DataInterval> {
    Some(DataInterval {
        start: instant(&value[0])?,
        end: instant(&value[1])?,
    })
}

fn interval_json(interval: Option<DataInterval>) -> Value {
    interval.map_or(Value::Null, |interval| {
        json!([interval.start.to_string(), interval.end.to_string()])
    })
}

fn info_json(info: &DagRunInfo) -> Value {
    let logical_date = info.logical_date().map(|date| date.to_string());
    json!({
        "run_after": info.run_after.to_string(),
        "logical_date": logical_date,
        "data_interval": interval_json(info.data_interval),
        "partition_key": info.partition_key,
        "partition_date": info.partition_date.map(|date| date.to_string()),
    })
}

fn last_run(value: &Value) -> Option<LastRun> {
    Some(LastRun {
        run_after: instant(&value["run_after"])?,
        data_interval: interval(&value["data_interval"]),
        partition_key: None,
        partition_date: None,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recorded_answers_of_the_workday_example_are_given() -> Result<()> {
    let home = Home::new().await?;
    let file: Value = serde_json::from_str(VECTORS)?;
    let vectors = file["vectors"].as_array().expect("a list");
    let vectors: Vec<&Value> = vectors
        .iter()
        .filter(|vector| vector["group"] == "workday-example")
        .collect();
    assert_eq!(vectors.len(), 4);
    for vector in vectors {
        let input = &vector["input"];
        // The vectors name the class as their recorder did.
        let timetable = json!({"__type": WORKDAY, "__var": {}});
        let answer = match text(&vector["op"]) {
            "infer_manual" => {
                let run = ManualRun {
                    run_type: DagRunType::Manual,
                    run_after: instant(&input["run_after"]),
                    data_interval: None,
                    infer_from: instant(&input["run_after"]),
                    partition_key: None,
                };
                let run = home.plugins.complete_run(&timetable, WORKDAY, &run).await?;
                json!({"data_interval": interval_json(run.data_interval)})
            }
            "next" | "series" => {
                let restriction = TimeRestriction {
                    earliest: instant(&input["earliest"]),
                    latest: instant(&input["latest"]),
                    catchup: input["catchup"].as_bool().expect("a flag"),
                };
                let count = input["count"].as_u64().unwrap_or(1);
                let mut last = last_run(&input["last"]);
                let mut infos = Vec::new();
                for _ in 0..count {
                    let next = home
                        .plugins
                        .next_dagrun(&timetable, WORKDAY, last.as_ref(), &restriction)
                        .await?;
                    infos.push(
                        next.as_ref()
                            .map_or(Value::Null, |next| info_json(&next.info)),
                    );
                    let Some(next) = next else { break };
                    last = Some(LastRun::from(&next.info));
                }
                if vector["op"] == "next" {
                    json!({"info": infos[0]})
                } else {
                    json!({"infos": infos})
                }
            }
            other => panic!("not recorded: {other}"),
        };
        assert_eq!(
            without_empty(&answer),
            without_empty(&vector["expect"]),
            "{vector}"
        );
    }
    Ok(())
}

/// Fields that are null in one form and missing in the other.
fn without_empty(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), without_empty(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_empty).collect(),
        other => other.clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timetable_says_what_it_is() -> Result<()> {
    let home = Home::new().await?;
    let custom = Custom::new;
    let workday = custom(WORKDAY, json!({}));
    let traits = home.plugins.describe_timetable(&workday).await?;
    assert_eq!(traits.summary, "AfterWorkdayTimetable");
    assert!(traits.periodic && traits.can_be_scheduled && !traits.makes_run_ids);
    assert_eq!(traits.run_ordering, ["data_interval_end", "logical_date"]);

    let partitioned = custom("odd_timetables.Partitioned", json!({}));
    let traits = home.plugins.describe_timetable(&partitioned).await?;
    assert_eq!(traits.description, "One partition a week");
    assert!(traits.partitioned && traits.makes_run_ids && !traits.periodic);
    assert_eq!(traits.active_runs_limit, Some(2));

    let example = "airflow.example_dags.plugins.custom_partition_timetable\
                   .ScheduledRuntimePartitionTimetable";
    let data = json!({
        "expression": "0 6 * * *", "timezone": "UTC", "interval": 0.0, "run_immediately": false,
    });
    let traits = home
        .plugins
        .describe_timetable(&custom(example, data))
        .await?;
    assert_eq!(traits.summary, "0 6 * * *");
    assert!(traits.partitioned_at_runtime && !traits.partitioned);

    let unknown = custom("nowhere.Timetable", json!({}));
    let error = home.plugins.describe_timetable(&unknown).await.unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("nowhere.Timetable") && error.contains("not registered"),
        "{error}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_of_a_custom_timetable_have_its_keys_dates_and_ids() -> Result<()> {
    let home = Home::new().await?;
    let class = "odd_timetables.Partitioned";
    let timetable = json!({"__type": class, "__var": {}});
    let first = home
        .plugins
        .next_dagrun(&timetable, class, None, &restriction())
        .await?
        .expect("there is a first one");
    assert_eq!(first.run_id, "scheduled-of-2026-W02");
    assert_eq!(first.info.partition_date, Some(at("2026-01-05T00:00:00Z")));
    assert_eq!(first.info.run_after, at("2026-01-05T01:00:00Z"));

    let last = LastRun::from(&first.info);
    let second = home
        .plugins
        .next_dagrun(&timetable, class, Some(&last), &restriction())
        .await?
        .expect("there is a second one");
    assert_eq!(second.info.partition_key.as_deref(), Some("2026-W03"));

    let range = (at("2026-01-05T00:00:00Z"), at("2026-02-05T00:00:00Z"));
    let between = home
        .plugins
        .dagruns_between(&timetable, class, range, 3)
        .await?;
    let keys: Vec<_> = between
        .runs
        .iter()
        .map(|run| run.info.partition_key.as_deref().unwrap_or_default())
        .collect();
    assert_eq!(keys, ["2026-W02", "2026-W03", "2026-W04"]);
    assert!(between.is_cut);
    assert_eq!(between.runs[0].run_id, "backfill-of-2026-W02");

    let manual = ManualRun {
        run_type: DagRunType::Manual,
        run_after: Some(at("2026-01-05T00:00:00Z")),
        data_interval: None,
        infer_from: None,
        partition_key: Some("2026-03-02"),
    };
    let manual = home
        .plugins
        .complete_run(&timetable, class, &manual)
        .await?;
    assert_eq!(manual.run_id, "manual-of-nobody");
    assert_eq!(manual.partition_date, Some(at("2026-03-02T00:00:00Z")));
    assert_eq!(manual.data_interval, None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_over_workdays_lists_them_and_what_raises_ends_the_list() -> Result<()> {
    let home = Home::new().await?;
    let timetable = json!({"__type": WORKDAY, "__var": {}});
    // A Thursday to a Tuesday.
    let range = (at("2026-03-05T00:00:00Z"), at("2026-03-10T00:00:00Z"));
    let between = home
        .plugins
        .dagruns_between(&timetable, WORKDAY, range, 100)
        .await?;
    let dates: Vec<String> = between
        .runs
        .iter()
        .filter_map(|run| Some(run.info.logical_date()?.to_string()))
        .collect();
    assert_eq!(
        dates,
        [
            "2026-03-05T00:00:00Z",
            "2026-03-06T00:00:00Z",
            "2026-03-09T00:00:00Z",
            "2026-03-10T00:00:00Z"
        ]
    );
    assert!(!between.is_cut && between.problem.is_none());

    let class = "odd_timetables.Odd";
    let raising = json!({"__type": class, "__var": {"conduct": "raises"}});
    let between = home
        .plugins
        .dagruns_between(&raising, class, range, 100)
        .await?;
    assert!(between.runs.is_empty());
    let problem = between.problem.expect("it raised").to_string();
    assert!(problem.contains("no such day"), "{problem}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timetable_may_read_variables() -> Result<()> {
    let home = Home::new().await?;
    for _ in 0..3 {
        let next = home.odd("Odd", "variable").await?.expect("it is due");
        assert_eq!(next.info.run_after, at("2026-01-07T00:00:00Z"));
    }
    Ok(())
}
