//! The table of contents: every operation, in the order of Airflow's document.

use updraft_rest_api::contract;

use crate::access::Access::{Asset, Config, Connection, Dag, Open, Pool, Variable, View};
use crate::access::Verb::{Read, Write};
use crate::state::ApiState;
use crate::table::{Operation as Op, Table};
use crate::{
    assets, auth, backfills, config, connection_tests, connections, dag_info, dag_run_changes,
    dag_runs, dags, dependencies, event_logs, favorites, hitl, links, logs, partitions, plugins,
    pools, run_wait, service, state_stores, task_instance_changes, task_instances, variables,
    xcoms,
};

/// Where a run is.
macro_rules! run {
    () => {
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}"
    };
}

/// Where a task instance is.
macro_rules! ti {
    () => {
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}"
    };
}

/// Builds the table.
pub(crate) fn table(state: &ApiState) -> Table {
    let mut table = Table::new(state.clone());
    add_auth(&mut table);
    add_dags(&mut table);
    add_dag_runs(&mut table);
    add_task_instances(&mut table);
    add_backfills(&mut table);
    add_state_stores(&mut table);
    add_assets(&mut table);
    add_admin(&mut table);
    add_service(&mut table);
    add_own(&mut table);
    add_missing(&mut table);
    table
}

#[rustfmt::skip]
fn add_auth(t: &mut Table) {
    t.add(Op::post("/auth/token", "create_token", Open), auth::create_token);
    t.add(Op::get("/auth/token", "create_token_all_admins", Open), auth::create_token_all_admins);
    t.add(Op::get("/auth/token/login", "login_all_admins", Open), auth::login_all_admins);
    t.add(Op::post("/auth/token/cli", "create_token_cli", Open), auth::create_token_cli);
    t.add(Op::get("/api/v2/auth/login", "login", Open), auth::login);
    t.add(Op::get("/api/v2/auth/logout", "logout", Open), auth::logout);
}

#[rustfmt::skip]
fn add_dags(t: &mut Table) {
    t.add(Op::get("/api/v2/dags", "get_dags", Dag(Read)), dags::list);
    t.add(Op::patch("/api/v2/dags", "patch_dags", Dag(Write)).audited(), dags::patch_all);
    t.add(Op::get("/api/v2/dags/{dag_id}", "get_dag", Dag(Read)), dags::get);
    t.add(Op::patch("/api/v2/dags/{dag_id}", "patch_dag", Dag(Write)).audited(), dags::patch);
    t.add(Op::delete("/api/v2/dags/{dag_id}", "delete_dag", Dag(Write)).audited(), dags::delete);
    t.add(Op::post("/api/v2/dags/{dag_id}/favorite", "favorite_dag", Dag(Read)).audited(), favorites::add);
    t.add(Op::post("/api/v2/dags/{dag_id}/unfavorite", "unfavorite_dag", Dag(Read)).audited(), favorites::remove);
    t.add(Op::get("/api/v2/dags/{dag_id}/details", "get_dag_details", Dag(Read)), dags::details);
    t.add(Op::put("/api/v2/parseDagFile/{file_token}", "reparse_dag_file", Dag(Write)).audited(), dags::parse_file);
    t.add(Op::get("/api/v2/dagTags", "get_dag_tags", Dag(Read)), dag_info::list_tags);
    t.add(Op::get("/api/v2/dags/{dag_id}/dagVersions", "get_dag_versions", Dag(Read)), dag_info::list_versions);
    t.add(Op::get("/api/v2/dags/{dag_id}/dagVersions/{version_number}", "get_dag_version", Dag(Read)), dag_info::get_version);
    t.add(Op::get("/api/v2/dagSources/{dag_id}", "get_dag_source", Dag(Read)), dag_info::get_source);
    t.add(Op::get("/api/v2/dagStats", "get_dag_stats", Dag(Read)), dag_info::stats);
    t.add(Op::get("/api/v2/dagWarnings", "list_dag_warnings", Dag(Read)), dag_info::list_warnings);
    t.add(Op::get("/api/v2/importErrors", "get_import_errors", View), dag_info::list_import_errors);
    t.add(Op::get("/api/v2/importErrors/{import_error_id}", "get_import_error", View), dag_info::get_import_error);
    t.add(Op::get("/api/v2/dags/{dag_id}/tasks", "get_tasks", Dag(Read)), dag_info::list_tasks);
    t.add(Op::get("/api/v2/dags/{dag_id}/tasks/{task_id}", "get_task", Dag(Read)), dag_info::get_task);
}

