"""Dags that wait for assets in all the ways there are."""

from __future__ import annotations

from airflow.sdk import (
    DAG,
    Asset,
    AssetAlias,
    AssetOrTimeSchedule,
    CronTriggerTimetable,
    PartitionedAssetTimetable,
    asset,
    task,
)
from halves import Halves

never = Asset("never")
latest = AssetAlias("latest")
parts = Asset("parts")


@asset(uri="s3://shop/orders", schedule=None)
def orders(self, context):
    context["outlet_events"][self].extra = {"rows": 7}
    context["asset_state_store"][self].set("watermark", "2026-03-01")


with DAG("writes_by_alias", schedule=None):

    @task(outlets=[latest])
    def write(*, outlet_events):
        outlet_events[latest].add(Asset("report", uri="s3://shop/report"), extra={"page": 1})

    write()

with DAG("reads_both", schedule=(orders & (latest | never))):

    @task(inlets=[orders])
    def read(*, inlet_events, triggering_asset_events, asset_state_store, task_state_store):
        task_state_store.set("seen", 1)
        return {
            "inlet": [event.extra for event in inlet_events[orders]],
            "triggering": sorted(key.name for key in triggering_asset_events),
            "watermark": asset_state_store[orders].get("watermark"),
        }

    read()

yearly = CronTriggerTimetable("0 0 1 1 *", timezone="UTC")
with DAG("at_orders_or_new_year", schedule=AssetOrTimeSchedule(timetable=yearly, assets=[orders])):

    @task
    def work():
        pass

    work()

by_half = PartitionedAssetTimetable(assets=parts, default_partition_mapper=Halves())
with DAG("by_half", schedule=by_half):

    @task
    def tell(*, dag_run):
        return dag_run.partition_key

    tell()
