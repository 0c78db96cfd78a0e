"""Says what an interpreter has, as one JSON object, without importing Airflow.

Reading the metadata of installed distributions takes milliseconds where the import takes a
second, and works where the import would fail.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import sysconfig
from importlib import metadata
from typing import Any

_PROVIDER_PREFIX = "apache-airflow-providers-"


def main() -> None:
    """Print the probe."""
    json.dump(probe(), sys.stdout)


def probe() -> dict[str, Any]:
    """Describe the interpreter; `airflow` is null where there is none."""
    return {
        "executable": sys.executable,
        "python": platform.python_version(),
        "site_packages": sysconfig.get_path("purelib"),
        "airflow": _airflow(),
    }


def _airflow() -> dict[str, Any] | None:
    try:
        core = metadata.distribution("apache-airflow-core")
        task_sdk = metadata.version("apache-airflow-task-sdk")
    except metadata.PackageNotFoundError:
        return None
    providers = _providers()
    examples = {"example_dags": core.locate_file("airflow/example_dags")}
    for name, distribution in sorted(providers.items()):
        folder = distribution.locate_file(f"{_module_path(name)}/example_dags")
        examples[f"{name}-example-dags"] = folder
    return {
        "core_version": core.version,
        "task_sdk_version": task_sdk,
        "package_path": str(core.locate_file("airflow")),
        "providers": {name: found.version for name, found in sorted(providers.items())},
        "example_bundles": [
            {"name": name, "path": str(folder)}
            for name, folder in examples.items()
            if os.path.isdir(str(folder))
        ],
    }


def _providers() -> dict[str, metadata.Distribution]:
    """Return every installed distribution that calls itself an Airflow provider."""
    return {
        distribution.metadata["Name"]: distribution
        for distribution in metadata.distributions()
        if any(point.group == "apache_airflow_provider" for point in distribution.entry_points)
    }


def _module_path(provider: str) -> str:
    """Return the folder of a provider's package below site-packages."""
    if provider.startswith(_PROVIDER_PREFIX):
        return "airflow/providers/" + provider.removeprefix(_PROVIDER_PREFIX).replace("-", "/")
    return provider.replace("-", "_")
