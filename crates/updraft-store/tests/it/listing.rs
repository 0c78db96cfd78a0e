//! Lists: every filter and every order, on each backend.

use jiff::Timestamp;
use updraft_model::filter::{Page, Pattern, Range};
use updraft_model::{DagRunState, DagRunType, TaskInstanceState as S};
use updraft_store::listing::{
    ConnectionFilter, DagFilter, DagRunFilter, DagTagFilter, DagVersionFilter, DagWarningFilter,
    DataVersion, EventLogFilter, FavoriteFilter, ImportErrorFilter, JobFilter, ListError,
    PoolFilter, TaskInstanceFilter, VariableFilter, XComFilter,
};
use updraft_store::{Dialect, NewEventLog, RunKey, Store};

use crate::backends::on_each_backend;
use crate::fixtures::{at, create_tis, dag_id, run_id, start_run, write_etl};

fn page(order_by: &str) -> Page {
    Page {
        limit: 10,
        offset: 0,
        order_by: order_by.split_whitespace().map(str::to_owned).collect(),
    }
}

fn pattern(anywhere: &str, prefix: &str) -> Pattern {
    Pattern {
        anywhere: Some(anywhere.to_owned()),
        prefix: Some(prefix.to_owned()),
    }
}

fn since(seconds: i64) -> Range<Timestamp> {
    Range {
        gte: Some(at(seconds)),
        gt: Some(at(seconds - 1)),
        lte: Some(at(1_000)),
        lt: Some(at(1_001)),
    }
}

fn numbers() -> Range<f64> {
    Range {
        gte: Some(0.0),
        gt: Some(-1.0),
        lte: Some(1e9),
        lt: Some(1e9),
    }
}

/// Three runs of `etl`, the last without a date; two task instances in the first.
async fn seed(store: &Store) {
    let mut tx = store.write().await.unwrap();
    let version = write_etl(&mut tx).await;
    for (name, date) in [("r1", Some(at(10))), ("r2", Some(at(20))), ("r3", None)] {
        start_run(&mut tx, name, version, date).await;
    }
    create_tis(
        &mut tx,
        "r1",
        version,
        &[("a", S::Success), ("b", S::NoStatus)],
    )
    .await;
    let log = NewEventLog {
        dttm: at(5),
        event: "trigger_dag_run".to_owned(),
        owner: Some("ann".to_owned()),
        dag_id: Some(dag_id()),
        ..NewEventLog::default()
    };
    tx.write_event_log(&log).await.unwrap();
    tx.ensure_default_pool(4).await.unwrap();
    assert!(tx.add_favorite("ann", &dag_id()).await.unwrap());
    tx.commit().await.unwrap();
}

fn favorites(user: &str, wanted: bool) -> Option<FavoriteFilter> {
    Some(FavoriteFilter {
        user_id: user.to_owned(),
        wanted,
    })
}

#[test]
fn a_favourite_is_one_users_and_only_once() {
    on_each_backend(async |store| {
        seed(&store).await;
        let mut tx = store.write().await.unwrap();
        assert!(!tx.add_favorite("ann", &dag_id()).await.unwrap());
        assert!(tx.is_favorite("ann", &dag_id()).await.unwrap());
        assert!(!tx.is_favorite("bob", &dag_id()).await.unwrap());
        assert!(!tx.remove_favorite("bob", &dag_id()).await.unwrap());
        assert!(tx.remove_favorite("ann", &dag_id()).await.unwrap());
        assert!(!tx.is_favorite("ann", &dag_id()).await.unwrap());
    });
}

