//! Everything else that is asked.

use anyhow::Result;
use serde_json::json;

use crate::Home;

#[tokio::test(flavor = "multi_thread")]
async fn the_inventory_names_what_must_be_asked_for() -> Result<()> {
    let home = Home::new().await?;
    let inventory = home.plugins.inventory().await?;
    assert!(
        inventory
            .timetables
            .contains(&"odd_timetables.Odd".to_owned())
    );
    assert!(!inventory.mutation_hook);
    let example = "airflow.example_dags.plugins.event_listener".to_owned();
    assert_eq!(inventory.listeners["on_dag_run_success"], [example]);
    assert!(inventory.import_errors.is_empty());
    assert_eq!(home.plugins.inventory().await?, inventory);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_partition_mappers_are_called() -> Result<()> {
    let home = Home::new().await?;
    let class = "airflow.example_dags.plugins.custom_partition_mapper.PrefixStripMapper";
    let mapper = json!({"__type": class, "__var": {"prefix": "eu", "separator": "::"}});
    let call = |name: &str, arguments: Vec<serde_json::Value>| updraft_plugins::MapperCall {
        mapper: mapper.clone(),
        call: name.to_owned(),
        arguments,
    };
    let calls = [
        call("to_downstream", vec![json!("eu::daily")]),
        call("to_partition_date", vec![json!("daily")]),
        call("max_downstream_keys", vec![]),
        call("is_rollup", vec![]),
    ];
    let answers = home.plugins.map_partitions(class, &calls).await?;
    assert_eq!(
        answers,
        [json!("daily"), json!(null), json!(null), json!(false)]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_and_providers_are_listed() -> Result<()> {
    let home = Home::new().await?;
    let info = home.plugins.plugin_info().await?;
    let odd = info
        .plugins
        .iter()
        .find(|plugin| plugin["name"] == "odd_timetables")
        .expect("it is a plugin");
    assert_eq!(odd["source"], "$PLUGINS_FOLDER/odd_timetables.py");
    assert_eq!(odd["timetables"][2], "odd_timetables.Partitioned");
    let providers = home.plugins.providers().await?;
    let names: Vec<_> = providers.providers.iter().map(|each| &each.name).collect();
    assert!(
        names
            .iter()
            .any(|name| *name == "apache-airflow-providers-standard"),
        "{names:?}"
    );
    Ok(())
}
