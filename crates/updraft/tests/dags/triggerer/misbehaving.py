"""Triggers that harm the process they share with others."""

from __future__ import annotations

from airflow.sdk import DAG
from waiting import Waits

HARMFUL = [
    "blocks",
    "dies",
    "is_killed",
    "reads_address_zero",
    "floods",
    "says_what_nobody_can_read",
    "says_a_generator",
]

with DAG("misbehaving", schedule=None):
    for what in HARMFUL:
        Waits(task_id=what, what=what)
    for number in range(3):
        Waits(task_id=f"good_{number}", what="sign")
