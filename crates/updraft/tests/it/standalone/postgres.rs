//! A PostgreSQL database for one test.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A database of its own, dropped at the end.
pub(crate) struct Database {
    pub(crate) url: String,
    server: String,
    name: String,
}

/// A fresh database, or `None` when `UPDRAFT_TEST_POSTGRES_URL` names no server.
pub(crate) fn database() -> Option<Database> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let Some(server) = std::env::var_os("UPDRAFT_TEST_POSTGRES_URL") else {
        assert!(
            std::env::var_os("CI").is_none(),
            "UPDRAFT_TEST_POSTGRES_URL must be set in CI: both stores are proved"
        );
        println!("left out: UPDRAFT_TEST_POSTGRES_URL names no PostgreSQL server");
        return None;
    };
    let server = server.into_string().expect("a URL is text");
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("updraft_it_{}_{number}", std::process::id());
    psql(&server, &format!("CREATE DATABASE {name}"));
    let (before, _) = server.rsplit_once('/').expect("postgresql://host/database");
    Some(Database {
        url: format!("{before}/{name}"),
        server,
        name,
    })
}

impl Drop for Database {
    fn drop(&mut self) {
        psql(
            &self.server,
            &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name),
        );
    }
}

fn psql(server: &str, sql: &str) {
    let output = Command::new("psql")
        .args([
            "--no-psqlrc",
            "--quiet",
            "--dbname",
            server,
            "--command",
            sql,
        ])
        .output()
        .expect("psql is installed where PostgreSQL is");
    assert!(
        output.status.success(),
        "{sql}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
