//! Task instances, their logs and XComs against Airflow's answers.
//!
//! The rows are those of the recording: two finished runs named `done`.

use serde_json::{Value, json};
use updraft_model::dag_run::NewDagRun;
use updraft_model::task_instance::NewTaskInstance;
use updraft_model::xcom::XCom;
use updraft_model::{
    DagId, DagRunState, DagRunTriggeredBy, DagRunType, DagVersionId, MapIndex, TaskInstanceId,
};
use updraft_store::{RunStateChange, StartedTaskInstance, Tx};

use crate::app::App;
use crate::golden::{Page, check_some};

const PAGES: &str = include_str!("../../testdata/golden/task_instances.json");

/// Requests about runs that are not part of this test.
const ELSEWHERE: &[&str] = &["list everywhere", "xcom list all"];

#[tokio::test]
async fn task_instances_answer_as_airflow_does() {
    let app = App::new().await;
    let pages: Vec<Page> = serde_json::from_str(PAGES).unwrap();
    seed(&app, &pages).await;
    check_some(&app, "task_instances", PAGES, |page| {
        !ELSEWHERE.contains(&page.name.as_str())
    })
    .await;
}

pub(crate) fn answer<'p>(pages: &'p [Page], name: &str) -> &'p Value {
    &pages.iter().find(|page| page.name == name).unwrap().answer
}

async fn seed(app: &App, pages: &[Page]) {
    let mut tx = app.store.write().await.unwrap();
    for (dag_id, page) in [("daily_sales", "list"), ("mapped", "list mapped")] {
        let version = tx
            .find_latest_version(&dag_id.into())
            .await
            .unwrap()
            .unwrap();
        let rows = answer(pages, page)["task_instances"].as_array().unwrap();
        write_run(&mut tx, dag_id, "done", version.id).await;
        let started: Vec<_> = rows
            .iter()
            .map(|row| started_from(row, version.id))
            .collect();
        tx.create_task_instances(&started, at("2026-11-21T21:31:36Z"))
            .await
            .unwrap();
        for row in rows {
            let id = TaskInstanceId(row["id"].as_str().unwrap().parse().unwrap());
            if row["rendered_fields"] != json!({}) {
                tx.set_rendered_fields(id, &row["rendered_fields"].to_string())
                    .await
                    .unwrap();
            }
            if let Some(index) = row["rendered_map_index"].as_str() {
                tx.set_rendered_map_index(id, index).await.unwrap();
            }
        }
    }
    let values = [
        ("numbers", -1, "[1, 2, 3]"),
        ("double", 0, "2"),
        ("double", 1, "4"),
        ("double", 2, "6"),
        ("total", -1, "12"),
    ];
    for (task_id, map_index, value) in values {
        let xcom = XCom {
            dag_id: "mapped".into(),
            run_id: "done".into(),
            task_id: task_id.into(),
            map_index: MapIndex(map_index),
            key: "return_value".to_owned(),
            value: value.to_owned(),
            dag_result: false,
            timestamp: at("2026-11-21T21:31:42Z"),
        };
        tx.set_xcom(&xcom, None).await.unwrap();
    }
    tx.commit().await.unwrap();
    write_log(
        app,
        pages,
        "logs",
        "dag_id=daily_sales/run_id=done/task_id=extract",
    );
    write_log(
        app,
        pages,
        "logs mapped",
        "dag_id=mapped/run_id=done/task_id=double/map_index=1",
    );
}

pub(crate) async fn write_run(tx: &mut Tx, dag_id: &str, run_id: &str, version: DagVersionId) {
    let date = at("2026-04-01T06:00:00Z");
    let (dag_id, now) = (DagId::new(dag_id), at("2026-11-21T21:31:36Z"));
    let run = NewDagRun {
        dag_id: dag_id.clone(),
        run_id: run_id.into(),
        run_type: DagRunType::Manual,
        triggered_by: DagRunTriggeredBy::RestApi,
        triggering_user_name: Some("admin".to_owned()),
        logical_date: Some(date),
        data_interval: Some((date, date)),
        run_after: date,
        conf: json!({}),
        note: None,
        partition_key: None,
        partition_date: None,
        backfill_id: None,
        creating_job_id: None,
        created_dag_version_id: version,
        bundle_name: Some("dags-folder".into()),
        bundle_version: None,
    };
    tx.create_dag_run(&run, now).await.unwrap();
    let change = RunStateChange {
        from: DagRunState::Queued,
        to: DagRunState::Success,
        queued_at: Some(now),
        start_date: Some(now),
        end_date: Some(now),
    };
    tx.change_dag_run_state(&dag_id, &run_id.into(), &change, now)
        .await
        .unwrap();
}

pub(crate) fn started_from(row: &Value, version: DagVersionId) -> StartedTaskInstance {
    let text = |name: &str| row[name].as_str().unwrap().to_owned();
    let instant = |name: &str| row[name].as_str().map(at);
    let small = |name: &str| i32::try_from(row[name].as_i64().unwrap()).unwrap();
    let operator = text("operator");
    StartedTaskInstance {
        new: NewTaskInstance {
            has_custom_weight: false,
            id: TaskInstanceId(text("id").parse().unwrap()),
            dag_id: text("dag_id").into(),
            run_id: text("dag_run_id").into(),
            task_id: text("task_id").into(),
            map_index: MapIndex(small("map_index")),
            state: text("state").parse().unwrap(),
            max_tries: small("max_tries"),
            pool: text("pool").into(),
            pool_slots: small("pool_slots"),
            queue: text("queue"),
            priority_weight: row["priority_weight"].as_i64().unwrap(),
            custom_operator_name: Some(text("operator_name")).filter(|name| *name != operator),
            operator,
            executor: None,
            executor_config: json!({}),
            dag_version_id: version,
        },
        try_number: small("try_number"),
        start_date: instant("start_date"),
        end_date: instant("end_date"),
        duration_secs: row["duration"].as_f64(),
        scheduled_dttm: instant("scheduled_when"),
    }
}

/// The recorded lines without those that say where they are from.
fn write_log(app: &App, pages: &[Page], name: &str, place: &str) {
    let lines = answer(pages, name)["content"].as_array().unwrap();
    let text: String = lines[3..].iter().map(|line| format!("{line}\n")).collect();
    let folder = app.home.path().join("logs").join(place);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("attempt=1.log"), text).unwrap();
}

pub(crate) fn at(text: &str) -> jiff::Timestamp {
    text.parse().unwrap()
}
