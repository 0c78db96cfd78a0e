from airflow.sdk import DAG, Connection, Variable, task

AT_PARSE = Variable.get("of_server", default="nobody said")

with DAG("secrets", schedule=None, tags=[AT_PARSE]):

    @task
    def ask():
        names = ["of_worker", "of_server", "of_both", "of_store", "broken", "of_environment"]
        found = {name: Variable.get(name, default="nobody") for name in names}
        found["host"] = Connection.get("far").host
        print("the password is", Connection.get("far").password)
        return found

    ask()
