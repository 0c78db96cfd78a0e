"""Records what a real Airflow answers, for the golden tests.

Usage: record.py BASE_URL PASSWORDS_JSON [RESOURCE...]

The server runs with `golden_dags.py` (for `hitl`: `golden_people.py`) as its only good Dag file, the users `admin:admin`,
`opal:op`, `uma:user`, `vic:viewer`, and a scheduler. Each resource gives one file: a list of
{name, as, method, path, body, status, answer}.

The resources `backfills`, `waits` and `dependencies` are recorded when named, with `run_dags.py` as
the only Dag file; `run_dags.json` are its serialized Dags. What is about assets, `record_assets.py`
records.
"""
from __future__ import annotations

import json
import pathlib
import sys
import time
import urllib.error
import urllib.request

BASE, PASSWORDS = sys.argv[1], json.load(open(sys.argv[2]))
ONLY = sys.argv[3:]
HERE = pathlib.Path(__file__).parent
TOKENS: dict[str, str] = {}


def call(method, path, body=None, user="admin", headers=None):
    headers = dict(headers or {})
    if user and "Authorization" not in headers:
        headers["Authorization"] = "Bearer " + token(user)
    payload = None
    if body is not None:
        payload = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        headers.setdefault("Content-Type", "application/json")
    request = urllib.request.Request(BASE + path, payload, headers, method=method)
    try:
        response = urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        response = error
    text = response.read().decode()
    try:
        answer = json.loads(text) if text else None
    except ValueError:
        answer = text
    return response.status, answer


def token(user):
    if user not in TOKENS:
        status, answer = call("POST", "/auth/token", {"username": user, "password": PASSWORDS[user]}, user=None)
        assert status == 201, answer
        TOKENS[user] = answer["access_token"]
    return TOKENS[user]


class Book:
    def __init__(self, resource):
        self.resource, self.pages = resource, []

    def __call__(self, name, method, path, body=None, user="admin", headers=None):
        status, answer = call(method, "/api/v2" + path if not path.startswith("!") else path[1:], body, user, headers)
        page = {"name": name, "as": user, "method": method, "path": path.lstrip("!")}
        if not path.startswith("!"):
            page["path"] = "/api/v2" + path
        if body is not None:
            page["body"] = body
        if headers:
            page["headers"] = headers
        page |= {"status": status, "answer": answer}
        self.pages.append(page)
        return answer

    def close(self):
        (HERE / f"{self.resource}.json").write_text(
            "[\n" + ",\n".join(json.dumps(page) for page in self.pages) + "\n]\n"
        )


def wait_for_run(dag_id, run_id):
    for _ in range(120):
        _, run = call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")
        if run.get("state") in ("success", "failed"):
            return
        time.sleep(1)
    raise SystemExit(f"{dag_id} {run_id} did not finish: {run}")


def service():
    b = Book("service")
    b("version", "GET", "/version", user=None)
    b("health", "GET", "/monitor/health", user=None)
    b("no token", "GET", "/dags", user=None)
    b("bad token", "GET", "/dags", user=None, headers={"Authorization": "Bearer nonsense"})
    b("basic auth", "GET", "/dags", user=None, headers={"Authorization": "Basic YWRtaW46YWRtaW4="})
    b("unknown path", "GET", "/nothing", user=None)
    b("trailing slash", "GET", "/dags/")
    b("wrong method", "PUT", "/dags")
    b("post to get", "POST", "/version")
    b("token wrong password", "POST", "!/auth/token", {"username": "admin", "password": "x"}, user=None)
    b("token unknown user", "POST", "!/auth/token", {"username": "nobody", "password": "x"}, user=None)
    b("token empty", "POST", "!/auth/token", {"username": "", "password": ""}, user=None)
    b("token missing", "POST", "!/auth/token", {"username": "admin"}, user=None)
    b("token extra", "POST", "!/auth/token", {"username": "admin", "password": "x", "more": 1}, user=None)
    b("token not json", "POST", "!/auth/token", "{", user=None)
    b("token array", "POST", "!/auth/token", "[]", user=None)
    b("token text", "POST", "!/auth/token", "hello", user=None, headers={"Content-Type": "text/plain"})
    b("token cli missing", "POST", "!/auth/token/cli", {"username": "admin"}, user=None)
    b("token cli wrong", "POST", "!/auth/token/cli", {"username": "admin", "password": "x"}, user=None)
    b("token get", "GET", "!/auth/token", user=None)
    b("token login get", "GET", "!/auth/token/login", user=None)
    b("config hidden", "GET", "/config")
    b("old api", "GET", "!/api/v1/dags", user=None)
    b("old health", "GET", "!/health", user=None)
    b("other api", "GET", "!/api/other", user=None)
    b("login unsafe", "GET", "/auth/login?next=http://evil.example/", user=None)
    b.close()


