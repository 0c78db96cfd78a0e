//! Gives every test its own database on every backend.
//!
//! SQLite always runs. PostgreSQL runs when `UPDRAFT_TEST_POSTGRES_URL` names a server on which we
//! may create databases; in CI that variable is mandatory.

use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use updraft_store::{Keyring, Store, StoreOptions};
use uuid::Uuid;

/// A made-up key, so that every test also proves that encryption at rest is undone on the way out.
pub(crate) const FERNET_KEY: &str = "Nk2LrRmoT9bPzQ6cQbzYx1Jm1l8cVdX0sXbqgG5l6cE=";

/// Serialises the making of the template among test processes.
const TEMPLATE_LOCK: i64 = 7_310_542;

/// Runs `body` on a fresh, migrated store of each backend.
pub(crate) fn on_each_backend(body: impl AsyncFn(Store)) {
    on_sqlite(&body);
    if let Some(server) = postgres_server() {
        on_postgres(&server, &body);
    }
}

/// Runs `body` on PostgreSQL only, for what takes two transactions at once; needs a server.
pub(crate) fn on_postgres_if_any(body: impl AsyncFn(Store)) {
    if let Some(server) = postgres_server() {
        on_postgres(&server, &body);
    }
}

/// Runs `body` on SQLite only, for what only a file can do.
pub(crate) fn on_sqlite(body: impl AsyncFn(Store)) {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&sqlite_url(&folder)).await;
        store.migrate().await.unwrap();
        body(store.clone()).await;
        store.close().await;
    });
}

pub(crate) fn sqlite_url(folder: &tempfile::TempDir) -> String {
    format!("sqlite://{}", folder.path().join("updraft.db").display())
}

pub(crate) async fn open(url: &str) -> Store {
    Store::open(options(url)).await.unwrap()
}

pub(crate) fn options(url: &str) -> StoreOptions {
    StoreOptions {
        lock_wait: Duration::from_millis(50),
        ..StoreOptions::new(url, Keyring::parse(FERNET_KEY).unwrap())
    }
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test has no configuration file to read the server from"
)]
pub(crate) fn postgres_server() -> Option<String> {
    let server = std::env::var("UPDRAFT_TEST_POSTGRES_URL").ok();
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(
        server.is_some() || !in_ci,
        "UPDRAFT_TEST_POSTGRES_URL must be set in CI: the suite proves both backends"
    );
    server
}

fn on_postgres(server: &str, body: &impl AsyncFn(Store)) {
    runtime().block_on(async {
        let name = format!("updraft_test_{}", Uuid::new_v4().simple());
        create_database(server, &name).await;
        let store = open(&with_database(server, &name)).await;
        let outcome = catch_unwind(body(store.clone())).await;
        store.close().await;
        run_on_server(server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
    });
}

async fn catch_unwind(body: impl Future<Output = ()>) -> std::thread::Result<()> {
    let mut body = Box::pin(AssertUnwindSafe(body));
    std::future::poll_fn(move |context| {
        std::panic::catch_unwind(AssertUnwindSafe(|| body.as_mut().poll(context))).map_or_else(
            |panic| std::task::Poll::Ready(Err(panic)),
            |poll| poll.map(Ok),
        )
    })
    .await
}

/// Copies a template that was migrated once per schema: far quicker than migrating per test.
async fn create_database(server: &str, name: &str) {
    let template = format!("updraft_template_{:x}", schema_fingerprint());
    let mut connection = PgConnection::connect(server).await.unwrap();
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(TEMPLATE_LOCK)
        .execute(&mut connection)
        .await
        .unwrap();
    let exists: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(&template)
            .fetch_one(&mut connection)
            .await
            .unwrap();
    if !exists {
        let half_made = format!("{template}_new");
        run_on_server(server, &format!("DROP DATABASE IF EXISTS {half_made}")).await;
        run_on_server(server, &format!("CREATE DATABASE {half_made}")).await;
        let store = open(&with_database(server, &half_made)).await;
        store.migrate().await.unwrap();
        store.close().await;
        let rename = format!("ALTER DATABASE {half_made} RENAME TO {template}");
        run_on_server(server, &rename).await;
    }
    run_on_server(
        server,
        &format!("CREATE DATABASE {name} TEMPLATE {template}"),
    )
    .await;
    connection.close().await.unwrap();
}

async fn run_on_server(server: &str, sql: &str) {
    let mut connection = PgConnection::connect(server).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

/// Of every step, so that a template never has an older schema than the program.
fn schema_fingerprint() -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres");
    let steps = std::fs::read_dir(folder).unwrap();
    let mut steps: Vec<_> = steps.map(|step| step.unwrap().path()).collect();
    steps.sort();
    let mut hasher = DefaultHasher::new();
    for step in steps {
        std::fs::read_to_string(step).unwrap().hash(&mut hasher);
    }
    hasher.finish()
}

/// The server's URL with another database in it.
pub(crate) fn with_database(server: &str, name: &str) -> String {
    let (address, query) = server.split_once('?').unwrap_or((server, ""));
    let authority_start = address.find("://").map_or(0, |at| at + 3);
    let authority_end = address[authority_start..]
        .find('/')
        .map_or(address.len(), |at| authority_start + at);
    format!("{}/{name}?{query}", &address[..authority_end])
}
