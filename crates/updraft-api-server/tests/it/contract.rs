//! The operations we serve against those of Airflow's document.

use std::collections::BTreeSet;

use updraft_rest_api::contract;

use crate::app::App;

#[tokio::test]
async fn every_operation_of_the_document_is_served_or_listed_as_missing() {
    let app = App::new().await;
    let plain = |path: &str| path.replace("{*", "{");
    let served: BTreeSet<(String, String, String)> = app
        .server
        .operations()
        .iter()
        .filter(|operation| operation.path.starts_with("/api/v2/"))
        .map(|operation| {
            let (method, id) = (operation.method.to_owned(), operation.id.to_owned());
            (method, plain(operation.path), id)
        })
        .collect();
    let triple = |operation: contract::ContractOperation| {
        let (method, id) = (operation.method.to_owned(), operation.id.to_owned());
        (method, plain(operation.path), id)
    };
    let all: BTreeSet<_> = contract::operations().map(triple).collect();
    let missing: BTreeSet<_> = contract::missing().map(triple).collect();
    assert_eq!(all.len(), 128);
    let unknown: Vec<_> = served.difference(&all).collect();
    assert!(
        unknown.is_empty(),
        "served, but not in the document: {unknown:?}"
    );
    let both: Vec<_> = served.intersection(&missing).collect();
    assert!(
        both.is_empty(),
        "served, and yet listed as missing: {both:?}"
    );
    let neither: Vec<_> = all
        .iter()
        .filter(|each| !served.contains(*each) && !missing.contains(*each))
        .collect();
    assert!(
        neither.is_empty(),
        "neither served nor listed as missing: {neither:?}"
    );
}