def dags():
    b = Book("dags")
    b("list", "GET", "/dags")
    b("list as viewer", "GET", "/dags", user="vic")
    b("list page", "GET", "/dags?limit=1&offset=1&order_by=-dag_id")
    b("list none", "GET", "/dags?limit=0")
    b("list big", "GET", "/dags?limit=1000")
    b("list bad limit", "GET", "/dags?limit=-1&offset=x")
    b("list bad order", "GET", "/dags?order_by=nothing")
    b("list tags", "GET", "/dags?tags=sales&tags=mapped&tags_match_mode=any")
    b("list tags all", "GET", "/dags?tags=sales&tags=daily&tags_match_mode=all")
    b("list bad tags mode", "GET", "/dags?tags=sales&tags_match_mode=some")
    b("list pattern", "GET", "/dags?dag_id_pattern=LAI")
    b("list prefix", "GET", "/dags?dag_id_prefix_pattern=da")
    b("list owners", "GET", "/dags?owners=ann")
    b("list paused", "GET", "/dags?paused=false")
    b("list bad paused", "GET", "/dags?paused=maybe")
    b("list state", "GET", "/dags?last_dag_run_state=success")
    b("list bad state", "GET", "/dags?last_dag_run_state=odd")
    b("list bad date", "GET", "/dags?dag_run_start_date_gte=yesterday")
    b("list unknown parameter", "GET", "/dags?unknown=1")
    b("get", "GET", "/dags/daily_sales")
    b("get unknown", "GET", "/dags/unknown")
    b("details", "GET", "/dags/daily_sales/details")
    b("details mapped", "GET", "/dags/mapped/details")
    b("details unknown", "GET", "/dags/unknown/details")
    b("patch as viewer", "PATCH", "/dags/plain", {"nonsense": 1}, user="vic")
    b("patch extra", "PATCH", "/dags/plain", {"is_paused": True, "more": 1})
    b("patch wrong type", "PATCH", "/dags/plain", {"is_paused": "perhaps"})
    b("patch missing", "PATCH", "/dags/plain", {})
    b("patch no body", "PATCH", "/dags/plain")
    b("patch not json", "PATCH", "/dags/plain", "{")
    b("patch array", "PATCH", "/dags/plain", [1])
    b("patch mask", "PATCH", "/dags/plain?update_mask=is_stale", {"is_paused": True})
    b("patch", "PATCH", "/dags/plain?update_mask=is_paused", {"is_paused": True})
    b("patch unknown", "PATCH", "/dags/unknown", {"is_paused": True})
    b("patch many", "PATCH", "/dags?dag_id_pattern=pla", {"is_paused": True})
    b("patch many mask", "PATCH", "/dags?dag_id_pattern=pla&update_mask=x", {"is_paused": True})
    b("patch many without pattern", "PATCH", "/dags", {"is_paused": True})
    b("tags", "GET", "/dagTags")
    b("tags filtered", "GET", "/dagTags?tag_name_pattern=ai&order_by=-name")
    b("versions", "GET", "/dags/daily_sales/dagVersions")
    b("versions all", "GET", "/dags/~/dagVersions?order_by=version_number")
    b("versions unknown dag", "GET", "/dags/unknown/dagVersions")
    b("version", "GET", "/dags/daily_sales/dagVersions/1")
    b("version unknown", "GET", "/dags/daily_sales/dagVersions/99")
    b("version bad", "GET", "/dags/daily_sales/dagVersions/x")
    b("source", "GET", "/dagSources/daily_sales")
    b("source text", "GET", "/dagSources/daily_sales", headers={"Accept": "text/plain"})
    b("source html", "GET", "/dagSources/daily_sales", headers={"Accept": "text/html"})
    b("source unknown version", "GET", "/dagSources/daily_sales?version_number=7")
    b("source unknown", "GET", "/dagSources/unknown")
    b("stats", "GET", "/dagStats")
    b("stats one", "GET", "/dagStats?dag_ids=daily_sales&dag_ids=plain")
    b("warnings", "GET", "/dagWarnings")
    b("warnings bad type", "GET", "/dagWarnings?warning_type=odd")
    errors = b("import errors", "GET", "/importErrors")
    b("import error", "GET", f"/importErrors/{errors['import_errors'][0]['import_error_id']}")
    b("import error unknown", "GET", "/importErrors/999")
    b("import error bad", "GET", "/importErrors/x")
    b("import errors filename", "GET", "/importErrors?filename_pattern=nope")
    b("parse bad token", "PUT", "/parseDagFile/nonsense")
    _, dag = call("GET", "/api/v2/dags/plain")
    b("parse", "PUT", f"/parseDagFile/{dag['file_token']}")
    b("tasks", "GET", "/dags/daily_sales/tasks")
    b("tasks mapped", "GET", "/dags/mapped/tasks")
    b("tasks ordered", "GET", "/dags/daily_sales/tasks?order_by=-task_id")
    b("tasks bad order", "GET", "/dags/daily_sales/tasks?order_by=nothing")
    b("tasks unknown", "GET", "/dags/unknown/tasks")
    b("task", "GET", "/dags/daily_sales/tasks/load.index")
    b("task unknown", "GET", "/dags/daily_sales/tasks/unknown")
    b("delete as viewer", "DELETE", "/dags/plain", user="vic")
    b("delete unknown", "DELETE", "/dags/unknown")
    b.close()


