//! XComs, mapped lengths and the state stores.

use updraft_model::state_store::TaskScope;
use updraft_model::xcom::XCom;
use updraft_model::{MapIndex, TaskInstanceState as S};
use updraft_store::{Slice, Tx, XComKey};

use crate::backends::on_each_backend;
use crate::fixtures::{at, create_tis, dag_id, run_id, start_run, task, write_etl};

fn key(run: &str) -> XComKey {
    XComKey {
        dag_id: dag_id(),
        run_id: run_id(run),
        task_id: task("m"),
        key: "return_value".to_owned(),
    }
}

fn xcom(run: &str, map_index: i32, value: &str) -> XCom {
    XCom {
        dag_id: dag_id(),
        run_id: run_id(run),
        task_id: task("m"),
        map_index: MapIndex(map_index),
        key: "return_value".to_owned(),
        value: value.to_owned(),
        dag_result: false,
        timestamp: at(5),
    }
}

async fn runs(tx: &mut Tx) {
    let version = write_etl(tx).await;
    for (name, second) in [("r1", 0), ("r2", 10), ("r3", 20)] {
        start_run(tx, name, version, Some(at(second))).await;
    }
}

#[test]
fn a_value_is_kept_to_the_letter_and_replaced() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        runs(&mut tx).await;
        for value in [r#"{"a": 1.0, "b": NaN, "z": 12345678901234567890}"#, "null"] {
            let xcom = xcom("r1", -1, value);
            assert!(tx.set_xcom(&xcom, None).await.unwrap());
            let found = tx.find_xcom(&key("r1"), MapIndex::UNMAPPED).await.unwrap();
            assert_eq!(found, Some(xcom));
        }
        assert!(!tx.set_xcom(&xcom("none", -1, "1"), None).await.unwrap());
        assert!(
            tx.delete_xcom(&key("r1"), MapIndex::UNMAPPED)
                .await
                .unwrap()
        );
        assert!(
            !tx.delete_xcom(&key("r1"), MapIndex::UNMAPPED)
                .await
                .unwrap()
        );
    });
}

#[test]
fn sequences_go_by_map_index() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        runs(&mut tx).await;
        // Instance 2 returned nothing.
        for index in [10, 0, 1, 3] {
            tx.set_xcom(&xcom("r1", index, &index.to_string()), None)
                .await
                .unwrap();
        }
        assert_eq!(tx.count_xcoms(&key("r1")).await.unwrap(), 4);
        for (offset, value) in [(0, "0"), (2, "3"), (-1, "10"), (-4, "0")] {
            let found = tx.find_xcom_at(&key("r1"), offset).await.unwrap().unwrap();
            assert_eq!(found.value, value, "at {offset}");
        }
        for offset in [4, -5] {
            assert_eq!(tx.find_xcom_at(&key("r1"), offset).await.unwrap(), None);
        }
        for (start, stop, step, expected) in [
            (None, None, None, vec!["0", "1", "3", "10"]),
            (Some(1), Some(-1), None, vec!["1", "3"]),
            (None, None, Some(-2), vec!["10", "1"]),
            (Some(9), None, None, vec![]),
        ] {
            let slice = Slice { start, stop, step };
            let found = tx.load_xcom_slice(&key("r1"), slice).await.unwrap();
            let values: Vec<&str> = found.iter().map(|xcom| xcom.value.as_str()).collect();
            assert_eq!(values, expected, "{slice:?}");
        }
        let counts = tx
            .load_return_value_counts(&dag_id(), &run_id("r1"), &[task("m"), task("x")])
            .await
            .unwrap();
        assert_eq!(counts.into_iter().collect::<Vec<_>>(), [(task("m"), 4)]);
    });
}

