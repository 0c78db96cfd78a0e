//! Connections that are tried out.

use jiff::SignedDuration;
use updraft_model::connection::Connection;
use updraft_model::connection_test::ConnectionTestState as C;
use updraft_model::job::JobType;
use updraft_store::{Change, NewConnectionTest, NewJob, Tx};
use uuid::Uuid;

use crate::backends::on_each_backend;
use crate::fixtures::at;

fn request(conn_id: &str) -> NewConnectionTest {
    NewConnectionTest {
        id: Uuid::now_v7(),
        token: format!("token of {conn_id}"),
        connection: Connection {
            conn_id: conn_id.to_owned(),
            conn_type: "http".to_owned(),
            description: None,
            host: Some("host".to_owned()),
            schema: Some("https".to_owned()),
            login: Some("me".to_owned()),
            password: Some("secret".to_owned()),
            port: Some(443),
            extra: Some(r#"{"a": 1}"#.to_owned()),
            team_name: None,
        },
        commit_on_success: true,
        executor: None,
        queue: Some("here".to_owned()),
    }
}

async fn job(tx: &mut Tx) -> updraft_model::JobId {
    let new = NewJob {
        job_type: JobType::Scheduler,
        hostname: "box".to_owned(),
        unixname: "me".to_owned(),
        pid: 1,
    };
    tx.start_job(&new, at(0)).await.unwrap().id
}

#[test]
fn a_test_goes_from_its_request_to_its_result() {
    on_each_backend(async |store| {
        let mut changes = store.changes().subscribe();
        let mut tx = store.write().await.unwrap();
        let job = job(&mut tx).await;
        let new = request("web");
        assert!(tx.create_connection_test(&new, at(1)).await.unwrap());
        let again = NewConnectionTest {
            token: "other".to_owned(),
            ..request("web")
        };
        assert!(!tx.create_connection_test(&again, at(1)).await.unwrap());
        let queued = tx.queue_connection_tests(job, 4, at(2)).await.unwrap();
        assert_eq!(queued.len(), 1);
        assert_eq!(queued[0].connection, new.connection);
        assert!(
            tx.queue_connection_tests(job, 4, at(2))
                .await
                .unwrap()
                .is_empty()
        );
        let started = tx
            .start_connection_test(new.id, at(3))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(started.state, C::Running);
        assert_eq!(started.connection.password.as_deref(), Some("secret"));
        assert_eq!(started.queue.as_deref(), Some("here"));
        assert!(started.commit_on_success);
        assert!(
            tx.start_connection_test(new.id, at(3))
                .await
                .unwrap()
                .is_none()
        );
        let long = "ö".repeat(3_000);
        let finish = tx.finish_connection_test(new.id, C::Success, &long, at(4));
        assert!(finish.await.unwrap());
        let finish = tx.finish_connection_test(new.id, C::Failed, "late", at(5));
        assert!(!finish.await.unwrap());
        let found = tx.find_connection_test(&new.token).await.unwrap().unwrap();
        assert_eq!(found.state, C::Success);
        assert_eq!(found.result_message.unwrap().chars().count(), 2_000);
        assert_eq!(found.connection.password, None, "nobody needs it any more");
        assert_eq!(found.updated_at, at(4));
        assert!(tx.find_connection_test("odd").await.unwrap().is_none());
        // What is over does not stand in the way of the next.
        assert!(tx.create_connection_test(&again, at(6)).await.unwrap());
        tx.commit().await.unwrap();
        let mut told = Vec::new();
        while let Ok(change) = changes.try_recv() {
            told.push(change);
        }
        assert!(told.contains(&Change::Urgent) && told.contains(&Change::Deadline));
    });
}

#[test]
fn only_so_many_are_under_way_and_silent_ones_are_found() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let job = job(&mut tx).await;
        for (second, name) in (0_i64..).zip(["a", "b", "c"]) {
            let new = request(name);
            assert!(tx.create_connection_test(&new, at(second)).await.unwrap());
        }
        assert_eq!(tx.find_oldest_connection_test().await.unwrap(), Some(at(0)));
        let queued = tx.queue_connection_tests(job, 2, at(10)).await.unwrap();
        let names = |tests: &[updraft_model::connection_test::ConnectionTest]| {
            let mut names: Vec<_> = tests
                .iter()
                .map(|test| test.connection.conn_id.clone())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(&queued), ["a", "b"]);
        assert!(
            tx.queue_connection_tests(job, 2, at(10))
                .await
                .unwrap()
                .is_empty()
        );
        assert!(
            tx.queue_connection_tests(job, 1, at(10))
                .await
                .unwrap()
                .is_empty()
        );
        assert_eq!(tx.find_oldest_connection_test().await.unwrap(), Some(at(2)));
        let stale = tx.lock_stale_connection_tests(at(10), 10).await.unwrap();
        assert_eq!(names(&stale), ["c"]);
        let later = at(10) + SignedDuration::from_micros(1);
        let stale = tx.lock_stale_connection_tests(later, 2).await.unwrap();
        assert_eq!(names(&stale), ["a", "c"]);
        for test in tx.lock_stale_connection_tests(later, 10).await.unwrap() {
            let finish = tx.finish_connection_test(test.id, C::Failed, "gone", at(11));
            assert!(finish.await.unwrap());
        }
        assert_eq!(tx.find_oldest_connection_test().await.unwrap(), None);
    });
}