def dag_runs():
    b = Book("dag_runs")
    runs = "/dags/daily_sales/dagRuns"
    call("PATCH", "/api/v2/dags/daily_sales", {"is_paused": True})
    b("trigger as viewer", "POST", runs, {}, user="vic")
    b("trigger empty", "POST", runs, {})
    b("trigger extra", "POST", runs, {"logical_date": None, "more": 1})
    b("trigger no dag", "POST", "/dags/unknown/dagRuns", {"logical_date": None})
    b("trigger bad date", "POST", runs, {"logical_date": "yesterday"})
    b("trigger bad id", "POST", runs, {"logical_date": None, "dag_run_id": "a b"})
    b("trigger foreign id", "POST", runs, {"logical_date": None, "dag_run_id": "scheduled__2026-01-01T00:00:00+00:00"})
    b("trigger half interval", "POST", runs, {"logical_date": "2026-03-01T00:00:00Z", "data_interval_start": "2026-03-01T00:00:00Z"})
    b("trigger bad conf type", "POST", runs, {"logical_date": None, "conf": 5})
    b("trigger conf against params", "POST", runs, {"logical_date": None, "conf": {"region": "moon"}})
    b("trigger conf against params integer", "POST", runs, {"logical_date": None, "conf": {"limit": "many"}})
    b("trigger conf against params minimum", "POST", runs, {"logical_date": None, "conf": {"limit": 0}})
    b("trigger long note", "POST", runs, {"logical_date": None, "note": "n" * 1001, "dag_run_id": "long_note"})
    b("trigger", "POST", runs, {"dag_run_id": "first", "logical_date": "2026-03-01T06:00:00Z", "conf": {"region": "us"}, "note": "by hand", "run_after": "2026-03-01T06:00:00Z"})
    b("trigger same id", "POST", runs, {"dag_run_id": "first", "logical_date": None})
    b("trigger same date", "POST", runs, {"dag_run_id": "other", "logical_date": "2026-03-01T06:00:00Z"})
    b("trigger without date", "POST", runs, {"dag_run_id": "second", "logical_date": None, "run_after": "2026-03-02T06:00:00Z"})
    b("trigger default id", "POST", runs, {"logical_date": "2026-03-03T06:00:00.5+02:00", "run_after": "2026-03-03T06:00:00.5+02:00"})
    b("trigger with interval", "POST", runs, {"dag_run_id": "third", "logical_date": "2026-03-04T06:00:00Z", "data_interval_start": "2026-03-04T01:00:00Z", "data_interval_end": "2026-03-04T02:00:00Z", "run_after": "2026-03-04T06:00:00Z"})
    b("trigger partition", "POST", runs, {"dag_run_id": "part", "logical_date": None, "partition_key": "k"})
    b("list", "GET", runs)
    b("list all", "GET", "/dags/~/dagRuns?order_by=run_after")
    b("list page", "GET", runs + "?limit=2&offset=1&order_by=-run_after")
    b("list by state", "GET", runs + "?state=queued&run_type=manual")
    b("list bad state", "GET", runs + "?state=odd")
    b("list bad type", "GET", runs + "?run_type=odd")
    b("list bad order", "GET", runs + "?order_by=odd")
    b("list run after", "GET", runs + "?run_after_gte=2026-03-02T00:00:00Z&run_after_lt=2026-03-04T00:00:00Z")
    b("list bad range", "GET", runs + "?run_after_gte=x")
    b("list run id", "GET", runs + "?run_id_pattern=IRS")
    b("list conf", "GET", runs + "?conf_contains=us")
    b("list cursor", "GET", runs + "?cursor=&limit=2&order_by=run_after")
    b("list bad cursor", "GET", runs + "?cursor=%21%21&limit=2")
    b("list unknown dag", "GET", "/dags/unknown/dagRuns")
    b("batch", "POST", "/dags/~/dagRuns/list", {"dag_ids": ["daily_sales"], "order_by": "-run_after", "page_limit": 2})
    b("batch extra", "POST", "/dags/~/dagRuns/list", {"odd": 1})
    b("batch not wild", "POST", "/dags/daily_sales/dagRuns/list", {})
    b("batch bad state", "POST", "/dags/~/dagRuns/list", {"states": ["odd"], "page_limit": -1})
    b("get", "GET", runs + "/first")
    b("get unknown", "GET", runs + "/unknown")
    b("patch note", "PATCH", runs + "/first", {"note": "changed"})
    b("patch note away", "PATCH", runs + "/second", {"note": ""})
    b("patch bad state", "PATCH", runs + "/first", {"state": "running"})
    b("patch extra", "PATCH", runs + "/first", {"odd": 1})
    b("patch long note", "PATCH", runs + "/first", {"note": "n" * 1001})
    b("patch unknown", "PATCH", runs + "/unknown", {"note": "x"})
    b("patch success", "PATCH", runs + "/second", {"state": "success"})
    b("patch failed", "PATCH", runs + "/third", {"state": "failed"})
    b("patch masked", "PATCH", runs + "/third?update_mask=note", {"state": "success", "note": "only the note"})
    b("clear dry", "POST", runs + "/second/clear", {})
    b("clear dry failed", "POST", runs + "/third/clear", {"only_failed": True})
    b("clear", "POST", runs + "/second/clear", {"dry_run": False})
    b("clear unknown", "POST", runs + "/unknown/clear", {"dry_run": False})
    b("clear extra", "POST", runs + "/second/clear", {"odd": True})
    b("delete", "DELETE", runs + "/third")
    b("delete unknown", "DELETE", runs + "/unknown")
    b("delete as viewer", "DELETE", runs + "/first", user="vic")
    b("bulk", "PATCH", runs, {"actions": [{"action": "update", "entities": [{"dag_run_id": "first", "note": "bulk"}, {"dag_run_id": "unknown"}]}, {"action": "delete", "entities": ["second"]}]})
    b("bulk create", "PATCH", runs, {"actions": [{"action": "create", "entities": [{"dag_run_id": "new"}]}]})
    b("upstream asset events", "GET", runs + "/first/upstreamAssetEvents")
    b("clear runs", "POST", "/dags/daily_sales/clearDagRuns", {"dag_runs": [{"dag_run_id": "first"}]})
    b("clear runs none", "POST", "/dags/daily_sales/clearDagRuns", {})
    b.close()


