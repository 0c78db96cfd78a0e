"""A partition mapper that a plugin brings along: the key up to the dash."""

from __future__ import annotations

from airflow.partition_mappers.base import PartitionMapper
from airflow.plugins_manager import AirflowPlugin


class Halves(PartitionMapper):
    def to_downstream(self, key: str) -> str:
        first, dash, _ = key.partition("-")
        if not dash:
            raise ValueError(f"{key} has one half only")
        return first


class HalvesPlugin(AirflowPlugin):
    name = "halves"
    partition_mappers = [Halves]