#[test]
fn every_filter_of_the_dag_list_narrows_it() {
    on_each_backend(async |store| {
        seed(&store).await;
        let mut reader = store.read().await.unwrap();
        let matching = DagFilter {
            tags: vec!["etl".to_owned(), "nightly".to_owned()],
            all_tags: true,
            owners: vec!["AIR".to_owned(), "nobody".to_owned()],
            dag_ids: vec![dag_id()],
            dag_id: pattern("T|x", "et|zz"),
            dag_display_name: pattern("%l", "etl-"),
            exclude_stale: true,
            paused: Some(false),
            has_import_errors: Some(false),
            last_dag_run_state: Some(DagRunState::Running),
            dag_run_state: vec![DagRunState::Running, DagRunState::Failed],
            dag_run_start_date: since(0),
            dag_run_end_date: since(0),
            bundle_name: Some("dags-folder".to_owned()),
            bundle_version: None,
            has_asset_schedule: Some(false),
            asset_dependency: None,
            timetable_type: vec!["CronTriggerTimetable".to_owned()],
            favorites: favorites("ann", true),
        };
        let orders = "-dag_id dag_display_name next_dagrun last_run_state last_run_start_date";
        let listed = reader
            .list_dags(&matching, &page(orders), at(30))
            .await
            .unwrap();
        assert_eq!(listed.total, 1);
        assert_eq!(listed.rows[0].tags, ["etl", "nightly"]);
        let spoilt: [fn(&mut DagFilter); 10] = [
            |filter| filter.tags.push("other".to_owned()),
            |filter| filter.owners = vec!["100%".to_owned()],
            |filter| filter.dag_id = pattern("%x%", "~"),
            |filter| filter.paused = Some(true),
            |filter| filter.last_dag_run_state = Some(DagRunState::Success),
            |filter| filter.dag_run_start_date = since(500),
            |filter| filter.has_asset_schedule = Some(true),
            |filter| filter.asset_dependency = Some("a_b".to_owned()),
            |filter| filter.favorites = favorites("ann", false),
            |filter| filter.favorites = favorites("bob", true),
        ];
        for (index, spoil) in spoilt.iter().enumerate() {
            let mut filter = matching.clone();
            spoil(&mut filter);
            let listed = reader.list_dags(&filter, &page(""), at(30)).await.unwrap();
            assert_eq!(listed.total, 0, "filter {index}");
        }
    });
}

#[test]
fn every_filter_of_the_run_list_narrows_it() {
    on_each_backend(async |store| {
        seed(&store).await;
        let mut reader = store.read().await.unwrap();
        let matching = DagRunFilter {
            dag_ids: vec![dag_id()],
            dag_id: pattern("etl", "e"),
            run_id: pattern("R1|R2", "r1|r2"),
            states: vec![Some(DagRunState::Running), None],
            run_types: vec![DagRunType::Scheduled],
            run_after: since(10),
            logical_date: since(10),
            start_date: since(0),
            end_date: since(0),
            updated_at: since(0),
            partition_date: Range::default(),
            duration: Range::default(),
            conf_contains: Some("\"a\"".to_owned()),
            version_numbers: vec![1],
            bundle_version: None,
            triggering_user_name: Pattern::default(),
            partition_key: Pattern::default(),
            consuming_asset: None,
        };
        let orders = "state -run_after logical_date start_date end_date updated_at conf duration";
        let listed = reader
            .list_dag_runs(&matching, &page(orders), at(30))
            .await
            .unwrap();
        // Only the first run has task instances, and so a version.
        assert_eq!(listed.rows[0].run_id, "r1");
        assert_eq!(listed.total, 1);
        let spoilt: [fn(&mut DagRunFilter); 6] = [
            |filter| filter.states = vec![None],
            |filter| filter.duration = numbers(),
            |filter| filter.conf_contains = Some("%".to_owned()),
            |filter| filter.version_numbers = vec![2],
            |filter| filter.partition_key = pattern("k", "k"),
            |filter| filter.consuming_asset = Some("orders".to_owned()),
        ];
        for (index, spoil) in spoilt.iter().enumerate() {
            let mut filter = matching.clone();
            spoil(&mut filter);
            let listed = reader
                .list_dag_runs(&filter, &page(""), at(30))
                .await
                .unwrap();
            assert_eq!(listed.total, 0, "filter {index}");
        }
        let keys = ["r1", "r2"].map(|name| RunKey {
            dag_id: dag_id(),
            run_id: run_id(name),
        });
        assert_eq!(reader.load_versions_of_runs(&keys).await.unwrap().len(), 1);
        assert_eq!(reader.load_run_dates(&keys).await.unwrap().len(), 2);
        let counts = reader.count_dag_runs_by_state(&[]).await.unwrap();
        assert_eq!(
            (counts[0].state, counts[0].count),
            (DagRunState::Running, 3)
        );
    });
}