def task_instances():
    b = Book("task_instances")
    for dag in ("daily_sales", "mapped"):
        call("PATCH", f"/api/v2/dags/{dag}", {"is_paused": False})
        call("POST", f"/api/v2/dags/{dag}/dagRuns", {"dag_run_id": "done", "logical_date": "2026-04-01T06:00:00Z", "run_after": "2026-04-01T06:00:00Z"})
    for dag in ("daily_sales", "mapped"):
        wait_for_run(dag, "done")
    sales, mapped = "/dags/daily_sales/dagRuns/done/taskInstances", "/dags/mapped/dagRuns/done/taskInstances"
    b("list", "GET", sales + "?order_by=id")
    b("list mapped", "GET", mapped + "?order_by=map_index")
    b("list everywhere", "GET", "/dags/~/dagRuns/~/taskInstances?limit=2&order_by=-start_date")
    b("list unknown run", "GET", "/dags/daily_sales/dagRuns/unknown/taskInstances")
    b("list unknown dag", "GET", "/dags/unknown/dagRuns/~/taskInstances")
    b("list wild dag, run given", "GET", "/dags/~/dagRuns/done/taskInstances")
    b("list state", "GET", sales + "?state=success&state=none")
    b("list bad state", "GET", sales + "?state=odd")
    b("list group", "GET", sales + "?task_group_id=load")
    b("list bad group", "GET", sales + "?task_group_id=odd")
    b("list operator", "GET", sales + "?operator=BashOperator")
    b("list pool", "GET", sales + "?pool=default_pool&limit=1")
    b("list bad order", "GET", sales + "?order_by=odd")
    b("list cursor", "GET", sales + "?cursor=&limit=2")
    b("batch", "POST", "/dags/~/dagRuns/~/taskInstances/list", {"dag_ids": ["mapped"], "task_ids": ["double"], "page_limit": 2})
    b("batch extra", "POST", "/dags/~/dagRuns/~/taskInstances/list", {"odd": 1})
    b("get", "GET", sales + "/extract")
    b("get unknown", "GET", sales + "/unknown")
    b("get mapped without index", "GET", mapped + "/double")
    b("get mapped", "GET", mapped + "/double/1")
    b("get mapped unknown", "GET", mapped + "/double/7")
    b("get mapped bad index", "GET", mapped + "/double/x")
    b("list mapped of a task", "GET", mapped + "/double/listMapped")
    b("list mapped of unmapped", "GET", mapped + "/total/listMapped")
    b("list mapped unknown", "GET", mapped + "/unknown/listMapped")
    b("dependencies", "GET", sales + "/extract/dependencies")
    b("dependencies unknown", "GET", sales + "/unknown/dependencies")
    b("tries", "GET", sales + "/extract/tries")
    b("tries mapped", "GET", mapped + "/double/1/tries")
    b("try", "GET", sales + "/extract/tries/1")
    b("try unknown", "GET", sales + "/extract/tries/9")
    b("logs", "GET", sales + "/extract/logs/1")
    b("logs mapped", "GET", mapped + "/double/logs/1?map_index=1")
    b("logs full", "GET", sales + "/extract/logs/1?full_content=true")
    b("logs ndjson", "GET", sales + "/extract/logs/1", headers={"Accept": "application/x-ndjson"})
    b("logs html", "GET", sales + "/extract/logs/1", headers={"Accept": "text/html"})
    b("logs unknown try", "GET", sales + "/extract/logs/9")
    b("logs unknown task", "GET", sales + "/unknown/logs/1")
    b("logs bad token", "GET", sales + "/extract/logs/1?token=nonsense")
    b("logs bad try", "GET", sales + "/extract/logs/-1")
    b("external log", "GET", sales + "/extract/externalLogUrl/1")
    b("links", "GET", sales + "/extract/links")
    xcom = mapped + "/double/xcomEntries"
    b("xcom list", "GET", xcom + "?map_index=1")
    b("xcom list all", "GET", "/dags/~/dagRuns/~/taskInstances/~/xcomEntries?order_by=map_index&xcom_key=return_value")
    b("xcom get", "GET", mapped + "/total/xcomEntries/return_value")
    b("xcom get mapped", "GET", xcom + "/return_value?map_index=1")
    b("xcom get string", "GET", mapped + "/numbers/xcomEntries/return_value?stringify=true")
    b("xcom get deserialize", "GET", mapped + "/numbers/xcomEntries/return_value?deserialize=true")
    b("xcom get unknown", "GET", mapped + "/total/xcomEntries/unknown")
    b("xcom create", "POST", mapped + "/total/xcomEntries", {"key": "mine", "value": {"a": [1, None, "x"]}})
    b("xcom create again", "POST", mapped + "/total/xcomEntries", {"key": "mine", "value": 1})
    b("xcom create marker", "POST", mapped + "/total/xcomEntries", {"key": "marker", "value": {"__classname__": "x"}})
    b("xcom create unknown task", "POST", mapped + "/unknown/xcomEntries", {"key": "mine", "value": 1})
    b("xcom create missing", "POST", mapped + "/total/xcomEntries", {"key": "mine2"})
    b("xcom create extra", "POST", mapped + "/total/xcomEntries", {"key": "mine2", "value": 1, "odd": 1})
    b("xcom patch", "PATCH", mapped + "/total/xcomEntries/mine", {"value": "new"})
    b("xcom patch unknown", "PATCH", mapped + "/total/xcomEntries/unknown", {"value": "new"})
    b("xcom delete", "DELETE", mapped + "/total/xcomEntries/mine")
    b("xcom delete unknown", "DELETE", mapped + "/total/xcomEntries/mine")
    for dag in ("daily_sales", "mapped"):
        call("PATCH", f"/api/v2/dags/{dag}", {"is_paused": True})
    b("patch as viewer", "PATCH", sales + "/extract", {"odd": 1}, user="vic")
    b("patch bad state", "PATCH", sales + "/extract", {"new_state": "running"})
    b("patch no such state", "PATCH", sales + "/extract", {"new_state": "odd"})
    b("patch extra", "PATCH", sales + "/extract", {"odd": 1})
    b("patch same", "PATCH", sales + "/extract", {"new_state": "success"})
    b("patch unknown", "PATCH", sales + "/unknown", {"new_state": "success"})
    b("patch dry", "PATCH", sales + "/extract/dry_run", {"new_state": "failed", "include_downstream": True})
    b("patch note", "PATCH", sales + "/extract", {"note": "looked at"})
    b("patch failed", "PATCH", sales + "/load.rows", {"new_state": "failed"})
    b("patch mapped", "PATCH", mapped + "/double/1", {"new_state": "skipped"})
    clear = "/dags/daily_sales/clearTaskInstances"
    b("clear dry", "POST", clear, {"dag_run_id": "done", "only_failed": False})
    b("clear dry failed", "POST", clear, {"dag_run_id": "done"})
    b("clear dry task", "POST", clear, {"dag_run_id": "done", "only_failed": False, "task_ids": ["extract"], "include_downstream": True})
    b("clear dry mapped", "POST", "/dags/mapped/clearTaskInstances", {"dag_run_id": "done", "only_failed": False, "task_ids": [["double", 1]]})
    b("clear unknown run", "POST", clear, {"dag_run_id": "unknown"})
    b("clear unknown dag", "POST", "/dags/unknown/clearTaskInstances", {})
    b("clear future without run", "POST", clear, {"include_future": True})
    b("clear run and window", "POST", clear, {"dag_run_id": "done", "start_date": "2026-01-01T00:00:00Z"})
    b("clear end before start", "POST", clear, {"start_date": "2026-01-02T00:00:00Z", "end_date": "2026-01-01T00:00:00Z"})
    b("clear extra", "POST", clear, {"odd": True})
    b("clear both kinds", "POST", clear, {"only_failed": True, "only_running": True})
    b("clear", "POST", clear, {"dag_run_id": "done", "only_failed": False, "task_ids": ["extract"], "dry_run": False})
    b("run after clear", "GET", "/dags/daily_sales/dagRuns/done")
    b("get after clear", "GET", sales + "/extract")
    b("tries after clear", "GET", sales + "/extract/tries")
    b("bulk", "PATCH", sales, {"actions": [{"action": "update", "entities": [{"task_id": "done", "new_state": "failed"}, {"task_id": "unknown", "new_state": "failed"}]}]})
    b("bulk skip", "PATCH", sales, {"actions": [{"action": "update", "action_on_non_existence": "skip", "entities": [{"task_id": "done", "new_state": "failed"}, {"task_id": "unknown", "new_state": "failed"}]}]})
    b("bulk create", "PATCH", sales, {"actions": [{"action": "create", "entities": [{"task_id": "x"}]}]})
    b("delete", "DELETE", sales + "/done")
    b("delete unknown", "DELETE", sales + "/unknown")
    b("group patch dry", "PATCH", "/dags/daily_sales/dagRuns/done/taskGroupInstances/load/dry_run", {"new_state": "success"})
    b("group patch unknown", "PATCH", "/dags/daily_sales/dagRuns/done/taskGroupInstances/odd", {"new_state": "success"})
    b.close()