#[rustfmt::skip]
fn add_dag_runs(t: &mut Table) {
    t.add(Op::get("/api/v2/dags/{dag_id}/dagRuns", "get_dag_runs", Dag(Read)), dag_runs::list);
    t.add(Op::post("/api/v2/dags/{dag_id}/dagRuns", "trigger_dag_run", Dag(Write)).audited(), dag_runs::trigger);
    t.add(Op::post("/api/v2/dags/{dag_id}/dagRuns/list", "get_list_dag_runs_batch", Dag(Read)), dag_runs::list_batch);
    t.add(Op::patch("/api/v2/dags/{dag_id}/dagRuns", "bulk_dag_runs", Dag(Write)).audited(), dag_run_changes::bulk);
    t.add(Op::patch("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}", "patch_dag_run", Dag(Write)).audited(), dag_run_changes::patch);
    t.add(Op::post("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/clear", "clear_dag_run", Dag(Write)).audited(), dag_run_changes::clear_one);
    t.add(Op::post("/api/v2/dags/{dag_id}/clearDagRuns", "clear_dag_runs", Dag(Write)).audited(), dag_run_changes::clear_many);
    t.add(Op::post("/api/v2/dags/{dag_id}/clearPartitions", "clear_dag_run_partitions", Dag(Write)).audited(), partitions::clear_partitions);
    t.add(Op::get("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}", "get_dag_run", Dag(Read)), dag_runs::get);
    t.add(Op::delete("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}", "delete_dag_run", Dag(Write)).audited(), dag_runs::delete);
    t.add(Op::get("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/wait", "wait_dag_run_until_finished", Dag(Read)), run_wait::wait);
}

#[rustfmt::skip]
fn add_backfills(t: &mut Table) {
    t.add(Op::get("/api/v2/backfills", "list_backfills", Dag(Read)), backfills::list);
    t.add(Op::post("/api/v2/backfills", "create_backfill", Dag(Write)).audited(), backfills::create);
    t.add(Op::get("/api/v2/backfills/{backfill_id}", "get_backfill", Dag(Read)), backfills::get);
    t.add(Op::put("/api/v2/backfills/{backfill_id}/pause", "pause_backfill", Dag(Write)).audited(), backfills::pause);
    t.add(Op::put("/api/v2/backfills/{backfill_id}/unpause", "unpause_backfill", Dag(Write)).audited(), backfills::unpause);
    t.add(Op::put("/api/v2/backfills/{backfill_id}/cancel", "cancel_backfill", Dag(Write)).audited(), backfills::cancel);
    t.add(Op::post("/api/v2/backfills/dry_run", "create_backfill_dry_run", Dag(Write)), backfills::dry_run);
}

