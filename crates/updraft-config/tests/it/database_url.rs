//! URLs as SQLAlchemy reads them.

use secrecy::ExposeSecret;
use updraft_config::{DatabaseUrl, DatabaseUrlError};

fn read(url: &str) -> String {
    match DatabaseUrl::parse(url) {
        Ok(DatabaseUrl::Sqlite(path)) => path.display().to_string(),
        Ok(DatabaseUrl::Postgres(url)) => url.connect_url().expose_secret().to_owned(),
        Err(error) => format!("expected {error}"),
    }
}

#[test]
fn a_driver_is_ours_to_choose() {
    for scheme in [
        "postgresql",
        "postgresql+psycopg2",
        "postgresql+psycopg",
        "postgresql+asyncpg",
        "postgres",
    ] {
        let url = read(&format!("{scheme}://ada:pw@db:5433/airflow"));
        assert_eq!(url, "postgresql://ada:pw@db:5433/airflow");
    }
}

#[test]
fn a_password_may_hold_what_a_strict_url_may_not() {
    let url = read("postgresql://ada:p/w?#:é@db/airflow?sslmode=require&application_name=a b");
    let strict =
        "postgresql://ada:p%2Fw%3F%23%3A%C3%A9@db/airflow?sslmode=require&application_name=a%20b";
    assert_eq!(url, strict);
    assert_eq!(
        read("postgresql://ada:p%40w@db/x"),
        "postgresql://ada:p%40w@db/x"
    );
    assert_eq!(
        read("postgresql://ada:50%@db/x"),
        "postgresql://ada:50%25@db/x"
    );
}

#[test]
fn parts_may_be_missing() {
    assert_eq!(read("postgresql://"), "postgresql://localhost/");
    assert_eq!(
        read("postgresql:///airflow"),
        "postgresql://localhost/airflow"
    );
    assert_eq!(
        read("postgresql://[::1]:5432/x"),
        "postgresql://[::1]:5432/x"
    );
    let socket = read("postgresql:///airflow?host=/run/postgresql&ssl=require");
    let strict = "postgresql://localhost/airflow?host=%2Frun%2Fpostgresql&sslmode=require";
    assert_eq!(socket, strict);
}

#[test]
fn sqlite_counts_slashes() {
    assert_eq!(read("sqlite:////var/lib/updraft.db"), "/var/lib/updraft.db");
    assert_eq!(read("sqlite+aiosqlite:////var/x.db?timeout=5"), "/var/x.db");
    assert_eq!(
        DatabaseUrl::parse("sqlite:///x.db").err(),
        Some(DatabaseUrlError::RelativePath)
    );
    assert_eq!(
        DatabaseUrl::parse("sqlite://").err(),
        Some(DatabaseUrlError::InMemory)
    );
    assert_eq!(
        DatabaseUrl::parse("sqlite:///:memory:").err(),
        Some(DatabaseUrlError::InMemory)
    );
}

#[test]
fn what_cannot_be_used_says_what_could() {
    assert_eq!(
        DatabaseUrl::parse("/var/x.db").err(),
        Some(DatabaseUrlError::NotAUrl)
    );
    assert_eq!(
        DatabaseUrl::parse("mysql+pymysql://a@b/c").err(),
        Some(DatabaseUrlError::MySql)
    );
    assert_eq!(
        DatabaseUrl::parse("oracle://a").err(),
        Some(DatabaseUrlError::UnknownDatabase)
    );
    assert_eq!(
        DatabaseUrl::parse("postgresql://h:0/x").err(),
        Some(DatabaseUrlError::BadPort)
    );
    assert_eq!(
        DatabaseUrl::parse("postgresql://h:x/x").err(),
        Some(DatabaseUrlError::BadPort)
    );
}

#[test]
fn a_url_prints_without_its_password() {
    let url = DatabaseUrl::parse("postgresql://ada:hunter2@db:5433/airflow").unwrap();
    assert_eq!(url.to_string(), "postgresql://db:5433/airflow");
    assert!(!format!("{url:?}").contains("hunter2"));
}
