//! A server in this process, over a store of its own, with the Dags of `testdata/golden`.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;
use updraft_api_server::{ApiServer, ApiSettings, ApiState, HealthThresholds, hash_password};
use updraft_config::{Environment, Lookups, Settings};
use updraft_dag_run::RunRules;
use updraft_execution::{ExplainRules, LogNames};
use updraft_model::DagVersionId;
use updraft_model::dag::{Dag, NextDagRun};
use updraft_model::serialized::SerializedDag;
use updraft_runtime::{CancellationToken, Clock, Ids, Tasks};
use updraft_store::{
    DagAssets, FileError, Keyring, ParsedDag, ParsedFile, Store, StoreOptions, Tx, UserAccount,
};
use updraft_timetable::Timetable;

const FERNET_KEY: &str = "81HqDtbqAywKSOumSha3BhWNOdQ26slT6K0YaZeZyPs=";
const ANY_BODY: usize = 64 * 1024 * 1024;

/// Each user's password is their name.
const USERS: [(&str, &str); 4] = [
    ("admin", "admin"),
    ("opal", "op"),
    ("uma", "user"),
    ("vic", "viewer"),
];

pub(crate) struct App {
    pub(crate) router: Router,
    pub(crate) store: Store,
    pub(crate) server: ApiServer,
    pub(crate) shutdown: CancellationToken,
    tokens: Vec<(&'static str, String)>,
    pub(crate) home: TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) headers: Vec<(String, String)>,
}

impl App {
    pub(crate) async fn new() -> Self {
        Self::with_settings("").await
    }

    /// With lines of `airflow.cfg`.
    pub(crate) async fn with_settings(config: &str) -> Self {
        Self::with_dags(&GOLDEN, config).await
    }

    /// With the Dags of `run_dags.py` instead.
    pub(crate) async fn with_run_dags() -> Self {
        Self::with_dags(&RUN_DAGS, "").await
    }

    async fn with_dags(dags: &DagFile, config: &str) -> Self {
        Self::build(config, |store| async move { seed(&store, dags).await }).await
    }

    /// With the users, and with what `more` writes instead of the usual Dags.
    pub(crate) async fn seeded<F: Future<Output = ()>>(more: impl FnOnce(Store) -> F) -> Self {
        let seed = |store: Store| async move {
            let mut tx = store.write().await.unwrap();
            found(&mut tx, seeded_at()).await;
            tx.commit().await.unwrap();
            more(store).await;
        };
        Self::build("", seed).await
    }

    async fn build<F: Future<Output = ()>>(config: &str, seed: impl FnOnce(Store) -> F) -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(StoreOptions {
            url: format!("sqlite:///{}", home.path().join("updraft.db").display()),
            keyring: Keyring::parse(FERNET_KEY).unwrap(),
            connections_max: 4,
            lock_wait: std::time::Duration::from_secs(5),
            gate: updraft_store::Gate::default(),
        })
        .await
        .unwrap();
        store.migrate().await.unwrap();
        seed(store.clone()).await;
        let tasks = Tasks::new();
        let shutdown = tasks.shutdown();
        let state = ApiState::new(
            store.clone(),
            settings(&home, config),
            tasks,
            Clock::machine(),
            Ids::random(),
        );
        let server = ApiServer { state };
        let mut app = Self {
            router: server.router(),
            store,
            server,
            shutdown,
            tokens: Vec::new(),
            home,
        };
        for (name, _) in USERS {
            let login = json!({"username": name, "password": name});
            let reply = app.send("POST", "/auth/token", &[], Some(&login)).await;
            if let Some(token) = reply.body["access_token"].as_str() {
                app.tokens.push((name, token.to_owned()));
            }
        }
        app
    }

    /// A request as `admin`.
    pub(crate) async fn admin(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.call("admin", method, path, body).await
    }

    /// A request with a user's token.
    pub(crate) async fn call(
        &self,
        user: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Reply {
        let bearer = format!("Bearer {}", self.token(user));
        let headers = [("Authorization", bearer.as_str())];
        self.send(method, path, &headers, body.as_ref()).await
    }

    pub(crate) fn token(&self, user: &str) -> &str {
        let (_, token) = self.tokens.iter().find(|(name, _)| *name == user).unwrap();
        token
    }

    /// A request as it is; a text as body is sent as it is, everything else as JSON.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let has_kind = headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let body = match body {
            None => Body::empty(),
            Some(body) => {
                if !has_kind {
                    request = request.header(header::CONTENT_TYPE, "application/json");
                }
                match body {
                    Value::String(text) => Body::from(text.clone()),
                    other => Body::from(other.to_string()),
                }
            }
        };
        let request = request.body(body).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let headers = response.headers().iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.to_string(), value)
        });
        let headers = headers.collect();
        let bytes = to_bytes(response.into_body(), ANY_BODY).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Reply {
            status: status.as_u16(),
            body: read(&text, status),
            headers,
        }
    }
}

