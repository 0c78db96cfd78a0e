"""Timetables of plugins: one that hangs until somebody puts a file, one that names its runs."""

import os
import time

from airflow.plugins_manager import AirflowPlugin
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable


class Hangs(Timetable):
    """Every day, once it may."""

    def infer_manual_data_interval(self, *, run_after):
        return DataInterval.exact(run_after)

    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        mended = os.path.join(os.environ["AIRFLOW_HOME"], "mended")
        with open(os.path.join(os.environ["AIRFLOW_HOME"], "asked"), "a") as file:
            file.write("x")
        while not os.path.exists(mended):
            time.sleep(0.1)
        if last_automated_data_interval is None:
            return DagRunInfo.exact(restriction.earliest)
        return None


class Names(Timetable):
    """Two runs, a day apart, with names of its own."""

    description = "Two of them"

    def __init__(self, prefix="nobody"):
        self.prefix = prefix

    def serialize(self):
        return {"prefix": self.prefix}

    @classmethod
    def deserialize(cls, data):
        return cls(data["prefix"])

    @property
    def summary(self):
        return f"two of {self.prefix}"

    def infer_manual_data_interval(self, *, run_after):
        return DataInterval(start=run_after.subtract(days=7), end=run_after)

    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        if last_automated_data_interval is None:
            start = restriction.earliest
        elif last_automated_data_interval.start == restriction.earliest:
            start = restriction.earliest.add(days=1)
        else:
            return None
        return DagRunInfo.interval(start, start.add(days=1))

    def generate_run_id(self, *, run_type, run_after, data_interval, **extra):
        return f"{self.prefix}-{run_type.value}-{data_interval.start:%Y%m%d}"


class Clocks(AirflowPlugin):
    name = "clocks"
    timetables = [Hangs, Names]
