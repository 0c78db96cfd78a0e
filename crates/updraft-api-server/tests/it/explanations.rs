//! Why a task instance does not run: in Airflow's words, and in Updraft's own.

use serde_json::{Value, json};
use updraft_model::job::JobType;
use updraft_model::{MapIndex, TaskInstanceState as S};
use updraft_runtime::Clock;
use updraft_store::{NewJob, TaskInstanceUpdate};

use crate::app::App;

const PAGES: &str = include_str!("../../testdata/golden/dependencies.json");
const G: (&str, &str) = ("gates", "g");
const RUN: &str = "/dags/gates/dagRuns/g/taskInstances";

impl App {
    /// A queued run `g` of the Dag `gates`.
    async fn gates() -> Self {
        let app = Self::with_run_dags().await;
        app.post("/api/v2/pools", json!({"name": "closed", "slots": 1}))
            .await;
        app.post(
            "/api/v2/dags/gates/dagRuns",
            json!({"dag_run_id": "g", "logical_date": "2026-02-15T00:00:00Z", "run_after": "2026-02-15T00:00:00Z"}),
        )
        .await;
        app.pause("gates", false).await;
        app
    }

    async fn post(&self, path: &str, body: Value) {
        let reply = self.admin("POST", path, Some(body)).await;
        assert!(reply.status < 300, "{path}: {}", reply.body);
    }

    async fn pause(&self, dag_id: &str, is_paused: bool) {
        let path = format!("/api/v2/dags/{dag_id}");
        let reply = self
            .admin("PATCH", &path, Some(json!({"is_paused": is_paused})))
            .await;
        assert_eq!(reply.status, 200, "{}", reply.body);
    }

    /// Starts a run, and a scheduler that looks after it.
    async fn start_scheduler_and_run(&self, dag_id: &str, run_id: &str) {
        let now = Clock::machine().now();
        let mut tx = self.store.write().await.unwrap();
        let job = NewJob {
            job_type: JobType::Scheduler,
            hostname: "box".to_owned(),
            unixname: "me".to_owned(),
            pid: 42,
        };
        tx.start_job(&job, now).await.unwrap();
        let (dag_id, run_id) = (dag_id.into(), run_id.into());
        assert!(tx.start_dag_run(&dag_id, &run_id, now).await.unwrap());
        tx.commit().await.unwrap();
    }

    async fn set_state(&self, (dag_id, run_id): (&str, &str), task_id: &str, to: S) {
        let now = Clock::machine().now();
        let (dag_id, run_id) = (dag_id.into(), run_id.into());
        let mut tx = self.store.write().await.unwrap();
        let ti = tx
            .find_task_instance_of(&dag_id, &run_id, &task_id.into(), MapIndex::UNMAPPED)
            .await
            .unwrap()
            .unwrap();
        let update = TaskInstanceUpdate {
            id: ti.id,
            from: ti.state,
            map_index: ti.map_index,
            state: to,
            try_number: 1,
            start_date: Some(now),
            end_date: None,
            duration_secs: None,
            scheduled_dttm: None,
            deferral: None,
        };
        let won = tx.update_task_instances(&[update], now).await.unwrap();
        assert_eq!(won.len(), 1);
        tx.commit().await.unwrap();
    }

    async fn explanation(&self, task_id: &str) -> Value {
        let path = format!("/updraft/v1{RUN}/{task_id}/explanation");
        let reply = self.call("vic", "GET", &path, None).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.body
    }

