"""Dags whose asset answers are recorded. Their names are in the order in which their assets come."""
from __future__ import annotations

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import (
    DAG,
    Asset,
    AssetAlias,
    CronPartitionTimetable,
    Param,
    PartitionedAssetTimetable,
    PartitionedAtRuntime,
    StartOfDayMapper,
)

raw = Asset("raw", uri="s3://bucket/raw", group="files", extra={"owner": "ann"})
clean = Asset("clean", uri="s3://bucket/clean", extra={"password": "hidden", "rows": 7})
report = Asset("report", uri="s3://bucket/report")
restricted = Asset("restricted", uri="s3://bucket/restricted")
parametrised = Asset("parametrised", uri="s3://bucket/parametrised")
partitioned = Asset("partitioned", uri="s3://bucket/partitioned")
latest = AssetAlias("latest", group="aliases")

with DAG("a_produce_raw", schedule=None):
    EmptyOperator(task_id="write", outlets=[raw])
with DAG("b_produce_clean", schedule=[raw]):
    EmptyOperator(task_id="read", inlets=[raw]) >> EmptyOperator(task_id="write", outlets=[clean])
with DAG("c_produce_clean_too", schedule=None):
    EmptyOperator(task_id="write", outlets=[clean])
with DAG("d_wait_for_both", dag_display_name="Waits for both", schedule=(raw & clean)):
    EmptyOperator(task_id="only")
with DAG("e_by_alias", schedule=latest):
    EmptyOperator(task_id="only")
with DAG("f_produce_report", schedule=None):
    EmptyOperator(task_id="write", outlets=[report, latest])
with DAG("g_by_reference", schedule=(Asset.ref(name="raw") | Asset.ref(uri="s3://bucket/clean"))):
    EmptyOperator(task_id="only")
with DAG("h_restricted", schedule=None, allowed_run_types=["manual"]):
    EmptyOperator(task_id="write", outlets=[restricted])
with DAG("i_with_params", schedule=None, params={"region": Param("eu", type="string", enum=["eu", "us"])}):
    EmptyOperator(task_id="write", outlets=[parametrised])
with DAG("j_partitioned", schedule=PartitionedAssetTimetable(assets=partitioned, default_partition_mapper=StartOfDayMapper())):
    EmptyOperator(task_id="only")
with DAG("k_at_runtime", schedule=PartitionedAtRuntime()):
    EmptyOperator(task_id="first") >> EmptyOperator(task_id="second")
with DAG("l_by_cron", schedule=CronPartitionTimetable("0 0 * * *", timezone="America/New_York", key_format="%Y-%m-%d")):
    EmptyOperator(task_id="only")
