//! Variables and connections, which are encrypted at rest.

use updraft_model::connection::Connection;
use updraft_model::variable::Variable;
use updraft_store::{Error, Keyring, Store, StoreOptions};

use crate::backends::{on_each_backend, options, runtime, sqlite_url};

fn variable(key: &str, value: &str) -> Variable {
    Variable {
        key: key.into(),
        value: value.into(),
        description: None,
        team_name: None,
    }
}

fn connection(conn_id: &str) -> Connection {
    Connection {
        conn_id: conn_id.into(),
        conn_type: "postgres".into(),
        description: Some("the warehouse".into()),
        host: Some("db.example".into()),
        schema: Some("facts".into()),
        login: Some("reader".into()),
        password: Some("sësame".into()),
        port: Some(5433),
        extra: Some(r#"{"sslmode": "require"}"#.into()),
        team_name: Some("red".into()),
    }
}

#[test]
fn variables_are_created_once_replaced_whole_and_deleted_once() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        assert!(tx.create_variable(&variable("b", "1")).await.unwrap());
        assert!(!tx.create_variable(&variable("b", "2")).await.unwrap());
        let replacement = Variable {
            description: Some("a letter".into()),
            team_name: Some("red".into()),
            ..variable("a", "{\"x\": 1}")
        };
        tx.set_variable(&variable("a", "old")).await.unwrap();
        tx.set_variable(&replacement).await.unwrap();
        tx.commit().await.unwrap();

        let mut reader = store.read().await.unwrap();
        let all = reader.load_variables().await.unwrap();
        assert_eq!(all, [replacement, variable("b", "1")]);
        assert_eq!(reader.load_variable_keys().await.unwrap(), ["a", "b"]);
        assert_eq!(reader.find_variable("c").await.unwrap(), None);
        drop(reader);

        let mut tx = store.write().await.unwrap();
        assert!(tx.delete_variable("a").await.unwrap());
        assert!(!tx.delete_variable("a").await.unwrap());
        assert_eq!(tx.find_variable("a").await.unwrap(), None);
    });
}

#[test]
fn connections_keep_every_field_and_are_replaced_whole() {
    on_each_backend(async |store| {
        let bare = Connection {
            description: None,
            host: None,
            schema: None,
            login: None,
            password: None,
            port: None,
            extra: None,
            team_name: None,
            ..connection("bare")
        };
        let mut tx = store.write().await.unwrap();
        assert!(tx.create_connection(&connection("full")).await.unwrap());
        assert!(!tx.create_connection(&bare_as("full", &bare)).await.unwrap());
        tx.set_connection(&connection("bare")).await.unwrap();
        tx.set_connection(&bare).await.unwrap();
        tx.commit().await.unwrap();

        let mut reader = store.read().await.unwrap();
        let all = reader.load_connections().await.unwrap();
        assert_eq!(all, [bare, connection("full")]);
        assert!(reader.find_connection("none").await.unwrap().is_none());
        drop(reader);

        let mut tx = store.write().await.unwrap();
        assert!(tx.delete_connection("full").await.unwrap());
        assert!(!tx.delete_connection("full").await.unwrap());
    });
}

fn bare_as(conn_id: &str, bare: &Connection) -> Connection {
    Connection {
        conn_id: conn_id.into(),
        ..bare.clone()
    }
}

#[test]
fn a_secret_needs_the_key_it_was_sealed_with() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(options(&sqlite_url(&folder))).await.unwrap();
        store.migrate().await.unwrap();
        let mut tx = store.write().await.unwrap();
        tx.set_variable(&variable("token", "t0p")).await.unwrap();
        tx.set_connection(&connection("db")).await.unwrap();
        tx.commit().await.unwrap();
        store.close().await;

        let file = std::fs::read(folder.path().join("updraft.db")).unwrap();
        let holds = |text: &str| file.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(holds("db.example"));
        assert!(!holds("t0p") && !holds("sësame") && !holds("sslmode"));

        let other_key = Keyring::parse("UGd2VjQ1a0F5cTd0V2JkR3hYcE5oTHoyU3JKc0NmRTg=").unwrap();
        let options = StoreOptions::new(sqlite_url(&folder), other_key);
        let store = Store::open(options).await.unwrap();
        let mut reader = store.read().await.unwrap();
        let error = reader.find_variable("token").await.unwrap_err();
        assert!(matches!(&error, Error::Undecryptable { what } if what.contains("token")));
        let error = reader.load_connections().await.unwrap_err();
        assert!(error.to_string().contains("password of connection `db`"));
        // Names need no key.
        assert_eq!(reader.load_variable_keys().await.unwrap(), ["token"]);
    });
}
