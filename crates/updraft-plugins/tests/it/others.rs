//! Everything else that is asked.

use anyhow::Result;
use serde_json::{Value, json};
use updraft_timetable::{Ask, Judged, Mapped, MapperAnswer, MapperQuestion};

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
async fn custom_partition_mappers_map_and_judge() -> Result<()> {
    let home = Home::new().await?;
    let map = |key: &str| Ask::Map {
        key: key.to_owned(),
        partition_date: Some("2026-03-01T00:00:00Z".parse().unwrap()),
    };
    let judge = |key: &str| Ask::Judge {
        downstream_key: key.to_owned(),
        source_keys: ["eu::daily".to_owned()].into(),
    };
    let strips = question(json!({"__type": STRIPS, "__var": {"prefix": "eu"}}));
    let mapped = home.plugins.ask_mapper(&strips(map("eu::daily"))).await?;
    let expected = Mapped {
        keys: vec!["daily".to_owned()],
        keys_max: None,
        partition_date: None,
    };
    assert_eq!(mapped, MapperAnswer::Mapped(expected));
    let judged = home.plugins.ask_mapper(&strips(judge("daily"))).await?;
    let satisfied = Judged {
        is_satisfied: true,
        unreachable: None,
        partition_date: Ok(None),
    };
    assert_eq!(judged, MapperAnswer::Judged(satisfied.clone()));

    let bounded = json!({
        "__type": STRIPS, "__var": {"prefix": "eu", "separator": "/", "max_downstream_keys": 3},
    });
    let bounded = question(bounded)(map("eu/x"));
    let MapperAnswer::Mapped(mapped) = home.plugins.ask_mapper(&bounded).await? else {
        panic!("it was asked to map");
    };
    assert_eq!(
        (mapped.keys, mapped.keys_max),
        (vec!["x".to_owned()], Some(3))
    );

    let rollup = json!({
        "__type": "airflow.partition_mappers.base.RollupMapper",
        "__var": {
            "upstream_mapper": {"__type": STRIPS, "__var": {"prefix": "eu"}},
            "window": {
                "__type": "airflow.partition_mappers.window.SegmentWindow",
                "__var": {"segments": ["eu::daily", "us::daily"]},
            },
            "wait_policy": {
                "__type": "airflow.partition_mappers.wait_policy.WaitForAll", "__var": {},
            },
        },
    });
    let rollup = question(rollup)(judge("daily"));
    let judged = home.plugins.ask_mapper(&rollup).await?;
    let waits = Judged {
        is_satisfied: false,
        ..satisfied
    };
    assert_eq!(judged, MapperAnswer::Judged(waits));

    let unknown = question(json!({"__type": "no.Mapper", "__var": {}}));
    let error = home.plugins.ask_mapper(&unknown(map("x"))).await;
    assert!(error.unwrap_err().to_string().contains("no.Mapper"));
    Ok(())
}

const STRIPS: &str = "airflow.example_dags.plugins.custom_partition_mapper.PrefixStripMapper";

fn question(mapper: Value) -> impl Fn(Ask) -> MapperQuestion {
    move |ask| MapperQuestion {
        class_path: STRIPS.to_owned(),
        mapper: mapper.clone(),
        ask,
    }
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