#[test]
fn every_filter_of_the_task_instance_list_narrows_it() {
    on_each_backend(async |store| {
        seed(&store).await;
        let mut reader = store.read().await.unwrap();
        let matching = TaskInstanceFilter {
            dag_ids: vec![dag_id()],
            run_ids: vec![run_id("r1")],
            task_ids: Some(vec!["a".into(), "b".into()]),
            dag_id: pattern("etl", "etl"),
            run_id: pattern("r", "r"),
            mapped_only: false,
            states: vec![S::NoStatus, S::Success],
            run_after: since(10),
            logical_date: since(10),
            start_date: since(0),
            end_date: since(0),
            updated_at: since(0),
            duration: Range::default(),
            pools: vec!["default_pool".to_owned()],
            pool_name: pattern("default", "default"),
            queues: vec!["default".to_owned()],
            queue_name: pattern("default", "default"),
            executors: Vec::new(),
            version_numbers: vec![1],
            try_numbers: vec![0],
            operators: vec!["PythonOperator".to_owned()],
            operator_name: pattern("python", "Python"),
            map_indexes: vec![-1],
            rendered_map_index: Pattern::default(),
        };
        let orders = "map_index -logical_date run_after data_interval_start data_interval_end \
                      state duration operator rendered_map_index id";
        let listed = reader
            .list_task_instances(&matching, &page(orders), at(30))
            .await
            .unwrap();
        assert_eq!(listed.total, 2);
        let spoilt: [fn(&mut TaskInstanceFilter); 6] = [
            |filter| filter.task_ids = Some(Vec::new()),
            |filter| filter.mapped_only = true,
            |filter| filter.states = vec![S::Failed],
            |filter| filter.duration = numbers(),
            |filter| filter.executors = vec!["other".to_owned()],
            |filter| filter.rendered_map_index = pattern("x", "~"),
        ];
        for (index, spoil) in spoilt.iter().enumerate() {
            let mut filter = matching.clone();
            spoil(&mut filter);
            let listed = reader
                .list_task_instances(&filter, &page(""), at(30))
                .await
                .unwrap();
            assert_eq!(listed.total, 0, "filter {index}");
        }
        assert!(
            reader
                .load_rendered_fields(&listed.rows)
                .await
                .unwrap()
                .is_empty()
        );
        assert!(
            reader
                .load_trigger_summaries(&[1])
                .await
                .unwrap()
                .is_empty()
        );
    });
}

