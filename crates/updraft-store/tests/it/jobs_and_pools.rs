//! Jobs and pools.

use updraft_model::JobId;
use updraft_model::job::{JobState, JobType};
use updraft_model::pool::{DEFAULT_POOL, Pool};
use updraft_store::NewJob;

use crate::backends::on_each_backend;
use crate::fixtures::at;

fn scheduler() -> NewJob {
    NewJob {
        job_type: JobType::Scheduler,
        hostname: "box".to_owned(),
        unixname: "me".to_owned(),
        pid: 42,
    }
}

#[test]
fn a_job_that_is_alone_declares_the_others_dead_whatever_the_clock_said() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let ahead = tx.start_job(&scheduler(), at(3_600)).await.unwrap();
        let own = tx.start_job(&scheduler(), at(0)).await.unwrap();
        let dead = tx
            .fail_other_jobs(JobType::Scheduler, own.id, at(0))
            .await
            .unwrap();
        assert_eq!(dead, [ahead.id]);
        assert!(tx.heartbeat_job(own.id, at(1)).await.unwrap());
    });
}

#[test]
fn a_job_without_heartbeats_is_declared_dead_and_stays_dead() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let quiet = tx.start_job(&scheduler(), at(0)).await.unwrap();
        let lively = tx.start_job(&scheduler(), at(1)).await.unwrap();
        assert!(tx.heartbeat_job(lively.id, at(60)).await.unwrap());
        for (since, alive) in [(0, 2), (30, 1), (60, 1), (61, 0)] {
            let found = tx.count_alive_jobs(JobType::Scheduler, at(since)).await;
            assert_eq!(found.unwrap(), alive, "since {since}");
        }
        let others = tx.count_alive_jobs(JobType::Triggerer, at(0)).await;
        assert_eq!(others.unwrap(), 0);
        let dead = tx
            .fail_dead_jobs(JobType::Scheduler, at(30), at(61))
            .await
            .unwrap();
        assert_eq!(dead, [quiet.id]);
        assert!(!tx.heartbeat_job(quiet.id, at(62)).await.unwrap());
        let latest = tx.find_latest_job(JobType::Scheduler).await.unwrap();
        assert_eq!(latest.map(|job| job.id), Some(lively.id));
        tx.end_job(lively.id, JobState::Success, at(70))
            .await
            .unwrap();
        let ended = tx
            .find_latest_job(JobType::Scheduler)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(ended.end_date, Some(at(70)));
        assert_eq!(ended.state, JobState::Success);
        let unknown = JobId(lively.id.0 + 1);
        let jobs = tx.load_jobs(&[quiet.id, lively.id, unknown]).await.unwrap();
        let states: Vec<_> = jobs.values().map(|job| (job.id, job.state)).collect();
        assert_eq!(
            states,
            [(quiet.id, JobState::Failed), (lively.id, JobState::Success)]
        );
        assert!(tx.load_jobs(&[]).await.unwrap().is_empty());
    });
}

#[test]
fn pools_are_created_once_changed_and_deleted() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        tx.ensure_default_pool(128).await.unwrap();
        tx.ensure_default_pool(64).await.unwrap();
        let mut etl = Pool {
            name: "etl".into(),
            slots: -1,
            description: Some("it's for \"ETL\"".to_owned()),
            include_deferred: true,
        };
        assert!(tx.create_pool(&etl).await.unwrap());
        assert!(!tx.create_pool(&etl).await.unwrap());
        etl.slots = 7;
        etl.include_deferred = false;
        assert!(tx.update_pool(&etl).await.unwrap());
        let pools = tx.load_pools().await.unwrap();
        assert_eq!(pools[0].name, DEFAULT_POOL);
        assert_eq!(pools[0].slots, 128);
        assert_eq!(pools[1], etl);
        assert!(tx.delete_pool(&etl.name).await.unwrap());
        assert!(!tx.delete_pool(&etl.name).await.unwrap());
        assert!(!tx.update_pool(&etl).await.unwrap());
        assert_eq!(tx.find_pool(&etl.name).await.unwrap(), None);
        assert!(tx.load_pool_usage().await.unwrap().is_empty());
    });
}
