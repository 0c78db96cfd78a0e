//! Questions to people: put, answered, listed, kept.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use updraft_model::filter::Page;
use updraft_model::hitl::{HitlQuestion, HitlResponse, HitlUser};
use updraft_model::{TaskInstanceId, TaskInstanceState as S};
use updraft_store::listing::HitlDetailFilter;
use updraft_store::{AwaitInput, Change, Retry, Runner, Store, Succession, Transition, Tx};

use crate::backends::{on_each_backend, on_postgres_if_any};
use crate::fixtures::{at, create_tis, dag_id, run_id, start_run, ti_id, write_etl};

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn user(id: &str) -> HitlUser {
    HitlUser {
        id: id.to_owned(),
        name: id.to_uppercase(),
    }
}

fn question(subject: &str) -> HitlQuestion {
    HitlQuestion {
        options: vec!["yes".to_owned(), "no".to_owned()],
        subject: subject.to_owned(),
        body: Some("*Really*?".to_owned()),
        defaults: Some(vec!["no".to_owned()]),
        multiple: true,
        params: object(json!({"count": {"value": 1, "schema": {}, "description": null}})),
        assigned_users: vec![user("ada")],
    }
}

fn response(by: Option<&str>) -> HitlResponse {
    HitlResponse {
        responded_at: at(20),
        responded_by: by.map(user),
        chosen_options: vec!["yes".to_owned()],
        params_input: object(json!({"count": 2.5})),
    }
}

fn wait(timeout_at: Option<Timestamp>) -> AwaitInput {
    AwaitInput {
        timeout_at,
        next_method: "execute_complete".to_owned(),
        next_kwargs: Some("{\"x\":1.0}".to_owned()),
        rendered_map_index: None,
    }
}

/// Task instances of one run that run.
async fn running(tx: &mut Tx, names: &[&str]) -> Vec<TaskInstanceId> {
    let version = write_etl(tx).await;
    start_run(tx, "r1", version, Some(at(0))).await;
    let tasks: Vec<_> = names.iter().map(|name| (*name, S::Queued)).collect();
    let ids = create_tis(tx, "r1", version, &tasks).await;
    let runner = Runner {
        hostname: "here".to_owned(),
        unixname: "me".to_owned(),
        pid: 7,
    };
    for id in &ids {
        tx.start_try(*id, &runner, at(10), at(10)).await.unwrap();
    }
    ids
}

async fn park(tx: &mut Tx, id: TaskInstanceId, timeout_at: Option<Timestamp>) {
    let parked = tx.await_input(id, &wait(timeout_at), at(12)).await.unwrap();
    assert!(matches!(parked, Transition::Done(_)), "{parked:?}");
}

#[test]
fn a_question_comes_back_as_it_was_put() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let ids = running(&mut tx, &["ask"]).await;
        let go = question("Go?");
        let created = tx.put_hitl_question(ids[0], &go, at(11)).await;
        assert_eq!(created.unwrap(), at(11));
        let found = tx.find_hitl_detail(ids[0]).await.unwrap().unwrap();
        assert_eq!(found.question, question("Go?"));
        assert_eq!((found.created_at, found.response), (at(11), None));
        assert_eq!(tx.find_hitl_detail(ti_id()).await.unwrap(), None);

        assert!(
            tx.answer_hitl_question(ids[0], &response(Some("ada")))
                .await
                .unwrap()
        );
        let locked = tx.lock_hitl_detail(ids[0]).await.unwrap().unwrap();
        assert_eq!(locked.response, Some(response(Some("ada"))));
        let again = tx.answer_hitl_question(ids[0], &response(None)).await;
        assert!(!again.unwrap(), "answered twice");
        let kept = tx.find_hitl_detail(ids[0]).await.unwrap().unwrap();
        assert_eq!(kept.response, Some(response(Some("ada"))));
    });
}