def admin():
    b = Book("admin")
    for place, key, rows in (("variables", "key", "variables"), ("connections", "connection_id", "connections"), ("pools", "name", "pools")):
        for row in call("GET", f"/api/v2/{place}?limit=100")[1][rows]:
            call("DELETE", f"/api/v2/{place}/{row[key]}")
    b("pools", "GET", "/pools")
    b("pool create", "POST", "/pools", {"name": "etl/night", "slots": 3, "description": "for the night"})
    b("pool create again", "POST", "/pools", {"name": "etl/night", "slots": 3})
    b("pool create missing", "POST", "/pools", {"name": "x"})
    b("pool create bad", "POST", "/pools", {"name": "x" * 257, "slots": -2, "odd": 1})
    b("pool create bad types", "POST", "/pools", {"name": 5, "slots": "many", "include_deferred": "x"})
    b("pool create as user", "POST", "/pools", {"name": "y", "slots": 1}, user="uma")
    b("pool create team", "POST", "/pools", {"name": "y", "slots": 1, "team_name": "t"})
    b("pool get", "GET", "/pools/etl/night")
    b("pool get encoded", "GET", "/pools/etl%2Fnight")
    b("pool get unknown", "GET", "/pools/unknown")
    b("pools pattern", "GET", "/pools?pool_name_pattern=ETL&order_by=-name")
    b("pools bad order", "GET", "/pools?order_by=odd")
    b("pool patch", "PATCH", "/pools/etl/night?update_mask=slots&update_mask=include_deferred", {"pool": "etl/night", "slots": 5, "include_deferred": True})
    b("pool patch mask only", "PATCH", "/pools/etl/night?update_mask=slots", {"slots": 6})
    b("pool patch other name", "PATCH", "/pools/etl/night", {"pool": "z", "slots": 5})
    b("pool patch default", "PATCH", "/pools/default_pool", {"slots": 129})
    b("pool patch default description", "PATCH", "/pools/default_pool", {"description": "x"})
    b("pool patch default mask", "PATCH", "/pools/default_pool?update_mask=slots", {"slots": 128})
    b("pool patch unknown", "PATCH", "/pools/unknown", {"pool": "unknown", "slots": 1})
    b("pool delete default", "DELETE", "/pools/default_pool")
    b("pool delete unknown", "DELETE", "/pools/unknown")
    b("pool bulk", "PATCH", "/pools", {"actions": [{"action": "create", "entities": [{"name": "b1", "slots": 1}, {"name": "b2", "slots": 2}]}, {"action": "create", "action_on_existence": "skip", "entities": [{"name": "b1", "slots": 9}, {"name": "b3", "slots": 3}]}, {"action": "create", "action_on_existence": "overwrite", "entities": [{"name": "b2", "slots": 22}]}, {"action": "create", "entities": [{"name": "b1", "slots": 1}, {"name": "b4", "slots": 1}]}, {"action": "update", "entities": [{"name": "b3", "slots": 33, "description": "d", "include_deferred": False}]}, {"action": "delete", "entities": ["b1", "nope"]}, {"action": "delete", "action_on_non_existence": "skip", "entities": ["b1", "nope"]}]})
    b("pools after bulk", "GET", "/pools")
    b("pool bulk bad", "PATCH", "/pools", {"actions": [{"action": "create"}]})
    b("pool bulk extra", "PATCH", "/pools", {"actions": [], "odd": 1})
    b("pool bulk update missing", "PATCH", "/pools", {"actions": [{"action": "update", "entities": [{"name": "nope", "slots": 1}]}]})
    b("pool bulk update mask", "PATCH", "/pools", {"actions": [{"action": "update", "update_mask": ["slots"], "entities": [{"name": "b3", "slots": 34, "description": "not this"}]}]})
    b("pool bulk as user", "PATCH", "/pools", {"actions": [{"action": "delete", "entities": ["b3"]}]}, user="uma")
    b("pool delete", "DELETE", "/pools/etl/night")
    b("variables", "GET", "/variables")
    b("variables as viewer", "GET", "/variables", user="vic")
    b("variables as user", "GET", "/variables", user="uma")
    b("variables as op", "GET", "/variables", user="opal")
    b("variable create", "POST", "/variables", {"key": "colour", "value": "blue", "description": "a colour"})
    b("variable create object", "POST", "/variables", {"key": "nested", "value": {"a": [1, {"b": None}]}})
    b("variable create number", "POST", "/variables", {"key": "number", "value": 1.5})
    b("variable create null", "POST", "/variables", {"key": "nothing", "value": None})
    b("variable create secret", "POST", "/variables", {"key": "my_password", "value": "hidden"})
    b("variable create secret object", "POST", "/variables", {"key": "settings", "value": {"password": "hidden", "user": "u"}})
    b("variable create again", "POST", "/variables", {"key": "colour", "value": "red"})
    b("variable create missing", "POST", "/variables", {})
    b("variable create long", "POST", "/variables", {"key": "k" * 251, "value": "v"})
    b("variable get", "GET", "/variables/colour")
    b("variable get secret", "GET", "/variables/my_password")
    b("variable get settings", "GET", "/variables/settings")
    b("variable get unknown", "GET", "/variables/unknown")
    b("variables pattern", "GET", "/variables?variable_key_pattern=OLO&order_by=-key")
    b("variables order", "GET", "/variables?order_by=-key&limit=2")
    b("variable patch", "PATCH", "/variables/colour", {"key": "colour", "value": "green"})
    b("variable patch mask", "PATCH", "/variables/colour?update_mask=description", {"key": "colour", "value": "grey", "description": "new"})
    b("variable patch other", "PATCH", "/variables/colour", {"key": "other", "value": "x"})
    b("variable patch unknown", "PATCH", "/variables/unknown", {"key": "unknown", "value": "x"})
    b("variable patch missing", "PATCH", "/variables/colour", {"value": "x"})
    b("variable bulk", "PATCH", "/variables", {"actions": [{"action": "create", "entities": [{"key": "v1", "value": "1"}]}, {"action": "create", "entities": [{"key": "v1", "value": "2"}]}, {"action": "update", "entities": [{"key": "nope", "value": "2"}]}, {"action": "update", "entities": [{"key": "v1", "value": "3"}]}, {"action": "delete", "entities": ["v1", "nope"]}, {"action": "delete", "action_on_non_existence": "skip", "entities": ["v1", "nope"]}]})
    b("variable delete", "DELETE", "/variables/colour")
    b("variable delete unknown", "DELETE", "/variables/colour")
    b("connections", "GET", "/connections")
    b("connection create", "POST", "/connections", {"connection_id": "warehouse", "conn_type": "postgres", "host": "db.example", "login": "reader", "password": "hush", "port": 5432, "schema": "sales", "extra": "{\"api_key\": \"k\", \"region\": \"eu\"}", "description": "the warehouse"})
    b("connection create small", "POST", "/connections", {"connection_id": "small", "conn_type": "http"})
    b("connection create again", "POST", "/connections", {"connection_id": "warehouse", "conn_type": "http"})
    b("connection create bad id", "POST", "/connections", {"connection_id": "a b", "conn_type": "http"})
    b("connection create bad", "POST", "/connections", {"connection_id": "x", "port": "p", "odd": 1})
    b("connection create bad extra", "POST", "/connections", {"connection_id": "x", "conn_type": "http", "extra": "not json"})
    b("connection create array extra", "POST", "/connections", {"connection_id": "x", "conn_type": "http", "extra": "[1]"})
    b("connection get", "GET", "/connections/warehouse")
    b("connection get unknown", "GET", "/connections/unknown")
    b("connections pattern", "GET", "/connections?connection_id_pattern=WARE")
    b("connections order", "GET", "/connections?order_by=-connection_id&limit=1")
    b("connections bad order", "GET", "/connections?order_by=odd")
    b("connection patch", "PATCH", "/connections/warehouse", {"connection_id": "warehouse", "conn_type": "postgres", "host": "db2.example", "password": "***"})
    b("connection patch mask", "PATCH", "/connections/warehouse?update_mask=port", {"connection_id": "warehouse", "conn_type": "mysql", "port": 1})
    b("connection patch other", "PATCH", "/connections/warehouse", {"connection_id": "other", "conn_type": "http"})
    b("connection patch unknown", "PATCH", "/connections/unknown", {"connection_id": "unknown", "conn_type": "http"})
    b("connection test", "POST", "/connections/test", {"connection_id": "small", "conn_type": "http"})
    b("connection bulk create", "PATCH", "/connections", {"actions": [{"action": "create", "entities": [{"connection_id": "c1", "conn_type": "http"}]}]})
    b("connection bulk create again", "PATCH", "/connections", {"actions": [{"action": "create", "entities": [{"connection_id": "c1", "conn_type": "http"}, {"connection_id": "c2", "conn_type": "http"}]}]})
    b("connection bulk overwrite", "PATCH", "/connections", {"actions": [{"action": "create", "action_on_existence": "overwrite", "entities": [{"connection_id": "c1", "conn_type": "ftp"}]}]})
    b("connection bulk update", "PATCH", "/connections", {"actions": [{"action": "update", "entities": [{"connection_id": "nope", "conn_type": "http"}]}, {"action": "update", "entities": [{"connection_id": "c1", "conn_type": "ssh", "host": "h"}]}]})
    b("connection bulk delete", "PATCH", "/connections", {"actions": [{"action": "delete", "entities": ["nope"]}, {"action": "delete", "entities": ["c1"]}]})
    b("connection delete", "DELETE", "/connections/warehouse")
    b("connection delete unknown", "DELETE", "/connections/warehouse")
    b("event logs", "GET", "/eventLogs?order_by=id&limit=3&event=post_pool")
    b("event logs bad order", "GET", "/eventLogs?order_by=odd")
    b("event logs excluded", "GET", "/eventLogs?excluded_events=post_pool&limit=0")
    b("event log unknown", "GET", "/eventLogs/999999")
    b("jobs", "GET", "/jobs?order_by=id")
    b("plugins", "GET", "/plugins")
    b("plugin errors", "GET", "/plugins/importErrors")
    b("providers", "GET", "/providers?limit=1")
    b.close()


