"""Records what a real Airflow answers, so that the tests can compare with it.

Run with the interpreter of an environment that holds apache-airflow-core 3.3.x:

    python record.py options      # ../options/airflow.json, the table of options
    python record.py resolution   # resolution.json, who wins for which source
    python record.py conversions  # conversions.json, what counts as a number or a truth value
    python record.py ini          # ini.json, how airflow.cfg is read
    python record.py listings     # listings.json, the text of `airflow config list`

The cases are kept in the recorded files; to add one, write it there without an answer.

`options` also wants the celery provider's package folder as a second argument, because
Updraft speaks Celery whether or not the provider is installed.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
from configparser import ConfigParser, Error
from pathlib import Path

HERE = Path(__file__).parent
# Stands for the temporary AIRFLOW_HOME in everything that is recorded.
HOME = "/airflow-home"


def export_options(celery: str) -> None:
    from airflow import configuration

    folder = Path(configuration.__file__).parent / "config_templates"
    table: dict[str, dict[str, dict]] = {}

    def add(description: dict, provider: str | None) -> None:
        for section, content in description.items():
            for key, option in content["options"].items():
                known = table.setdefault(section, {})
                if key in known:
                    continue
                known[key] = describe(option, provider)

    add(configuration.retrieve_configuration_description(include_providers=False), None)
    spec = importlib.util.spec_from_file_location("celery_info", f"{celery}/get_provider_info.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    add(module.get_provider_info()["config"], "apache-airflow-providers-celery")
    from airflow.providers_manager import ProvidersManager

    for provider, description in ProvidersManager().provider_configs:
        add(description, provider)
    add_fallbacks(table, folder / "provider_config_fallback_defaults.cfg")
    write_table(table)


def describe(option: dict, provider: str | None) -> dict:
    row: dict = {"type": option["type"]}
    default = option["default"]
    deprecated = option.get("version_deprecated") or option.get("deprecation_reason")
    if default is not None and not deprecated:
        row["default"] = effective_default(str(default), option.get("is_template", False))
    if option.get("sensitive"):
        row["sensitive"] = True
    if deprecated:
        row["deprecated"] = True
    if provider:
        row["provider"] = provider
    return row


def effective_default(text: str, is_template: bool) -> str:
    """The default as a reader sees it, but for the folder that only the reader knows."""
    if not is_template:
        secrets = {"FERNET_KEY": "", "JWT_SECRET_KEY": "", "SECRET_KEY": ""}
        try:
            text = text.format(AIRFLOW_HOME="{AIRFLOW_HOME}", **secrets)
        except (KeyError, ValueError):
            pass
    return text.replace("%%", "%")


def add_fallbacks(table: dict, path: Path) -> None:
    parser = ConfigParser()
    parser.read(path)
    for section in parser.sections():
        for key, default in parser.items(section, raw=True):
            if key in table.setdefault(section, {}):
                continue
            row: dict = {"type": "string", "default": default.replace("%%", "%")}
            if key.endswith(("password", "secret")):
                row["sensitive"] = True
            row["provider"] = "fallback"
            table[section][key] = row


def write_table(table: dict) -> None:
    lines = []
    for section, options in table.items():
        rows = ",\n".join(f"    {json.dumps(key)}: {json.dumps(row)}" for key, row in options.items())
        lines.append(f"  {json.dumps(section)}: {{\n{rows}\n  }}")
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    (HERE.parent / "options" / "airflow.json").write_text(text)


ASK = """
import json, sys, warnings
warnings.simplefilter("ignore")
from airflow.configuration import conf
from airflow.exceptions import AirflowConfigException
answers = []
for section, key in json.loads(sys.argv[1]):
    try:
        answers.append({"value": conf.get(section, key)})
    except AirflowConfigException:
        answers.append({"missing": True})
    except Exception as error:
        answers.append({"error": type(error).__name__})
print("ANSWERS" + json.dumps(answers))
"""


def run(home: str, case: dict, command: list[str]) -> subprocess.CompletedProcess:
    if "cfg" in case:
        Path(home, "airflow.cfg").write_text(case["cfg"])
    environment = {"PATH": os.environ["PATH"], "HOME": "/users/ada", "AIRFLOW_HOME": home}
    environment |= {name: value.replace(HOME, home) for name, value in case.get("env", {}).items()}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def record_resolution() -> None:
    path = HERE / "resolution.json"
    cases = json.loads(path.read_text())
    for case in cases:
        with tempfile.TemporaryDirectory() as home:
            done = run(home, case, [sys.executable, "-c", ASK, json.dumps(case["ask"])])
            found = [line for line in done.stdout.splitlines() if line.startswith("ANSWERS")]
            if found:
                case["answers"] = json.loads(found[0][len("ANSWERS") :].replace(home, HOME))
                case.pop("refused", None)
            else:
                case["refused"] = done.stderr.strip().splitlines()[-1].replace(home, HOME)
                case.pop("answers", None)
    path.write_text(json.dumps(cases, indent=1) + "\n")


def record_conversions() -> None:
    from airflow.configuration import AirflowConfigParser
    from airflow.exceptions import AirflowConfigException

    path = HERE / "conversions.json"
    texts = [row["text"] for row in json.loads(path.read_text())]
    conf = AirflowConfigParser()
    rows = []
    for text in texts:
        os.environ["AIRFLOW__CASE__OPTION"] = text
        row: dict = {"text": text}
        for name in ("getboolean", "getint", "getfloat", "getlist"):
            try:
                answer = getattr(conf, name)("case", "option")
                endless = isinstance(answer, float) and not math.isfinite(answer)
                row[name] = str(answer) if endless else answer
            except AirflowConfigException:
                row[name] = None
        rows.append(row)
    path.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


class CasePreserving(ConfigParser):
    def optionxform(self, optionstr: str) -> str:
        return optionstr


def record_ini() -> None:
    path = HERE / "ini.json"
    rows = []
    for text in [row["text"] for row in json.loads(path.read_text())]:
        parser = CasePreserving()
        row: dict = {"text": text}
        try:
            parser.read_string(text)
        except Error as error:
            row["refused"] = type(error).__name__
            rows.append(row)
            continue
        row["sections"] = {}
        for section in parser.sections():
            values = row["sections"].setdefault(section, {})
            for key in parser.options(section):
                try:
                    values[key] = parser.get(section, key)
                except Error as error:
                    values[key] = {"error": type(error).__name__}
        rows.append(row)
    path.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


def record_listings() -> None:
    path = HERE / "listings.json"
    cases = json.loads(path.read_text())
    airflow = str(Path(sys.executable).with_name("airflow"))
    for case in cases:
        with tempfile.TemporaryDirectory() as home:
            done = run(home, case, [airflow, "config", "list", *case["flags"]])
            case["printed"] = done.stdout.replace(home, HOME)
    path.write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["options", celery]:
            export_options(celery)
        case ["resolution"]:
            record_resolution()
        case ["conversions"]:
            record_conversions()
        case ["ini"]:
            record_ini()
        case ["listings"]:
            record_listings()
        case _:
            sys.exit(__doc__)