#[test]
fn the_next_try_asks_anew_and_the_history_keeps_what_was_said() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let old = running(&mut tx, &["ask"]).await[0];
        tx.put_hitl_question(old, &question("Go?"), at(11))
            .await
            .unwrap();
        tx.answer_hitl_question(old, &response(None)).await.unwrap();
        let retry = Retry {
            end_date: at(30),
            new_id: ti_id(),
            rendered_map_index: None,
            delay_secs: None,
            reason: None,
        };
        tx.retry_try(old, &retry, at(30)).await.unwrap();

        let past = tx.find_past_hitl_detail(old).await.unwrap().unwrap();
        assert_eq!(past.question, question("Go?"));
        assert_eq!(past.response, Some(response(None)));
        assert_eq!(tx.find_hitl_detail(old).await.unwrap(), None);
        let followed = tx.find_hitl_detail(retry.new_id).await.unwrap().unwrap();
        assert_eq!(followed.response, past.response);

        let changed = HitlQuestion {
            options: vec!["now".to_owned()],
            defaults: None,
            multiple: false,
            ..question("Go now?")
        };
        let created = tx.put_hitl_question(retry.new_id, &changed, at(40));
        assert_eq!(created.await.unwrap(), at(11), "when it asked first");
        let asked = tx.find_hitl_detail(retry.new_id).await.unwrap().unwrap();
        assert_eq!(asked.question, changed);
        assert_eq!(asked.response, None, "an answer to another question");
    });
}

/// A second clear without a run between leaves one entry of the try: Airflow's rule.
#[test]
fn a_try_without_an_entry_of_its_own_leaves_no_question_in_the_history() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let first = running(&mut tx, &["ask"]).await[0];
        let (second, third) = (ti_id(), ti_id());
        tx.put_hitl_question(first, &question("Go?"), at(11))
            .await
            .unwrap();
        for (old, new) in [(first, second), (second, third)] {
            tx.archive_tries(&[Succession { old, new }], at(30))
                .await
                .unwrap();
        }
        assert!(tx.find_past_hitl_detail(first).await.unwrap().is_some());
        assert_eq!(tx.find_past_hitl_detail(second).await.unwrap(), None);
        assert!(tx.find_hitl_detail(third).await.unwrap().is_some());
        tx.delete_dag_run(&dag_id(), &run_id("r1")).await.unwrap();
        assert_eq!(tx.find_hitl_detail(third).await.unwrap(), None);
        assert_eq!(tx.find_past_hitl_detail(first).await.unwrap(), None);
    });
}

#[test]
fn a_wait_is_over_once_and_only_for_who_waits() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let ids = running(&mut tx, &["ask", "work"]).await;
        park(&mut tx, ids[0], None).await;
        let ti = tx.lock_task_instance(ids[0]).await.unwrap().unwrap();
        let resume = |method: &'static str| (method, "{\"event\":1}");
        let (method, kwargs) = resume("execute_complete");
        assert!(tx.resume_try(&ti, method, kwargs, at(20)).await.unwrap());
        assert!(!tx.resume_try(&ti, method, kwargs, at(21)).await.unwrap());
        let gone_on = tx.find_task_instance(ids[0]).await.unwrap().unwrap();
        assert_eq!(gone_on.state, S::Scheduled);
        assert_eq!(gone_on.scheduled_dttm, Some(at(20)));
        assert_eq!(gone_on.next_method.as_deref(), Some("execute_complete"));
        assert_eq!(gone_on.next_kwargs.as_deref(), Some("{\"event\":1}"));
        assert_eq!(gone_on.try_number, ti.try_number);
        let busy = tx.lock_task_instance(ids[1]).await.unwrap().unwrap();
        assert!(!tx.resume_try(&busy, method, kwargs, at(20)).await.unwrap());
    });
}

#[test]
fn waits_come_due_in_their_order_and_page_by_page() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let ids = running(&mut tx, &["a", "b", "c", "d"]).await;
        assert_eq!(tx.find_next_input_deadline().await.unwrap(), None);
        for (id, due) in ids.iter().zip([Some(90), Some(60), Some(70), None]) {
            park(&mut tx, *id, due.map(at)).await;
        }
        assert_eq!(tx.find_next_input_deadline().await.unwrap(), Some(at(60)));
        assert_eq!(tx.lock_overdue_input(at(60), 10).await.unwrap(), []);
        let due = |tis: Vec<updraft_model::task_instance::TaskInstance>| {
            tis.into_iter().map(|ti| ti.id).collect::<Vec<_>>()
        };
        let first = tx.lock_overdue_input(at(80), 1).await.unwrap();
        assert_eq!(due(first), [ids[1]]);
        let all = tx.lock_overdue_input(at(80), 10).await.unwrap();
        assert_eq!(due(all), [ids[1], ids[2]]);
    });
}

