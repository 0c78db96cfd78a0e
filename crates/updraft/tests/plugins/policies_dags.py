import os

from airflow.sdk import DAG, task
from airflow.task.priority_strategy import PriorityWeightStrategy
from weights import Heavy, Raises

with DAG("policies", schedule=None):

    @task
    def patient():
        return os.environ.get("AIRFLOW_CTX_SAID_BY_POLICY")

    @task
    def routed():
        pass

    @task
    def numbers():
        return [1, 2]

    @task
    def mapped(number):
        pass

    patient()
    routed()
    mapped.expand(number=numbers())

with DAG("weights", schedule=None):

    @task(weight_rule=Heavy())
    def heavy():
        return [5, 6, 7]

    @task(weight_rule=Raises(), priority_weight=4)
    def raises():
        pass

    @task(weight_rule="weights.ByIndex")
    def mapped(number):
        pass

    # Airflow writes down of this rule what nobody can read.
    @task(weight_rule=Heavy(), priority_weight=3)
    def lost(number):
        pass

    numbers = heavy()
    raises() >> mapped.expand(number=numbers) >> lost.expand(number=[1])

with DAG("skipped", schedule=None):
    patient()