fn read(text: &str, status: StatusCode) -> Value {
    if text.is_empty() || status == StatusCode::NO_CONTENT {
        return Value::Null;
    }
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

fn settings(home: &TempDir, config: &str) -> ApiSettings {
    let environment = Environment::default()
        .with("AIRFLOW_HOME", home.path().display().to_string())
        .with("HOME", home.path().display().to_string());
    std::fs::write(home.path().join("airflow.cfg"), config).unwrap();
    let settings = Settings::load(&environment, &Lookups::of_machine()).unwrap();
    ApiSettings {
        home: home.path().to_owned(),
        api: settings.api,
        api_auth: settings.api_auth,
        log_names: LogNames::parse(&settings.logging.log_filename_template).unwrap(),
        logging: settings.logging,
        values: settings.values,
        connection_test_timeout: settings.connection_test.timeout,
        state_store: settings.state_store,
        run_rules: RunRules {
            allowed_run_id_pattern: settings.scheduler.allowed_run_id_pattern,
            allow_double_dot_in_ids: settings.core.allow_double_dot_in_ids,
            disable_bundle_versioning: settings.dag_processor.disable_bundle_versioning,
        },
        health: HealthThresholds {
            scheduler: settings.scheduler.health_check_threshold,
            triggerer: settings.scheduler.health_check_threshold,
            dag_processor: settings.dag_processor.health_check_threshold,
        },
        explain: ExplainRules {
            parallelism: settings.core.parallelism,
            max_task_retry_delay: SignedDuration::from_hours(24),
            executor_names: vec!["LocalExecutor".into()],
            health_check_threshold: settings.scheduler.health_check_threshold,
        },
        core: settings.core,
        jwt_secret: SecretString::from("s".repeat(64)),
        secret_key: SecretString::from("secretsecretsecretsecretsecretsecret"),
        airflow_version: "3.3.2".to_owned(),
        plugins: None,
    }
}

/// A Dag file with what a parse of it gave.
struct DagFile {
    serialized: &'static str,
    source: &'static str,
}

const GOLDEN: DagFile = DagFile {
    serialized: include_str!("../../testdata/golden/serialized.json"),
    source: include_str!("../../testdata/golden/golden_dags.py"),
};

const RUN_DAGS: DagFile = DagFile {
    serialized: include_str!("../../testdata/golden/run_dags.json"),
    source: include_str!("../../testdata/golden/run_dags.py"),
};

async fn seed(store: &Store, dags: &DagFile) {
    let now = seeded_at();
    let mut tx = store.write().await.unwrap();
    found(&mut tx, now).await;
    persist(&mut tx, dags, now).await;
    tx.commit().await.unwrap();
}

fn seeded_at() -> Timestamp {
    "2026-11-21T21:31:30Z".parse().unwrap()
}

/// What every installation has.
async fn found(tx: &mut Tx, now: Timestamp) {
    tx.ensure_default_pool(128).await.unwrap();
    tx.sync_bundles(&["dags-folder".into()]).await.unwrap();
    for (name, role) in USERS {
        tx.set_user_account(&UserAccount {
            username: name.to_owned(),
            password_hash: hash_password(name),
            role: role.to_owned(),
            created_at: now,
        })
        .await
        .unwrap();
    }
}

async fn persist(tx: &mut Tx, file: &DagFile, now: Timestamp) {
    persist_dags(tx, "golden.py", file.serialized, file.source, now).await;
    tx.persist_parse(
        &ParsedFile {
            bundle_name: "dags-folder".into(),
            relative_fileloc: "broken.py".to_owned(),
            dags: Vec::new(),
            import_errors: vec![FileError {
                filename: "broken.py".to_owned(),
                stacktrace: "Traceback (most recent call last):\n  File \"<frozen \
                             importlib._bootstrap>\", line 488, in _call_with_frames_removed\n  \
                             File \"/dags/broken.py\", line 3, in <module>\n    import \
                             nonexistent_module_for_the_test\nModuleNotFoundError: No module named \
                             'nonexistent_module_for_the_test'\n"
                    .to_owned(),
            }],
            warnings: Vec::new(),
            duration_secs: 0.25,
            content_hash: None,
        },
        now,
    )
    .await
    .unwrap();
}

/// Writes the serialized Dags of a file.
pub(crate) async fn persist_dags(
    tx: &mut Tx,
    file: &str,
    serialized: &str,
    source: &str,
    now: Timestamp,
) {
    let serialized: Value = serde_json::from_str(serialized).unwrap();
    let dags = serialized.as_object().unwrap().iter();
    let dags = dags.map(|(dag_id, data)| parsed(dag_id, file, data, source, now));
    tx.persist_parse(
        &ParsedFile {
            bundle_name: "dags-folder".into(),
            relative_fileloc: file.to_owned(),
            dags: dags.collect(),
            import_errors: Vec::new(),
            warnings: Vec::new(),
            duration_secs: 0.25,
            content_hash: None,
        },
        now,
    )
    .await
    .unwrap();
}

fn parsed(dag_id: &str, file: &str, data: &Value, source: &str, now: Timestamp) -> ParsedDag {
    let scheduled = !matches!(dag_id, "mapped" | "asks");
    let next = if dag_id == "daily_sales" {
        "2026-11-21T06:00:00Z".parse().unwrap()
    } else {
        now
    };
    let next = scheduled.then_some(next);
    let mut parsed = parsed_in(dag_id, file, data, source, now);
    parsed.dag.next_dagrun = NextDagRun {
        run_id: None,
        logical_date: next,
        data_interval_start: next,
        data_interval_end: next,
        run_after: next,
        partition_key: None,
        partition_date: None,
    };
    parsed
}

/// A Dag that is never due.
pub(crate) fn parsed_in(
    dag_id: &str,
    file: &str,
    data: &Value,
    source: &str,
    now: Timestamp,
) -> ParsedDag {
    let dag = SerializedDag::parse(data.clone()).unwrap();
    let attributes = dag.attributes();
    let timetable = Timetable::from_serialized(&attributes.timetable).unwrap();
    ParsedDag {
        dag: Dag {
            dag_id: dag_id.into(),
            dag_display_name: attributes.display_name.clone(),
            description: attributes.description.clone(),
            is_paused: true,
            is_stale: false,
            has_import_errors: false,
            exceeds_max_non_backfill: false,
            bundle_name: "dags-folder".into(),
            bundle_version: None,
            relative_fileloc: file.to_owned(),
            fileloc: format!("/dags/{file}"),
            owners: dag.tasks()[0].owner.clone(),
            tags: attributes.tags.clone(),
            timetable_summary: Some(timetable.summary()),
            timetable_description: Some(timetable.description()),
            timetable_type: attributes.timetable_type.clone(),
            timetable_partitioned: timetable.partitioned(),
            asset_expression: timetable
                .asset_schedule()
                .map(|schedule| expression(&schedule.serialized)),
            max_active_tasks: attributes.max_active_tasks,
            max_active_runs: attributes.max_active_runs,
            max_consecutive_failed_dag_runs: 0,
            has_task_concurrency_limits: false,
            fail_fast: false,
            allowed_run_types: attributes
                .allowed_run_types
                .as_ref()
                .map(|types| types.iter().map(ToString::to_string).collect()),
            next_dagrun: NextDagRun::default(),
            last_parsed_time: Some(now),
            last_parse_duration_secs: None,
            last_expired: None,
        },
        owner_links: Vec::new(),
        data: data.to_string(),
        dag_hash: "recorded".to_owned(),
        source_code: source.to_owned(),
        new_version_id: DagVersionId(Ids::random().uuid()),
        assets: DagAssets::default(),
        deadlines: Vec::new(),
    }
}

/// A condition as the Dag row has it.
fn expression(condition: &Value) -> Value {
    let objects = || -> Value {
        let objects = condition["objects"].as_array().unwrap();
        objects.iter().map(expression).collect()
    };
    let only = |keys: &[&str]| -> Value {
        let fields = keys
            .iter()
            .filter_map(|key| Some((*key, condition.get(*key)?.clone())));
        fields.map(|(key, value)| (key.to_owned(), value)).collect()
    };
    match condition["__type"].as_str().unwrap() {
        "asset" => json!({"asset": only(&["uri", "name", "group"])}),
        "asset_alias" => json!({"alias": only(&["name", "group"])}),
        "asset_ref" => json!({"asset_ref": only(&["name", "uri"])}),
        "asset_any" => json!({"any": objects()}),
        _ => json!({"all": objects()}),
    }
}