def hitl():
    b = Book("hitl")
    run, tis = "/dags/asks/dagRuns/one", "/dags/asks/dagRuns/one/taskInstances"
    call("PATCH", "/api/v2/dags/asks", {"is_paused": False})
    call("POST", "/api/v2/dags/asks/dagRuns", {"dag_run_id": "one", "logical_date": "2026-04-01T06:00:00Z", "run_after": "2026-04-01T06:00:00Z"})
    while True:
        _, found = call("GET", f"/api/v2{tis}")
        states = {ti["task_id"]: ti["state"] for ti in found["task_instances"]}
        if set(states.values()) == {"awaiting_input", "success"} and states["in_time"] == "success":
            break
        time.sleep(1)
    # From here on nothing starts: an answered task stays scheduled.
    call("PATCH", "/api/v2/dags/asks", {"is_paused": True})
    b("list", "GET", run + "/hitlDetails?order_by=task_display_name")
    b("list everywhere", "GET", "/dags/~/dagRuns/~/hitlDetails?order_by=-subject&limit=2&offset=1")
    b("list of an unknown run", "GET", "/dags/asks/dagRuns/unknown/hitlDetails")
    b("list of an unknown dag", "GET", "/dags/unknown/dagRuns/~/hitlDetails")
    b("list of a task", "GET", run + "/hitlDetails?task_id=choose&map_index=-1")
    b("list by patterns", "GET", "/dags/~/dagRuns/~/hitlDetails?dag_id_pattern=ASK&task_id_prefix_pattern=s")
    b("list by state", "GET", run + "/hitlDetails?state=success&state=failed&order_by=task_display_name")
    b("list by bad state", "GET", run + "/hitlDetails?state=odd")
    b("list by subject", "GET", run + "/hitlDetails?subject_search=CHOOSE&order_by=-task_display_name")
    b("list by body", "GET", run + "/hitlDetails?body_search=read")
    b("list unanswered", "GET", run + "/hitlDetails?response_received=false&order_by=task_display_name")
    b("list unclear", "GET", run + "/hitlDetails?response_received=perhaps&map_index=x&created_at_gte=yesterday")
    b("list bad order", "GET", run + "/hitlDetails?order_by=odd")
    b("get", "GET", tis + "/enter/-1/hitlDetails")
    b("get as viewer", "GET", tis + "/enter/-1/hitlDetails", user="vic")
    b("get timed out", "GET", tis + "/in_time/-1/hitlDetails")
    b("get unknown", "GET", tis + "/unknown/-1/hitlDetails")
    b("get other index", "GET", tis + "/enter/0/hitlDetails")
    b("get bad index", "GET", tis + "/enter/x/hitlDetails")
    b("get of who asks nothing", "GET", tis + "/silent/-1/hitlDetails")
    b("get try", "GET", tis + "/enter/-1/hitlDetails/tries/1")
    b("get unknown try", "GET", tis + "/enter/-1/hitlDetails/tries/9")
    b("get bad try", "GET", tis + "/enter/-1/hitlDetails/tries/x")
    place = tis + "/choose/-1/hitlDetails"
    b("answer as viewer", "PATCH", place, {"odd": 1}, user="vic")
    b("answer nothing", "PATCH", place, {})
    b("answer no options", "PATCH", place, {"chosen_options": []})
    b("answer wrong types", "PATCH", place, {"chosen_options": [1], "params_input": [1], "odd": 1})
    b("answer null", "PATCH", place, {"chosen_options": None, "params_input": None})
    b("answer unknown options", "PATCH", place, {"chosen_options": ["west", "north", "east"]})
    b("answer several", "PATCH", place, {"chosen_options": ["north", "south"]})
    b("answer of who asks nothing", "PATCH", tis + "/silent/-1/hitlDetails", {"chosen_options": ["x"]})
    b("answer unknown", "PATCH", tis + "/unknown/-1/hitlDetails", {"chosen_options": ["x"]})
    b("answer somebody else", "PATCH", tis + "/approve/-1/hitlDetails", {"chosen_options": ["Approve"]}, user="uma")
    b("answer", "PATCH", place, {"chosen_options": ["it's"]}, user="uma")
    b("answer again", "PATCH", place, {"chosen_options": ["north"]})
    b("answer too late", "PATCH", tis + "/in_time/-1/hitlDetails", {"chosen_options": ["OK"]})
    b("answer one who was asked", "PATCH", tis + "/approve/-1/hitlDetails", {"chosen_options": ["Reject"], "params_input": {}}, user="opal")
    b("answer with input", "PATCH", tis + "/enter/-1/hitlDetails", {"chosen_options": ["OK"], "params_input": {"count": 5, "name": "n", "ratio": 1.0}})
    b("answer the same twice", "PATCH", tis + "/several/-1/hitlDetails", {"chosen_options": ["a", "a"]})
    b("get answered", "GET", tis + "/choose/-1/hitlDetails")
    b("list answered", "GET", run + "/hitlDetails?response_received=true&order_by=task_display_name")
    b("list by user", "GET", run + "/hitlDetails?responded_by_user_id=uma&responded_by_user_id=nobody")
    b("list by user name", "GET", run + "/hitlDetails?responded_by_user_name=opal")
    b("list by both", "GET", run + "/hitlDetails?responded_by_user_name=opal&responded_by_user_id=uma")
    call("POST", "/api/v2/dags/asks/clearTaskInstances", {"dag_run_id": "one", "only_failed": False, "task_ids": ["choose"], "dry_run": False})
    b("get cleared", "GET", tis + "/choose/-1/hitlDetails")
    b("get cleared try", "GET", tis + "/choose/-1/hitlDetails/tries/1")
    b("get try of who asks nothing", "GET", tis + "/silent/-1/hitlDetails/tries/1")
    b.close()


