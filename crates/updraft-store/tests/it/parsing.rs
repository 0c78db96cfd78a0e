//! What a parsed file means for the rows.

use std::collections::BTreeSet;

use updraft_model::DagRunState as R;
use updraft_model::TaskInstanceState as S;
use updraft_model::dag::DagVersion;
use updraft_model::{DagVersionId, ViewUrl};
use updraft_store::{
    Change, FileError, NewDagWarning, ParseOutcome, ParseRequest, RunStateChange, Tx,
};
use uuid::Uuid;

use crate::backends::on_each_backend;
use crate::fixtures::{at, create_tis, dag, dag_id, file, new_run, parsed, run_id, start_run};

async fn parse(tx: &mut Tx, hash: &str) -> ParseOutcome {
    tx.sync_bundles(&["dags-folder".into()]).await.unwrap();
    tx.persist_parse(&file(vec![parsed(dag("etl"), hash)]), at(5))
        .await
        .unwrap()
}

#[test]
fn a_dag_is_written_whole_and_pausing_survives_a_parse() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let outcome = parse(&mut tx, "one").await;
        assert_eq!(outcome.new_dags, [dag_id()]);
        let mut expected = dag("etl");
        expected.tags.sort();
        expected.last_parsed_time = Some(at(5));
        assert_eq!(tx.find_dag(&dag_id()).await.unwrap().unwrap(), expected);
        tx.set_paused(&dag_id(), true).await.unwrap();
        let outcome = parse(&mut tx, "one").await;
        assert_eq!(outcome, ParseOutcome::default());
        assert!(tx.find_dag(&dag_id()).await.unwrap().unwrap().is_paused);
    });
}

#[test]
fn a_version_is_kept_overwritten_or_added() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        parse(&mut tx, "one").await;
        let first = tx.find_latest_version(&dag_id()).await.unwrap().unwrap();
        assert_eq!((first.version_number, first.dag_hash.as_str()), (1, "one"));

        let outcome = parse(&mut tx, "two").await;
        assert_eq!(outcome.changed_dags, [dag_id()]);
        let unused = tx.find_latest_version(&dag_id()).await.unwrap().unwrap();
        assert_eq!((unused.id, unused.dag_hash.as_str()), (first.id, "two"));
        let text = tx.find_serialized_dag(first.id).await.unwrap().unwrap();
        assert_eq!(text.dag_hash, "two");
        assert!(text.data.contains("two"));
        assert_eq!(
            tx.find_source_code(first.id).await.unwrap().as_deref(),
            Some("# two")
        );

        start_run(&mut tx, "r1", first.id, Some(at(0))).await;
        create_tis(&mut tx, "r1", first.id, &[("a", S::Running)]).await;
        parse(&mut tx, "two").await;
        assert_eq!(
            tx.find_latest_version(&dag_id()).await.unwrap().unwrap().id,
            first.id
        );
        parse(&mut tx, "three").await;
        let second = tx.find_latest_version(&dag_id()).await.unwrap().unwrap();
        assert_eq!(second.version_number, 2);
        assert_ne!(second.id, first.id);
        assert_eq!(
            tx.find_version(first.id).await.unwrap().unwrap().dag_hash,
            "two"
        );
        let nobody = DagVersionId(Uuid::now_v7());
        assert_eq!(tx.find_serialized_dag(nobody).await.unwrap(), None);
    });
}

#[test]
fn a_dag_that_left_its_file_becomes_stale_and_comes_back() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        parse(&mut tx, "one").await;
        let outcome = tx
            .persist_parse(&file(vec![parsed(dag("other"), "x")]), at(6))
            .await
            .unwrap();
        assert_eq!(outcome.vanished_dags, [dag_id()]);
        assert!(tx.find_dag(&dag_id()).await.unwrap().unwrap().is_stale);
        parse(&mut tx, "one").await;
        assert!(!tx.find_dag(&dag_id()).await.unwrap().unwrap().is_stale);
        assert!(
            tx.find_dag(&"other".into())
                .await
                .unwrap()
                .unwrap()
                .is_stale
        );
    });
}

#[test]
fn an_import_error_marks_the_dags_of_its_file_until_it_is_mended() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        parse(&mut tx, "one").await;
        let mut broken = file(Vec::new());
        broken.import_errors = vec![FileError {
            filename: "etl.py".to_owned(),
            stacktrace: "SyntaxError".to_owned(),
        }];
        tx.persist_parse(&broken, at(6)).await.unwrap();
        let etl = tx.find_dag(&dag_id()).await.unwrap().unwrap();
        assert!(etl.has_import_errors && etl.is_stale);
        assert!(tx.lock_due_dags(at(9), 10).await.unwrap().is_empty());
        parse(&mut tx, "one").await;
        let etl = tx.find_dag(&dag_id()).await.unwrap().unwrap();
        assert!(!etl.has_import_errors && !etl.is_stale);
    });
}