#[test]
fn a_wait_with_a_limit_says_so() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let ids = running(&mut tx, &["a", "b"]).await;
        tx.commit().await.unwrap();
        let deadline_told = async |store: &Store, id, timeout_at| {
            let mut changes = store.changes().subscribe();
            let mut tx = store.write().await.unwrap();
            park(&mut tx, id, timeout_at).await;
            tx.commit().await.unwrap();
            std::iter::from_fn(|| changes.try_recv().ok()).any(|change| change == Change::Deadline)
        };
        assert!(!deadline_told(&store, ids[0], None).await);
        assert!(deadline_told(&store, ids[1], Some(at(60))).await);
    });
}

#[test]
fn two_schedulers_never_end_the_same_wait() {
    on_postgres_if_any(async |store| {
        let mut tx = store.write().await.unwrap();
        let ids = running(&mut tx, &["a"]).await;
        park(&mut tx, ids[0], Some(at(60))).await;
        tx.commit().await.unwrap();
        let mut one = store.write().await.unwrap();
        let mut other = store.write().await.unwrap();
        assert_eq!(one.lock_overdue_input(at(80), 9).await.unwrap().len(), 1);
        assert_eq!(other.lock_overdue_input(at(80), 9).await.unwrap(), []);
    });
}

#[test]
fn lists_of_questions_are_filtered_ordered_and_paged() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let ids = running(&mut tx, &["approve", "choose", "enter"]).await;
        for (at_secs, (id, subject)) in (11..).zip(ids.iter().zip(["Money", "more", "None"])) {
            tx.put_hitl_question(*id, &question(subject), at(at_secs))
                .await
                .unwrap();
        }
        tx.answer_hitl_question(ids[0], &response(Some("ada")))
            .await
            .unwrap();
        tx.answer_hitl_question(ids[1], &response(None))
            .await
            .unwrap();
        park(&mut tx, ids[2], None).await;
        let list = async |tx: &mut Tx, filter: HitlDetailFilter, order: &str| {
            let page = Page {
                limit: 2,
                offset: 0,
                order_by: vec![order.to_owned()],
            };
            let listed = tx.list_hitl_details(&filter, &page).await.unwrap();
            let names: Vec<String> = listed
                .rows
                .iter()
                .map(|(_, ti)| ti.task_id.to_string())
                .collect();
            format!("{} of {}", names.join(" "), listed.total)
        };
        let all = HitlDetailFilter::default;
        assert_eq!(
            list(&mut tx, all(), "-created_at").await,
            "enter choose of 3"
        );
        let answered = HitlDetailFilter {
            response_received: Some(true),
            ..all()
        };
        let open = HitlDetailFilter {
            response_received: Some(false),
            states: vec![S::AwaitingInput],
            ..all()
        };
        let of_ada = HitlDetailFilter {
            responded_by_user_ids: vec!["ada".to_owned()],
            responded_by_user_names: vec!["ADA".to_owned()],
            ..all()
        };
        let by_subject = HitlDetailFilter {
            subject: Some("MO".to_owned()),
            body: Some("real%".to_owned()),
            ..all()
        };
        let elsewhere = HitlDetailFilter {
            dag_id: Some("other".into()),
            ..all()
        };
        let one_task = HitlDetailFilter {
            dag_id: Some(dag_id()),
            run_id: Some(run_id("r1")),
            task_id: Some("choose".into()),
            map_index: Some(-1),
            ..all()
        };
        assert_eq!(
            list(&mut tx, answered, "subject").await,
            "approve choose of 2"
        );
        assert_eq!(list(&mut tx, open, "run_after").await, "enter of 1");
        assert_eq!(list(&mut tx, of_ada, "ti_id").await, "approve of 1");
        assert_eq!(
            list(&mut tx, by_subject, "task_display_name").await,
            "approve choose of 2"
        );
        assert_eq!(list(&mut tx, elsewhere, "dag_id").await, " of 0");
        assert_eq!(
            list(&mut tx, one_task, "task_instance_state").await,
            "choose of 1"
        );
    });
}
