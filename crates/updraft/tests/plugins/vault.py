"""Secrets backends: one of the workers, one of the server, each with secrets of its own."""

import json
import os

from airflow.secrets import BaseSecretsBackend


class Vault(BaseSecretsBackend):
    """Reads a file of the home; `broken` breaks it."""

    def __init__(self, file, token="nobody", greeting=""):
        self.path = os.path.join(os.environ["AIRFLOW_HOME"], file)
        self.token = token
        self.greeting = greeting

    def _find(self, kind, key):
        if key == "broken":
            raise RuntimeError("the vault is sealed")
        if self.token != "opens":
            return None
        with open(self.path) as file:
            found = json.load(file)[kind].get(key)
        return found and found.replace("GREETING", self.greeting)

    def get_conn_value(self, conn_id, team_name=None):
        return self._find("connections", conn_id)

    def get_variable(self, key, team_name=None):
        return self._find("variables", key)

    def get_config(self, key):
        return self._find("config", key)
