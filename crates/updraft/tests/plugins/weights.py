"""Weight rules of a plugin."""

from airflow.plugins_manager import AirflowPlugin
from airflow.task.priority_strategy import PriorityWeightStrategy


class Heavy(PriorityWeightStrategy):
    def get_weight(self, ti):
        return 1000 + (ti.try_number or 0)


class Raises(PriorityWeightStrategy):
    def get_weight(self, ti):
        raise ValueError("scales are broken")


class ByIndex(PriorityWeightStrategy):
    def get_weight(self, ti):
        return 10 * (2 + ti.map_index)


class Weights(AirflowPlugin):
    name = "weights"
    priority_weight_strategies = [Heavy, Raises, ByIndex]