    async fn reason(&self, task_id: &str) -> String {
        self.explanation(task_id).await["reason"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

#[tokio::test]
async fn a_task_says_what_it_waits_for_from_the_start_of_its_run_to_its_end() {
    let app = App::gates().await;
    assert_eq!(
        app.reason("slow").await,
        "`slow` is ready, but no scheduler is alive."
    );
    app.start_scheduler_and_run("gates", "g").await;
    assert_eq!(
        app.explanation("slow").await,
        json!({
            "dag_id": "gates", "dag_run_id": "g", "task_id": "slow", "map_index": -1,
            "state": null, "is_waiting": true, "until": null,
            "reason": "`slow` is about to become scheduled: all dependencies are met.",
        })
    );
    let below = "`both_all_success` waits for 1 of 2 upstream task instances (`slow`), as its \
                 trigger rule is all_success.";
    // `ok` is empty, and ends in the very step in which the scheduler looks at the run.
    assert_eq!(app.reason("both_all_success").await, below);
    app.set_state(G, "ok", S::Success).await;
    app.set_state(G, "slow", S::Running).await;
    assert_eq!(app.reason("both_all_success").await, below);
    assert_eq!(app.explanation("slow").await["is_waiting"], json!(false));
    for (task_id, reason) in [
        ("no_pool", "pool `missing` does not exist"),
        (
            "full_pool",
            "pool `closed` has 1 slots in all, too few for the task",
        ),
        ("limited", "the task has 0 active instances, its limit"),
        (
            "limited_in_run",
            "the task has 0 active instances in this run, its limit",
        ),
    ] {
        app.set_state(G, task_id, S::Scheduled).await;
        assert_eq!(
            app.reason(task_id).await,
            format!("`{task_id}` waits: {reason}.")
        );
    }
    app.pause("gates", true).await;
    assert_eq!(
        app.reason("limited").await,
        "`limited` waits: the Dag is paused."
    );
}

#[tokio::test]
async fn what_cannot_be_explained_is_refused_with_a_reason() {
    let app = App::gates().await;
    let get = async |path: &str| app.call("vic", "GET", path, None).await;
    let unknown_run = get("/updraft/v1/dags/gates/dagRuns/x/taskInstances/ok/explanation").await;
    assert_eq!(unknown_run.status, 404);
    assert_eq!(
        unknown_run.body["detail"],
        "DagRun with dag_id: `gates` and run_id: `x` was not found"
    );
    let bad_index = get(&format!("/updraft/v1{RUN}/ok/explanation?map_index=x")).await;
    assert_eq!(bad_index.status, 422, "{}", bad_index.body);
    assert_eq!(
        app.reason("nobody").await,
        "`nobody` is no task of the Dag."
    );
    let anonymous = app
        .send(
            "GET",
            &format!("/updraft/v1{RUN}/ok/explanation"),
            &[],
            None,
        )
        .await;
    assert_eq!(anonymous.status, 401);
}

/// Dependencies of the recording, whose task instances are given the states they had there.
#[tokio::test]
async fn unmet_dependencies_are_airflows() {
    let app = App::gates().await;
    app.start_scheduler_and_run("gates", "g").await;
    for (number, run) in [(1, "p1"), (2, "p2")] {
        let date = format!("2026-03-0{number}T00:00:00Z");
        app.post(
            "/api/v2/dags/strict_past/dagRuns",
            json!({"dag_run_id": run, "logical_date": date, "run_after": date}),
        )
        .await;
        app.start_scheduler_and_run("strict_past", run).await;
    }
    app.pause("strict_past", false).await;
    let pages: Vec<Value> = serde_json::from_str(PAGES).unwrap();
    let rows = pages
        .iter()
        .filter_map(|page| page["answer"]["task_instances"].as_array());
    for row in rows.flatten() {
        let text = |key: &str| row[key].as_str();
        let state = S::from_nullable(text("state")).unwrap();
        let run = (text("dag_id").unwrap(), text("dag_run_id").unwrap());
        app.set_state(run, text("task_id").unwrap(), state).await;
    }
    let mut differences = Vec::new();
    let mut checked = 0;
    for page in &pages {
        let (name, path) = (
            page["name"].as_str().unwrap(),
            page["path"].as_str().unwrap(),
        );
        if name == "paused trigger" {
            app.pause("gates", true).await;
            app.post("/api/v2/dags/gates/dagRuns", page["body"].clone())
                .await;
        }
        if !path.ends_with("/dependencies") {
            continue;
        }
        checked += 1;
        let reply = app.admin("GET", path, None).await;
        let (theirs, ours) = (comparable(&page["answer"]), comparable(&reply.body));
        if page["status"] != reply.status || theirs != ours {
            differences.push(format!("{name}\n  Airflow {theirs}\n  Updraft {ours}\n"));
        }
    }
    assert_eq!(checked, 40);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Without the moment, and with Python's sets in the order of the alphabet.
fn comparable(answer: &Value) -> String {
    let text = answer.to_string();
    let mut parts = text.split("the current date is ");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept.push_str(part.split_once(')').unwrap().1);
    }
    let mut pieces = kept.split("_task_ids={");
    let mut sorted = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (set, rest) = piece.split_once('}').unwrap();
        let mut ids: Vec<&str> = set.split(", ").collect();
        ids.sort_unstable();
        sorted.push_str(&ids.join(", "));
        sorted.push_str(rest);
    }
    sorted
}