#[rustfmt::skip]
fn add_task_instances(t: &mut Table) {
    t.add(Op::get(concat!(run!(), "/taskInstances"), "get_task_instances", Dag(Read)), task_instances::list);
    t.add(Op::post(concat!(run!(), "/taskInstances/list"), "get_task_instances_batch", Dag(Read)).audited(), task_instances::list_batch);
    t.add(Op::patch(concat!(run!(), "/taskInstances"), "bulk_task_instances", Dag(Write)), task_instance_changes::bulk);
    t.add(Op::post("/api/v2/dags/{dag_id}/clearTaskInstances", "post_clear_task_instances", Dag(Write)).audited(), task_instance_changes::clear_many);
    t.add(Op::patch(concat!(run!(), "/taskGroupInstances/{group_id}"), "patch_task_group_instances", Dag(Write)).audited(), task_instance_changes::patch_group);
    t.add(Op::patch(concat!(run!(), "/taskGroupInstances/{group_id}/dry_run"), "patch_task_group_instances_dry_run", Dag(Write)), task_instance_changes::dry_run_group);
    t.add(Op::get(concat!(ti!(), ""), "get_task_instance", Dag(Read)), task_instances::get);
    t.add(Op::patch(concat!(ti!(), ""), "patch_task_instance", Dag(Write)).audited(), task_instance_changes::patch);
    t.add(Op::delete(concat!(ti!(), ""), "delete_task_instance", Dag(Write)), task_instance_changes::delete);
    t.add(Op::patch(concat!(ti!(), "/dry_run"), "patch_task_instance_dry_run", Dag(Write)), task_instance_changes::dry_run);
    t.add(Op::patch(concat!(ti!(), "/{map_index}"), "patch_task_instance_by_map_index", Dag(Write)).audited(), task_instance_changes::patch_mapped);
    t.add(Op::patch(concat!(ti!(), "/{map_index}/dry_run"), "patch_task_instance_dry_run_by_map_index", Dag(Write)), task_instance_changes::dry_run_mapped);
    t.add(Op::get(concat!(ti!(), "/listMapped"), "get_mapped_task_instances", Dag(Read)), task_instances::list_mapped);
    t.add(Op::get(concat!(ti!(), "/dependencies"), "get_task_instance_dependencies", Dag(Read)), task_instances::dependencies);
    t.add(Op::get(concat!(ti!(), "/{map_index}/dependencies"), "get_task_instance_dependencies_by_map_index", Dag(Read)), task_instances::dependencies_mapped);
    t.add(Op::get(concat!(ti!(), "/tries"), "get_task_instance_tries", Dag(Read)), task_instances::tries);
    t.add(Op::get(concat!(ti!(), "/{map_index}/tries"), "get_mapped_task_instance_tries", Dag(Read)), task_instances::tries_mapped);
    t.add(Op::get(concat!(ti!(), "/tries/{task_try_number}"), "get_task_instance_try_details", Dag(Read)), task_instances::try_details);
    t.add(Op::get(concat!(ti!(), "/{map_index}/tries/{task_try_number}"), "get_mapped_task_instance_try_details", Dag(Read)), task_instances::try_details_mapped);
    t.add(Op::get(concat!(ti!(), "/{map_index}"), "get_mapped_task_instance", Dag(Read)), task_instances::get_mapped);
    t.add(Op::get(concat!(ti!(), "/links"), "get_extra_links", Dag(Read)), links::list);
    t.add(Op::get(concat!(ti!(), "/logs/{try_number}"), "get_log", Dag(Read)), logs::get);
    t.add(Op::get(concat!(ti!(), "/externalLogUrl/{try_number}"), "get_external_log_url", Dag(Read)), logs::external_url);
    t.add(Op::patch(concat!(ti!(), "/{map_index}/hitlDetails"), "update_hitl_detail", Dag(Write)).audited(), hitl::answer);
    t.add(Op::get(concat!(ti!(), "/{map_index}/hitlDetails"), "get_hitl_detail", Dag(Read)), hitl::get);
    t.add(Op::get(concat!(ti!(), "/{map_index}/hitlDetails/tries/{try_number}"), "get_hitl_detail_try_detail", Dag(Read)), hitl::get_try);
    t.add(Op::get(concat!(run!(), "/hitlDetails"), "get_hitl_details", Dag(Read)), hitl::list);
    t.add(Op::get(concat!(ti!(), "/xcomEntries"), "get_xcom_entries", Dag(Read)), xcoms::list);
    t.add(Op::post(concat!(ti!(), "/xcomEntries"), "create_xcom_entry", Dag(Write)).audited(), xcoms::create);
    t.add(Op::get(concat!(ti!(), "/xcomEntries/{*xcom_key}"), "get_xcom_entry", Dag(Read)), xcoms::get);
    t.add(Op::patch(concat!(ti!(), "/xcomEntries/{*xcom_key}"), "update_xcom_entry", Dag(Write)).audited(), xcoms::update);
    t.add(Op::delete(concat!(ti!(), "/xcomEntries/{*xcom_key}"), "delete_xcom_entry", Dag(Write)).audited(), xcoms::delete);
}

