"""Timetables that do what no timetable should do, and one that does what timetables may do."""

import os
import subprocess
import sys
import threading
import time

from airflow.plugins_manager import AirflowPlugin
from airflow.sdk import Variable
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable


class Odd(Timetable):
    """Does what its data says when it is asked for the next run."""

    def __init__(self, conduct="hang"):
        self.conduct = conduct

    def serialize(self):
        return {"conduct": self.conduct}

    @classmethod
    def deserialize(cls, data):
        return cls(data["conduct"])

    @property
    def summary(self):
        return f"odd: {self.conduct}"

    def infer_manual_data_interval(self, *, run_after):
        return DataInterval.exact(run_after)

    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        return getattr(self, self.conduct)(restriction.earliest)

    def hang(self, earliest):
        # With a child in a session of its own, which must not survive.
        subprocess.Popen(["sleep", "1234.5"], start_new_session=True)
        while True:
            time.sleep(1)

    def deaf(self, earliest):
        import signal

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.hang(earliest)

    def flood(self, earliest):
        for number in range(100_000):
            print("flood", number)
        return DagRunInfo.exact(earliest)

    def leave(self, earliest):
        print("leaving")
        sys.stdout.flush()
        os._exit(7)

    def exits(self, earliest):
        sys.exit(3)

    def raises(self, earliest):
        raise ValueError("no such day")

    def recurses(self, earliest):
        return self.recurses(earliest)

    def nonsense(self, earliest):
        return "tomorrow"

    def naive(self, earliest):
        return DagRunInfo.exact(earliest.naive())

    def closes(self, earliest):
        os.close(0)
        return DagRunInfo.exact(earliest)

    def garbage(self, earliest):
        os.write(0, b"\xff\xff\xff\xff no frame")
        time.sleep(60)

    def variable(self, earliest):
        found = []
        # From another thread as well, while this one waits for the next question.
        thread = threading.Thread(target=lambda: found.append(Variable.get("days")))
        thread.start()
        thread.join()
        assert found == [Variable.get("days")]
        return DagRunInfo.exact(earliest.add(days=int(found[0])))

    def tells_pid(self, earliest):
        with open(os.path.join(os.environ["AIRFLOW_HOME"], "helper.pid"), "w") as file:
            file.write(str(os.getpid()))
        return DagRunInfo.exact(earliest)

    def fine(self, earliest):
        return DagRunInfo.exact(earliest)


class Other(Odd):
    """The same, under another name."""


class Partitioned(Timetable):
    """Gives runs partitions and ids of its own."""

    partitioned = True
    periodic = False
    active_runs_limit = 2
    description = "One partition a week"

    def next_dagrun_info_v2(self, *, last_dagrun_info, restriction):
        date = restriction.earliest
        if last_dagrun_info:
            date = last_dagrun_info.partition_date.add(weeks=1)
        if restriction.latest and date > restriction.latest:
            return None
        return self.info(date)

    def info(self, date):
        return DagRunInfo(
            run_after=date.add(hours=1),
            data_interval=None,
            partition_date=date,
            partition_key=date.strftime("%G-W%V"),
        )

    def iter_partition_dagrun_infos(self, *, earliest, latest):
        while earliest <= latest:
            yield self.info(earliest)
            earliest = earliest.add(weeks=1)

    def _decode_partition_date(self, partition_key):
        import pendulum

        return pendulum.parse(partition_key)

    def infer_manual_data_interval(self, *, run_after):
        return DataInterval.exact(run_after)

    def generate_run_id(self, *, run_type, run_after, data_interval, **extra):
        return f"{run_type.value}-of-{extra.get('partition_key', 'nobody')}"


class OddTimetables(AirflowPlugin):
    name = "odd_timetables"
    timetables = [Odd, Other, Partitioned]
