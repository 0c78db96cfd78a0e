use super::Location;

#[test]
fn a_url_may_have_three_or_four_slashes_and_a_driver() {
    for url in [
        "sqlite:///srv/updraft.db",
        "sqlite:////srv/updraft.db",
        "sqlite+aiosqlite:////srv/updraft.db?cache=shared",
    ] {
        assert_eq!(
            Location::parse(url).unwrap(),
            Location::Sqlite("/srv/updraft.db".into()),
            "{url}"
        );
    }
    let postgres = Location::parse("postgresql+psycopg2://me:s3cret@db/airflow").unwrap();
    assert_eq!(
        postgres.shown(),
        "PostgreSQL database `postgresql://me@db/airflow`"
    );
}

#[test]
fn a_url_that_is_no_place_is_refused_without_showing_the_password() {
    for (url, message) in [
        (
            "mysql://me:s3cret@db/airflow",
            "database URL `mysql://me@db/airflow`: only SQLite and PostgreSQL are supported as metadata databases",
        ),
        (
            "sqlite://relative.db",
            "database URL `sqlite://relative.db`: expected an absolute path to a file",
        ),
        (
            "updraft.db",
            "database URL `…`: expected `sqlite:///path` or `postgresql://…`",
        ),
    ] {
        assert_eq!(Location::parse(url).unwrap_err().to_string(), message);
    }
}