/// What Airflow does not have.
#[rustfmt::skip]
fn add_own(t: &mut Table) {
    t.add(Op::get("/updraft/v1/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/explanation", "explain_task_instance", Dag(Read)), dependencies::explain);
}

#[rustfmt::skip]
fn add_state_stores(t: &mut Table) {
    t.add(Op::get(concat!(ti!(), "/state-store"), "list_task_state_store", Dag(Read)), state_stores::list_of_task);
    t.add(Op::delete(concat!(ti!(), "/state-store"), "clear_task_state_store", Dag(Write)), state_stores::clear_of_task);
    t.add(Op::get(concat!(ti!(), "/state-store/{*key}"), "get_task_state_store", Dag(Read)), state_stores::get_of_task);
    t.add(Op::put(concat!(ti!(), "/state-store/{*key}"), "set_task_state_store", Dag(Write)), state_stores::set_of_task);
    t.add(Op::patch(concat!(ti!(), "/state-store/{*key}"), "patch_task_state_store", Dag(Write)), state_stores::patch_of_task);
    t.add(Op::delete(concat!(ti!(), "/state-store/{*key}"), "delete_task_state_store", Dag(Write)), state_stores::delete_of_task);
    t.add(Op::get("/api/v2/assets/{asset_id}/state-store", "list_asset_state_store", Asset(Read)), state_stores::list_of_asset);
    t.add(Op::delete("/api/v2/assets/{asset_id}/state-store", "clear_asset_state_store", Asset(Write)), state_stores::clear_of_asset);
    t.add(Op::get("/api/v2/assets/{asset_id}/state-store/{*key}", "get_asset_state_store", Asset(Read)), state_stores::get_of_asset);
    t.add(Op::put("/api/v2/assets/{asset_id}/state-store/{*key}", "set_asset_state_store", Asset(Write)), state_stores::set_of_asset);
    t.add(Op::delete("/api/v2/assets/{asset_id}/state-store/{*key}", "delete_asset_state_store", Asset(Write)), state_stores::delete_of_asset);
}

#[rustfmt::skip]
fn add_assets(t: &mut Table) {
    t.add(Op::get("/api/v2/assets", "get_assets", Asset(Read)), assets::list);
    t.add(Op::get("/api/v2/assets/aliases", "get_asset_aliases", Asset(Read)), assets::list_aliases);
    t.add(Op::get("/api/v2/assets/aliases/{asset_alias_id}", "get_asset_alias", Asset(Read)), assets::get_alias);
    t.add(Op::get("/api/v2/assets/events", "get_asset_events", Asset(Read)), assets::list_events);
    t.add(Op::post("/api/v2/assets/events", "create_asset_event", Asset(Write)).audited(), assets::create_event);
    t.add(Op::post("/api/v2/assets/{asset_id}/materialize", "materialize_asset", Asset(Write)).audited(), assets::materialize);
    t.add(Op::get("/api/v2/assets/{asset_id}/queuedEvents", "get_asset_queued_events", Asset(Read)), assets::list_queued);
    t.add(Op::delete("/api/v2/assets/{asset_id}/queuedEvents", "delete_asset_queued_events", Asset(Write)).audited(), assets::delete_queued);
    t.add(Op::get("/api/v2/assets/{asset_id}", "get_asset", Asset(Read)), assets::get);
    t.add(Op::get("/api/v2/dags/{dag_id}/assets/queuedEvents", "get_dag_asset_queued_events", Asset(Read)), assets::list_queued);
    t.add(Op::delete("/api/v2/dags/{dag_id}/assets/queuedEvents", "delete_dag_asset_queued_events", Asset(Write)).audited(), assets::delete_queued);
    t.add(Op::get("/api/v2/dags/{dag_id}/assets/{asset_id}/queuedEvents", "get_dag_asset_queued_event", Asset(Read)), assets::get_queued);
    t.add(Op::delete("/api/v2/dags/{dag_id}/assets/{asset_id}/queuedEvents", "delete_dag_asset_queued_event", Asset(Write)).audited(), assets::delete_queued);
    t.add(Op::get(concat!(run!(), "/upstreamAssetEvents"), "get_upstream_asset_events", Asset(Read)), assets::upstream_events);
}

