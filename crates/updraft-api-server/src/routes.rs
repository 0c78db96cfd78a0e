//! The table of contents: every operation, in the order of Airflow's document.

use updraft_rest_api::contract;

use crate::access::Access::{Dag, Open, Pool, View};
use crate::access::Verb::{Read, Write};
use crate::state::ApiState;
use crate::table::{Operation as Op, Table};
use crate::{auth, dag_info, dag_runs, dags, event_logs, pools, service};

/// Builds the table.
pub(crate) fn table(state: &ApiState) -> Table {
    let mut table = Table::new(state.clone());
    add_auth(&mut table);
    add_dags(&mut table);
    add_dag_runs(&mut table);
    add_admin(&mut table);
    add_service(&mut table);
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
    t.add(Op::get("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}", "get_dag_run", Dag(Read)), dag_runs::get);
    t.add(Op::delete("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}", "delete_dag_run", Dag(Write)).audited(), dag_runs::delete);
}

#[rustfmt::skip]
fn add_admin(t: &mut Table) {
    t.add(Op::get("/api/v2/pools", "get_pools", Pool(Read)), pools::list);
    t.add(Op::post("/api/v2/pools", "post_pool", Pool(Write)).audited(), pools::create);
    t.add(Op::patch("/api/v2/pools", "bulk_pools", Pool(Write)).audited(), pools::bulk);
    t.add(Op::get("/api/v2/pools/{*pool_name}", "get_pool", Pool(Read)), pools::get);
    t.add(Op::patch("/api/v2/pools/{*pool_name}", "patch_pool", Pool(Write)).audited(), pools::patch);
    t.add(Op::delete("/api/v2/pools/{*pool_name}", "delete_pool", Pool(Write)).audited(), pools::delete);
    t.add(Op::get("/api/v2/eventLogs", "get_event_logs", Dag(Read)), event_logs::list);
    t.add(Op::get("/api/v2/eventLogs/{event_log_id}", "get_event_log", Dag(Read)), event_logs::get);
    t.add(Op::get("/api/v2/jobs", "get_jobs", View), event_logs::list_jobs);
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
