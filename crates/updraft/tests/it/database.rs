//! `updraft db`, on a store that is absent, old, locked or broken.

use updraft_store::{Keyring, Store, StoreOptions};

use crate::home::Home;

#[test]
fn without_a_store_commands_say_how_to_make_one_and_make_none() {
    let home = Home::empty();
    for line in ["db check", "variables list", "dags list", "jobs check"] {
        let error = home.line(line).refused(1);
        assert!(error.contains("there is no metadata store"), "{error}");
        assert!(error.contains("hint: run `updraft db migrate`"), "{error}");
    }
    assert!(!home.path().join("updraft.db").exists());
    home.line("db migrate").fine();
    let found = home.line("db check").fine();
    assert!(found.contains("updraft.db` is fine"), "{found}");
}

#[test]
fn waiting_for_migrations_ends_with_them_or_in_time() {
    let home = Home::empty();
    let error = home.line("db check-migrations -t 0").refused(1);
    assert!(error.contains("there is no metadata store"), "{error}");
    home.line("db migrate").fine();
    assert_eq!(home.line("db check-migrations").fine(), "");
}

#[test]
fn migrating_twice_changes_nothing() {
    let home = Home::migrated();
    home.line("variables set a 1").fine();
    let again = home.line("db migrate").fine();
    assert!(again.contains("up to date already"), "{again}");
    assert_eq!(home.line("variables get a").fine(), "1\n");
    assert!(
        home.line("db migrate --to-version 2.9.0")
            .refused(2)
            .contains("steps of its own")
    );
}

#[test]
fn a_reset_asks_first_and_then_leaves_nothing() {
    let home = Home::migrated();
    home.line("variables set a 1").fine();
    let kept = home.line("db reset");
    assert_eq!(kept.code, 1, "{kept:?}");
    assert_eq!(home.line("variables get a").fine(), "1\n");
    home.line("db reset -y").fine();
    assert_eq!(home.line("variables list").fine(), "No data found\n");
    assert!(home.line("pools list").fine().contains("default_pool"));
}

#[test]
fn a_file_that_is_no_database_is_named_and_left_alone() {
    let home = Home::empty();
    let garbage = "this is no database, however long one reads in it. ".repeat(100);
    std::fs::write(home.path().join("updraft.db"), &garbage).unwrap();
    for line in ["db check", "db migrate", "variables list"] {
        let error = home.line(line);
        assert_eq!(error.code, 1, "{error:?}");
        assert!(error.err.contains("is not an SQLite database"), "{error:?}");
    }
    let left = std::fs::read_to_string(home.path().join("updraft.db")).unwrap();
    assert_eq!(left, garbage);
}

#[test]
fn a_server_that_does_not_answer_is_named_without_its_password() {
    let url = "postgresql+psycopg2://me:hush@127.0.0.1:1/updraft";
    let home = Home::empty().with("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", url);
    let error = home.line("db check").refused(1);
    assert!(
        error.contains("127.0.0.1:1/updraft") && !error.contains("hush"),
        "{error}"
    );
    assert_eq!(error.matches("Connection refused").count(), 1, "{error}");
    assert!(error.contains("hint: `updraft info`"), "{error}");
}

#[test]
fn a_locked_store_can_be_read_and_its_check_says_what_holds_it() {
    let home = Home::migrated();
    home.line("variables set a 1").fine();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let url = format!("sqlite://{}", home.path().join("updraft.db").display());
        let options = StoreOptions::new(url, Keyring::parse("").unwrap());
        let store = Store::open(options).await.unwrap();
        let held = store.write().await.unwrap();
        assert_eq!(home.line("variables get a").fine(), "1\n");
        let error = home.line("db check").refused(1);
        assert!(error.contains("another process holds the lock"), "{error}");
        drop(held);
        home.line("db check").fine();
    });
}

#[test]
fn a_lost_key_is_named_and_names_can_still_be_listed() {
    let home = Home::migrated();
    home.line("variables set a 1").fine();
    let key = home.path().join("fernet.key");
    std::fs::remove_file(&key).unwrap();
    let error = home.line("variables get a").refused(1);
    assert!(error.contains("variable `a`"), "{error}");
    assert_eq!(home.line("variables list -o plain").fine(), "key\na\n");
}