#[rustfmt::skip]
fn add_admin(t: &mut Table) {
    t.add(Op::get("/api/v2/pools", "get_pools", Pool(Read)), pools::list);
    t.add(Op::post("/api/v2/pools", "post_pool", Pool(Write)).audited(), pools::create);
    t.add(Op::patch("/api/v2/pools", "bulk_pools", Pool(Write)).audited(), pools::bulk);
    t.add(Op::get("/api/v2/pools/{*pool_name}", "get_pool", Pool(Read)), pools::get);
    t.add(Op::patch("/api/v2/pools/{*pool_name}", "patch_pool", Pool(Write)).audited(), pools::patch);
    t.add(Op::delete("/api/v2/pools/{*pool_name}", "delete_pool", Pool(Write)).audited(), pools::delete);
    t.add(Op::get("/api/v2/variables", "get_variables", Variable), variables::list);
    t.add(Op::post("/api/v2/variables", "post_variable", Variable).audited(), variables::create);
    t.add(Op::patch("/api/v2/variables", "bulk_variables", Variable).audited(), variables::bulk);
    t.add(Op::get("/api/v2/variables/{*variable_key}", "get_variable", Variable), variables::get);
    t.add(Op::patch("/api/v2/variables/{*variable_key}", "patch_variable", Variable).audited(), variables::patch);
    t.add(Op::delete("/api/v2/variables/{*variable_key}", "delete_variable", Variable).audited(), variables::delete);
    t.add(Op::get("/api/v2/connections", "get_connections", Connection), connections::list);
    t.add(Op::post("/api/v2/connections", "post_connection", Connection).audited(), connections::create);
    t.add(Op::patch("/api/v2/connections", "bulk_connections", Connection).audited(), connections::bulk);
    t.add(Op::post("/api/v2/connections/test", "test_connection", Connection), connection_tests::test);
    // Who may test what is told by the handler, in Airflow's words.
    t.add(Op::get("/api/v2/connections/enqueue-test", "get_connection_test", View), connection_tests::get);
    t.add(Op::post("/api/v2/connections/enqueue-test", "enqueue_connection_test", View).audited(), connection_tests::enqueue);
    t.add(Op::get("/api/v2/connections/{connection_id}", "get_connection", Connection), connections::get);
    t.add(Op::patch("/api/v2/connections/{connection_id}", "patch_connection", Connection).audited(), connections::patch);
    t.add(Op::delete("/api/v2/connections/{connection_id}", "delete_connection", Connection).audited(), connections::delete);
    t.add(Op::get("/api/v2/config", "get_config", Config), config::list);
    t.add(Op::get("/api/v2/config/section/{section}/option/{option}", "get_config_value", Config), config::get);
    t.add(Op::get("/api/v2/eventLogs", "get_event_logs", Dag(Read)), event_logs::list);
    t.add(Op::get("/api/v2/eventLogs/{event_log_id}", "get_event_log", Dag(Read)), event_logs::get);
    t.add(Op::get("/api/v2/jobs", "get_jobs", View), event_logs::list_jobs);
    t.add(Op::get("/api/v2/plugins", "get_plugins", View), plugins::list);
    t.add(Op::get("/api/v2/plugins/importErrors", "import_errors", View), plugins::import_errors);
    t.add(Op::get("/api/v2/providers", "get_providers", View), plugins::providers);
}

#[rustfmt::skip]
fn add_service(t: &mut Table) {
    t.add(Op::get("/api/v2/monitor/health", "get_health", Open), service::health);
    t.add(Op::get("/api/v2/version", "get_version", Open), service::version);
}

/// Operations of the contract that are not there yet say so, instead of looking like a wrong URL.
fn add_missing(table: &mut Table) {
    for operation in contract::missing() {
        table.add_unavailable(operation);
    }
}