def backfills():
    b = Book("backfills")
    post, dry = "/backfills", "/backfills/dry_run"
    whole = {"dag_id": "nightly", "from_date": "2026-01-01T00:00:00Z", "to_date": "2026-01-03T00:00:00Z"}
    b("list without dag", "GET", "/backfills")
    b("list none", "GET", "/backfills?dag_id=nightly")
    b("list unknown dag", "GET", "/backfills?dag_id=unknown")
    b("list bad order", "GET", "/backfills?dag_id=nightly&order_by=dag_id")
    b("get unknown", "GET", "/backfills/99")
    b("get bad id", "GET", "/backfills/x")
    b("get negative id", "GET", "/backfills/-1")
    b("create as viewer", "POST", post, whole, user="vic")
    b("create empty", "POST", post, {})
    b("create extra", "POST", post, whole | {"more": 1})
    b("create bad dag id", "POST", post, whole | {"dag_id": 1})
    b("create bad types", "POST", post, {"dag_id": "x", "from_date": "soon", "to_date": None, "run_backwards": "maybe", "dag_run_conf": [], "reprocess_behavior": "all", "max_active_runs": "x", "run_on_latest_version": 7})
    for name, path in (("create", post), ("dry", dry)):
        b(f"{name} unknown dag", "POST", path, whole | {"dag_id": "unknown"})
        b(f"{name} not periodic", "POST", path, whole | {"dag_id": "by_hand"})
        b(f"{name} not allowed", "POST", path, whole | {"dag_id": "ordinary_only"})
        b(f"{name} neither", "POST", path, whole | {"dag_id": "nothing_periodic_allowed"})
        b(f"{name} dates swapped", "POST", path, whole | {"from_date": "2026-01-04T00:00:00+02:00"})
        b(f"{name} dates swapped naive", "POST", path, whole | {"from_date": "2026-01-04"})
        b(f"{name} future", "POST", path, whole | {"from_date": "2199-01-01T00:00:00Z", "to_date": "2199-01-02T00:00:00Z"})
        b(f"{name} past reverse", "POST", path, whole | {"dag_id": "strict_past", "run_backwards": True})
        b(f"{name} past none", "POST", path, whole | {"dag_id": "strict_past"})
        b(f"{name} bad conf", "POST", path, whole | {"dag_run_conf": {"limit": 0}})
        b(f"{name} between dates", "POST", path, whole | {"from_date": "2026-01-01T01:00:00.5Z", "to_date": "2026-01-01T05:00:00+01:00"})
    b("dry", "POST", dry, whole)
    b("dry backwards", "POST", dry, whole | {"run_backwards": True})
    b("dry partitions", "POST", dry, whole | {"dag_id": "parts"})
    b("create", "POST", post, whole | {"dag_run_conf": {"limit": 3, "other": "x"}, "max_active_runs": 2})
    b("create second", "POST", post, whole)
    b("dry beside another", "POST", dry, whole)
    b("runs", "GET", "/dags/nightly/dagRuns?order_by=run_after")
    b("list", "GET", "/backfills?dag_id=nightly")
    b("get", "GET", "/backfills/1")
    b("get as viewer", "GET", "/backfills/1", user="vic")
    b("pause as viewer", "PUT", "/backfills/1/pause", user="vic")
    b("pause", "PUT", "/backfills/1/pause")
    b("pause again", "PUT", "/backfills/1/pause")
    b("unpause", "PUT", "/backfills/1/unpause")
    b("unpause again", "PUT", "/backfills/1/unpause")
    b("pause unknown", "PUT", "/backfills/99/pause")
    b("cancel unknown", "PUT", "/backfills/99/cancel")
    b("cancel", "PUT", "/backfills/1/cancel")
    b("cancel again", "PUT", "/backfills/1/cancel")
    b("pause completed", "PUT", "/backfills/1/pause")
    b("unpause completed", "PUT", "/backfills/1/unpause")
    b("runs after cancel", "GET", "/dags/nightly/dagRuns?order_by=run_after")
    b("create reprocessing failed", "POST", post, whole | {"reprocess_behavior": "failed", "to_date": "2026-01-02T00:00:00Z"})
    b("runs after reprocessing", "GET", "/dags/nightly/dagRuns?order_by=run_after")
    b("create partitions", "POST", post, whole | {"dag_id": "parts", "to_date": "2026-01-02T00:00:00Z"})
    b("runs of partitions", "GET", "/dags/parts/dagRuns?order_by=run_after")
    b("list backwards", "GET", "/backfills?dag_id=nightly&order_by=-id&limit=1")
    b("method", "POST", "/backfills/1/pause")
    b.close()