#[test]
fn a_value_of_an_earlier_run_stands_in() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        runs(&mut tx).await;
        tx.set_xcom(&xcom("r1", -1, "1"), None).await.unwrap();
        tx.set_xcom(&xcom("r3", -1, "3"), None).await.unwrap();
        let found = tx
            .find_xcom_or_earlier(&key("r2"), MapIndex::UNMAPPED)
            .await
            .unwrap();
        assert_eq!(found.unwrap().value, "1");
        let found = tx
            .find_xcom_or_earlier(&key("r3"), MapIndex::UNMAPPED)
            .await
            .unwrap();
        assert_eq!(found.unwrap().value, "3");
        assert_eq!(
            tx.find_xcom(&key("r2"), MapIndex::UNMAPPED).await.unwrap(),
            None
        );
    });
}

#[test]
fn a_mapped_length_and_a_skip_decision_reach_the_planner() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        runs(&mut tx).await;
        tx.set_xcom(&xcom("r1", -1, "[1, 2]"), Some(2))
            .await
            .unwrap();
        tx.set_xcom(&xcom("r1", -1, "[1, 2, 3]"), Some(3))
            .await
            .unwrap();
        let lengths = tx
            .load_mapped_lengths(&dag_id(), &run_id("r1"), &[task("m")])
            .await
            .unwrap();
        assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [(task("m"), 3)]);
        let mut decision = xcom("r1", -1, r#"{"followed": ["b"]}"#);
        decision.key = "skipmixin_key".to_owned();
        tx.set_xcom(&decision, None).await.unwrap();
        let found = tx
            .load_skip_xcoms(&dag_id(), &run_id("r1"), &[task("m")])
            .await
            .unwrap();
        assert_eq!(found[0].value, r#"{"followed": ["b"]}"#);
    });
}

#[test]
fn forgetting_outputs_leaves_the_row_and_other_rows_alone() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        runs(&mut tx).await;
        let version = tx.find_latest_version(&dag_id()).await.unwrap().unwrap().id;
        let ids = create_tis(&mut tx, "r1", version, &[("m", S::NoStatus)]).await;
        create_tis(&mut tx, "r2", version, &[("m", S::NoStatus)]).await;
        for run in ["r1", "r2"] {
            tx.set_xcom(&xcom(run, -1, "1"), Some(1)).await.unwrap();
        }
        tx.set_rendered_fields(ids[0], "{}").await.unwrap();
        tx.forget_outputs(&ids).await.unwrap();
        assert_eq!(tx.count_xcoms(&key("r1")).await.unwrap(), 0);
        assert_eq!(tx.count_xcoms(&key("r2")).await.unwrap(), 1);
        assert_eq!(tx.find_rendered_fields(ids[0]).await.unwrap(), None);
        assert!(tx.find_task_instance(ids[0]).await.unwrap().is_some());
    });
}

#[test]
fn task_states_survive_a_retry_and_expire() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        runs(&mut tx).await;
        let version = tx.find_latest_version(&dag_id()).await.unwrap().unwrap().id;
        let ids = create_tis(&mut tx, "r1", version, &[("m", S::Running)]).await;
        let ti = tx.find_task_instance(ids[0]).await.unwrap().unwrap();
        let scope = TaskScope::from(&ti);
        tx.set_task_state(&scope, "cursor", "1", Some(at(60)), at(5))
            .await
            .unwrap();
        tx.set_task_state(&scope, "cursor", "2", Some(at(90)), at(6))
            .await
            .unwrap();
        tx.set_task_state(&scope, "forever", "x", None, at(6))
            .await
            .unwrap();
        let found = tx.find_task_state(&scope, "cursor", at(89)).await.unwrap();
        assert_eq!(found.as_deref(), Some("2"));
        assert_eq!(
            tx.find_task_state(&scope, "cursor", at(90)).await.unwrap(),
            None
        );
        assert!(tx.delete_task_state(&scope, "cursor").await.unwrap());
        assert!(!tx.delete_task_state(&scope, "cursor").await.unwrap());
        tx.clear_task_state_store(&scope).await.unwrap();
        assert_eq!(
            tx.find_task_state(&scope, "forever", at(7)).await.unwrap(),
            None
        );
    });
}
