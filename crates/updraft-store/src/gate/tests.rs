use std::io;
use std::sync::{Arc, Mutex};

use updraft_model::variable::Variable;

use super::{Gate, Passage};
use crate::{Keyring, Store, StoreOptions};

/// A store whose gate breaks the connection wherever `breaks` says so, and what passed.
async fn kept(
    folder: &std::path::Path,
    breaks: impl Fn(&Passage) -> bool + Send + Sync + 'static,
) -> (Store, Arc<Mutex<Vec<Passage>>>) {
    let url = format!("sqlite:///{}", folder.join("updraft.db").display());
    let passed = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&passed);
    let gate = Gate::kept_by(Arc::new(move |passage: Passage| {
        let is_broken = breaks(&passage);
        noted.lock().unwrap().push(passage);
        Box::pin(async move {
            match is_broken {
                true => Err(io::Error::from(io::ErrorKind::ConnectionReset)),
                false => Ok(()),
            }
        })
    }));
    let open = async |gate| {
        let keyring = Keyring::parse("").unwrap();
        let options = StoreOptions {
            gate,
            ..StoreOptions::new(&url, keyring)
        };
        Store::open(options).await.unwrap()
    };
    open(Gate::default()).await.migrate().await.unwrap();
    (open(gate).await, passed)
}

async fn write_variable(store: &Store) -> Result<(), crate::Error> {
    let mut tx = store.write().await?;
    let variable = Variable {
        key: "k".to_owned(),
        value: "v".to_owned(),
        description: None,
        team_name: None,
    };
    tx.set_variable(&variable).await?;
    tx.commit().await
}

async fn has_variable(store: &Store) -> bool {
    let mut reader = store.read().await.unwrap();
    reader.find_variable("k").await.unwrap().is_some()
}

#[tokio::test]
async fn a_conversation_passes_every_point_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (store, passed) = kept(folder.path(), |_| false).await;
    write_variable(&store).await.unwrap();
    assert_eq!(
        *passed.lock().unwrap(),
        [
            Passage::Write,
            Passage::Statement("write a variable"),
            Passage::Commit,
            Passage::Committed(Vec::new()),
        ]
    );
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_commit_has_written_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = kept(folder.path(), |passage| *passage == Passage::Commit).await;
    let error = write_variable(&store).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(!has_variable(&store).await);
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_commit_has_written_all() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = kept(folder.path(), |passage| {
        matches!(passage, Passage::Committed(_))
    })
    .await;
    let error = write_variable(&store).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(has_variable(&store).await);
}