def waits():
    b = Book("waits")
    call("PATCH", "/api/v2/dags/results", {"is_paused": False})
    call("POST", "/api/v2/dags/results/dagRuns", {"dag_run_id": "done", "logical_date": None})
    wait_for_run("results", "done")
    wait = "/dags/results/dagRuns/done/wait"
    b("without interval", "GET", wait)
    b("no interval", "GET", wait + "?interval=0")
    b("bad interval", "GET", wait + "?interval=soon")
    b("unknown run", "GET", "/dags/results/dagRuns/unknown/wait?interval=1")
    b("plain", "GET", wait + "?interval=1")
    b("as viewer", "GET", wait + "?interval=1&result=one", user="vic")
    b("one result", "GET", wait + "?interval=1&result=one")
    b("results", "GET", wait + "?interval=1&result=one&result=many&result=unknown")
    b("entries", "GET", "/dags/results/dagRuns/done/taskInstances/~/xcomEntries?order_by=map_index")
    b.close()


def dependencies():
    b = Book("dependencies")
    b("pool", "POST", "/pools", {"name": "closed", "slots": 1})
    call("PATCH", "/api/v2/dags/gates", {"is_paused": False})
    call("PATCH", "/api/v2/dags/strict_past", {"is_paused": False})
    b("gates trigger", "POST", "/dags/gates/dagRuns", {"dag_run_id": "g", "logical_date": "2026-02-15T00:00:00Z", "run_after": "2026-02-15T00:00:00Z"})
    for day in (1, 2):
        b(f"past trigger {day}", "POST", "/dags/strict_past/dagRuns", {"dag_run_id": f"p{day}", "logical_date": f"2026-03-0{day}T00:00:00Z", "run_after": f"2026-03-0{day}T00:00:00Z"})
    time.sleep(30)
    for dag, run in (("gates", "g"), ("strict_past", "p1"), ("strict_past", "p2")):
        rows = b(f"{dag} {run} rows", "GET", f"/dags/{dag}/dagRuns/{run}/taskInstances?limit=1000")
        for row in rows.get("task_instances", []):
            b(f"{dag} {run} {row['task_id']}", "GET", f"/dags/{dag}/dagRuns/{run}/taskInstances/{row['task_id']}/dependencies")
    call("PATCH", "/api/v2/dags/gates", {"is_paused": True})
    b("paused trigger", "POST", "/dags/gates/dagRuns", {"dag_run_id": "paused", "logical_date": "2199-03-01T00:00:00Z"})
    for name in ("ok", "alone_all_success", "full_pool"):
        b(f"paused {name}", "GET", f"/dags/gates/dagRuns/paused/taskInstances/{name}/dependencies")
    b("unknown", "GET", "/dags/gates/dagRuns/g/taskInstances/unknown/dependencies")
    b("mapped unknown", "GET", "/dags/gates/dagRuns/g/taskInstances/ok/3/dependencies")
    for run in ("p1", "p2"):
        call("PATCH", f"/api/v2/dags/strict_past/dagRuns/{run}", {"state": "failed"})
    call("PATCH", "/api/v2/dags/gates/dagRuns/g", {"state": "failed"})
    b.close()


if __name__ == "__main__":
    for step in (service, dags, dag_runs, task_instances, admin, hitl):
        if not ONLY or step.__name__ in ONLY:
            step()
    for step in (backfills, waits, dependencies):
        if step.__name__ in ONLY:
            step()
