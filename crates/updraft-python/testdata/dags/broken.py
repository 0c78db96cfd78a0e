"""A Dag file with a mistake in it."""

from airflow.sdk import dag

raise ValueError("this Dag is broken")