#[test]
fn a_walk_meets_every_row_once_whatever_the_order() {
    on_each_backend(async |store| {
        seed(&store).await;
        let mut reader = store.read().await.unwrap();
        for (order, expected) in [
            ("logical_date", ["r3", "r1", "r2"]),
            ("-logical_date", ["r2", "r1", "r3"]),
            ("duration -run_id", ["r3", "r2", "r1"]),
            ("state run_after", ["r3", "r1", "r2"]),
        ] {
            let one = Page {
                limit: 1,
                ..page(order)
            };
            let filter = DagRunFilter::default();
            let (mut seen, mut cursor) = (Vec::new(), None);
            loop {
                let walked = reader
                    .walk_dag_runs(&filter, &one, cursor.as_ref(), at(30))
                    .await
                    .unwrap();
                assert_eq!(walked.total, 3);
                seen.extend(walked.rows.iter().map(|run| run.run_id.to_string()));
                cursor = walked.next;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(seen, expected, "{order}");
        }
    });
}

#[test]
fn the_other_lists_answer_with_every_filter_set() {
    on_each_backend(async |store| {
        seed(&store).await;
        let mut reader = store.read().await.unwrap();
        let tags = DagTagFilter {
            name: pattern("E", "~"),
        };
        let listed = reader.list_dag_tags(&tags, &page("-name")).await.unwrap();
        assert_eq!(listed.rows, ["etl"]);
        let versions = DagVersionFilter {
            dag_id: Some(dag_id()),
            version_number: Some(1),
            bundle_name: Some("dags-folder".to_owned()),
            bundle_version: None,
        };
        let order = page("-version_number bundle_name bundle_version id");
        let listed = reader.list_dag_versions(&versions, &order).await.unwrap();
        assert_eq!(listed.total, 1);
        let logs = EventLogFilter {
            dag_id: Some("etl".to_owned()),
            owner: Some("ann".to_owned()),
            included_events: vec!["trigger_dag_run".to_owned()],
            excluded_events: vec!["other".to_owned()],
            before: Some(at(6)),
            after: Some(at(4)),
            event_pattern: pattern("TRIGGER", "trig"),
            ..EventLogFilter::default()
        };
        let order = page("-when dag_id task_id run_id event logical_date owner extra");
        let listed = reader.list_event_logs(&logs, &order).await.unwrap();
        assert_eq!(listed.total, 1);
        let pools = PoolFilter {
            name: pattern("pool", "default"),
        };
        assert_eq!(
            reader
                .list_pools(&pools, &page("-name"))
                .await
                .unwrap()
                .total,
            1
        );
        empty_lists(&store).await;
        let error = reader.list_pools(&pools, &page("odd")).await.unwrap_err();
        assert!(matches!(error, ListError::UnknownOrder(name) if name == "odd"));
    });
}

/// Lists of tables without rows, so that their statements run at least.
async fn empty_lists(store: &Store) {
    let mut reader = store.read().await.unwrap();
    let any = pattern("a", "b");
    let errors = ImportErrorFilter {
        filename: any.clone(),
        exact_filename: Some("x".to_owned()),
        bundle_name: Some("y".to_owned()),
    };
    let order = page("timestamp filename bundle_name stacktrace");
    assert_eq!(
        reader
            .list_import_errors(&errors, &order)
            .await
            .unwrap()
            .total,
        0
    );
    assert_eq!(reader.find_import_error(1).await.unwrap(), None);
    let warnings = DagWarningFilter {
        dag_id: Some(dag_id()),
        warning_type: Some("x".to_owned()),
    };
    let order = page("warning_type message timestamp");
    assert_eq!(
        reader
            .list_dag_warnings(&warnings, &order)
            .await
            .unwrap()
            .total,
        0
    );
    let jobs = JobFilter {
        alive_since: Some(at(0)),
        start_date: since(0),
        end_date: since(0),
        state: Some("running".to_owned()),
        job_type: Some("SchedulerJob".to_owned()),
        hostname: Some("x".to_owned()),
    };
    let order = page("state latest_heartbeat unixname");
    assert_eq!(reader.list_jobs(&jobs, &order).await.unwrap().total, 0);
    let xcoms = XComFilter {
        dag_id: Some(dag_id()),
        run_id: Some(run_id("r1")),
        task_id: Some("a".into()),
        map_index: Some(-1),
        key: Some("k".to_owned()),
        key_pattern: any.clone(),
        dag_display_name: any.clone(),
        run_id_pattern: any.clone(),
        task_id_pattern: any.clone(),
        logical_date: since(0),
        run_after: since(0),
    };
    let order = page("run_after timestamp key");
    assert_eq!(reader.list_xcoms(&xcoms, &order).await.unwrap().total, 0);
    let variables = VariableFilter { key: any.clone() };
    let order = page("-_val description is_encrypted team_name");
    assert_eq!(
        reader
            .list_variables(&variables, &order)
            .await
            .unwrap()
            .total,
        0
    );
    let connections = ConnectionFilter { conn_id: any };
    let order = page("conn_type host port -conn_id");
    assert_eq!(
        reader
            .list_connections(&connections, &order)
            .await
            .unwrap()
            .total,
        0
    );
}

#[test]
fn the_data_version_moves_with_every_commit_and_only_then() {
    on_each_backend(async |store| {
        let version = DataVersion::new(store.clone());
        let first = version.now().await.unwrap();
        if store.dialect() == Dialect::Postgres {
            assert_eq!(first, None);
            return;
        }
        assert_eq!(version.now().await.unwrap(), first);
        let mut tx = store.write().await.unwrap();
        tx.ensure_default_pool(4).await.unwrap();
        assert_eq!(version.now().await.unwrap(), first, "not committed yet");
        tx.commit().await.unwrap();
        assert_ne!(version.now().await.unwrap(), first);
    });
}
