"""Lists what plugins and providers bring along."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from updraft_shim import listeners
from updraft_shim.helper import Body

# As in Airflow's command line.
_NOT_IMPORTED = "Error when importing hook!"


def describe(_question: Body) -> Body:
    """Tell the control plane what it has to ask for."""
    from airflow import plugins_manager, settings

    return {
        "mutation_hook": not getattr(settings.task_instance_mutation_hook, "is_noop", False),
        "listeners": listeners.names(),
        "timetables": sorted(plugins_manager.get_timetables_plugins()),
        "priority_weight_strategies": sorted(
            plugins_manager.get_priority_weight_strategy_plugins()
        ),
        "partition_mappers": sorted(plugins_manager.get_partition_mapper_plugins()),
        "windows": sorted(plugins_manager.get_windows_plugins()),
        "deadline_references": sorted(plugins_manager.get_deadline_references_plugins()),
        "import_errors": _texts(plugins_manager.get_import_errors()),
    }


def plugin_info(_question: Body) -> Body:
    """List plugins as the REST API and as the command line show them."""
    from airflow import plugins_manager
    from airflow.api_fastapi.core_api.datamodels.plugins import PluginResponse
    from pydantic import ValidationError

    infos = plugins_manager.get_plugin_info()
    valid, invalid = [], {}
    for info in sorted(infos, key=lambda info: str(info["name"])):
        try:
            valid.append(PluginResponse.model_validate(dict(info)).model_dump(mode="json"))
        except ValidationError as error:
            invalid[str(info["name"])] = str(error)
    return {
        "plugins": valid,
        "invalid": invalid,
        # Airflow dumps a set of attributes, in no order.
        "for_people": [
            {key: _plain(info[key]) for key in ("name", *sorted(info.keys() - {"name"}))}
            for info in infos
        ],
        "import_errors": _texts(plugins_manager.get_import_errors()),
    }


def providers(_question: Body) -> Body:
    """List providers, and what the commands of `airflow providers` show of them."""
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()
    found = [
        {"name": name, "version": each.version, "data": _plain(each.data)}
        for name, each in manager.providers.items()
    ]
    tables: dict[str, list[Body]] = {
        "list": [
            {
                "package_name": each["data"]["package-name"],
                "description": re.sub("[`_<>]", "", each["data"]["description"].strip(" \n.")),
                "version": each["version"],
            }
            for each in found
        ],
        "hooks": [_hook(kind, hook) for kind, hook in manager.hooks.items()],
        "triggers": [
            {
                "package_name": each.package_name,
                "class": each.trigger_class_name,
                "integration_name": each.integration_name,
            }
            for each in manager.trigger
        ],
        "widgets": [
            {
                "connection_parameter_name": name,
                "class": each.hook_class_name,
                "package_name": each.package_name,
                "field_type": _field_type(each.field),
            }
            for name, each in sorted(manager.connection_form_widgets.items())
        ],
        "behaviours": _column("field_behaviours", manager.field_behaviours),
        "links": _column("extra_link_class_name", manager.extra_links_class_names),
        "logging": _column("logging_class_name", manager.logging_class_names),
        "secrets": _column("secrets_backend_class_name", manager.secrets_backend_class_names),
        "auth-managers": _column("auth_managers_module", manager.auth_managers),
        "executors": _column("executor_class_names", manager.executor_class_names),
        "notifications": _column("notification_class_name", manager.notification),
        "queues": _column("queue_class_names", manager.queue_class_names),
        "configs": _column("provider_config", [list(each) for each in manager.provider_configs]),
    }
    return {"providers": found, "tables": tables}


def _hook(kind: str, hook: Any) -> Body:
    def of(name: str) -> Any:
        return getattr(hook, name) if hook else _NOT_IMPORTED

    return {
        "connection_type": kind,
        "class": of("hook_class_name"),
        "conn_id_attribute_name": of("connection_id_attribute_name"),
        "package_name": of("package_name"),
        "hook_name": of("hook_name"),
    }


def _field_type(field: Any) -> str:
    if isinstance(field, dict):
        return str(field.get("schema", {}).get("type", "unknown"))
    return str(field.field_class.__name__)


def _column(name: str, values: Iterable[Any]) -> list[Body]:
    return [{name: _plain(value)} for value in values]


def _plain(value: Any) -> Any:
    """Return what JSON can hold of a value."""
    return json.loads(json.dumps(value, default=str))


def _texts(errors: dict[Any, Any]) -> dict[str, str]:
    return {str(source): str(error) for source, error in errors.items()}