#[test]
fn missing_files_take_their_dags_with_them() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        parse(&mut tx, "one").await;
        let mut zipped = file(vec![parsed(dag("zipped"), "z")]);
        zipped.relative_fileloc = "pack.zip".to_owned();
        zipped.dags[0].dag.relative_fileloc = "pack.zip/inner.py".to_owned();
        tx.persist_parse(&zipped, at(5)).await.unwrap();
        let bundle = "dags-folder".into();
        let present = BTreeSet::from(["pack.zip".to_owned()]);
        let gone = tx
            .forget_missing_files(&bundle, &present, at(9))
            .await
            .unwrap();
        assert_eq!(gone, [dag_id()]);
        let known = tx.load_file_stats(&bundle).await.unwrap();
        let known: Vec<&str> = known
            .iter()
            .map(|each| each.relative_fileloc.as_str())
            .collect();
        assert_eq!(known, ["pack.zip"]);
        assert!(
            !tx.find_dag(&"zipped".into())
                .await
                .unwrap()
                .unwrap()
                .is_stale
        );
        tx.sync_bundles(&["elsewhere".into()]).await.unwrap();
        assert!(
            tx.find_dag(&"zipped".into())
                .await
                .unwrap()
                .unwrap()
                .is_stale
        );
    });
}

#[test]
fn warnings_and_parse_requests_are_kept_once() {
    on_each_backend(async |store| {
        let mut changes = store.changes().subscribe();
        let mut tx = store.write().await.unwrap();
        let mut warned = file(vec![parsed(dag("etl"), "one")]);
        warned.warnings = vec![NewDagWarning {
            dag_id: dag_id(),
            warning_type: "runtime varying value".to_owned(),
            message: "datetime.now()".to_owned(),
        }];
        tx.sync_bundles(&["dags-folder".into()]).await.unwrap();
        tx.persist_parse(&warned, at(5)).await.unwrap();
        tx.persist_parse(&warned, at(6)).await.unwrap();
        let request = ParseRequest {
            bundle_name: "dags-folder".into(),
            relative_fileloc: "etl.py".to_owned(),
        };
        tx.request_parse(&request).await.unwrap();
        tx.request_parse(&request).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(
            changes.try_recv().unwrap(),
            Change::Dag { dag_id: dag_id() }
        );
        assert_eq!(changes.try_recv().unwrap(), Change::ParseRequested);
        let mut tx = store.write().await.unwrap();
        let bundles = ["dags-folder".into()];
        assert_eq!(tx.take_parse_requests(&bundles).await.unwrap(), [request]);
        assert!(tx.take_parse_requests(&bundles).await.unwrap().is_empty());
    });
}

#[test]
fn deleting_a_dag_deletes_everything_but_the_audit_log() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        parse(&mut tx, "one").await;
        let version = tx.find_latest_version(&dag_id()).await.unwrap().unwrap().id;
        start_run(&mut tx, "r1", version, Some(at(0))).await;
        let ids = create_tis(&mut tx, "r1", version, &[("a", S::Success)]).await;
        assert!(tx.delete_dag(&dag_id()).await.unwrap());
        assert!(!tx.delete_dag(&dag_id()).await.unwrap());
        assert_eq!(tx.find_task_instance(ids[0]).await.unwrap(), None);
        assert_eq!(tx.find_version(version).await.unwrap(), None);
    });
}

#[test]
fn versions_of_bundles_are_needed_as_long_as_a_run_is_unfinished() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        parse(&mut tx, "one").await;
        let version = tx.find_latest_version(&dag_id()).await.unwrap().unwrap().id;
        for (name, pinned) in [
            ("waits", Some("v1")),
            ("runs", Some("v2")),
            ("ended", Some("v3")),
            ("follows", None),
        ] {
            let mut run = new_run(name, version, None);
            run.bundle_version = pinned.map(str::to_owned);
            tx.create_dag_run(&run, at(1)).await.unwrap();
        }
        for (name, state) in [("runs", R::Running), ("ended", R::Success)] {
            let change = RunStateChange {
                from: R::Queued,
                to: state,
                queued_at: None,
                start_date: None,
                end_date: None,
            };
            let changed = tx
                .change_dag_run_state(&dag_id(), &run_id(name), &change, at(2))
                .await;
            assert!(changed.unwrap());
        }
        tx.commit().await.unwrap();
        let mut reader = store.read().await.unwrap();
        let pinned = reader.load_pinned_bundle_versions().await.unwrap();
        let needed = ["v1", "v2"].map(|version| ("dags-folder".into(), version.to_owned()));
        assert_eq!(pinned, BTreeSet::from(needed));
    });
}

#[test]
fn a_version_of_a_dag_knows_where_its_bundle_is_shown() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        parse(&mut tx, "one").await;
        let shown = |version: Option<DagVersion>| version.unwrap().view_url;
        assert_eq!(
            shown(tx.find_latest_version(&dag_id()).await.unwrap()),
            None
        );
        let url = ViewUrl {
            template: "https://example.org/{subdir}/{version}".to_owned(),
            params: [("subdir".to_owned(), "dags".to_owned())].into(),
        };
        tx.set_bundle_url(&"dags-folder".into(), Some(&url))
            .await
            .unwrap();
        let version = tx.find_latest_version(&dag_id()).await.unwrap();
        assert_eq!(shown(version), Some(url));
        tx.set_bundle_url(&"dags-folder".into(), None)
            .await
            .unwrap();
        assert_eq!(
            shown(tx.find_latest_version(&dag_id()).await.unwrap()),
            None
        );
    });
}
