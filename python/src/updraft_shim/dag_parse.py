"""The child that parses one Dag file, or runs callbacks the scheduler asked for."""

from __future__ import annotations


def run() -> None:
    """Answer the parse request that is the first frame on descriptor 0."""
    from airflow.dag_processing import processor

    processor._parse_file_entrypoint()
