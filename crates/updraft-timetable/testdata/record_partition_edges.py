"""Records what Airflow's own partition mappers answer at the edges: offsets in keys, gaps and
folds, mappers within mappers, windows backward, keys of another shape.

Run with an interpreter that has apache-airflow-core 3.3.2; prints the vectors as JSON."""
import json, sys
from airflow.serialization.decoders import decode_partition_mapper
P = "airflow.partition_mappers."
def m(cls, **var): return {"__type": P + cls, "__var": var}
def start(unit, tz="UTC", inp="%Y-%m-%dT%H:%M:%S", out=None):
    outs = {"Hour": "%Y-%m-%dT%H", "Day": "%Y-%m-%d", "Week": "%Y-%m-%d (W%V)", "Month": "%Y-%m", "Quarter": "%Y-Q{quarter}", "Year": "%Y"}
    return m(f"temporal.StartOf{unit}Mapper", timezone=tz, input_format=inp, output_format=out or outs[unit])
def window(unit, direction="forward"): return m(f"window.{unit}Window", direction=direction)
def rollup(up, win, policy=None): return m("base.RollupMapper", upstream_mapper=up, window=win, wait_policy=policy or m("wait_policy.WaitForAll"))
def fan(up, win, down): return m("temporal.FanOutMapper", upstream_mapper=up, window=win, downstream_mapper=down)
IDENTITY = m("identity.IdentityMapper")
ZONES = ["UTC", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", -12600]
UNITS = ["Hour", "Day", "Week", "Month", "Quarter", "Year"]
Z = "%Y-%m-%dT%H:%M:%S%z"
KEYS = ["2024-03-10T02:30:00", "2024-11-03T01:30:00", "2017-10-15T00:30:00", "2018-02-17T23:30:00", "2024-12-31T23:59:59", "2024-02-29T00:00:00", "2024-3-1T1:2:3", " 2024-03-10T02:30:00", "2024-03-10T02:30:00 ", "2024-13-10T02:30:00", "2023-02-29T00:00:00", "2024-06-30T23:59:60", ""]
ZKEYS = ["2024-03-10T02:30:00+0000", "2024-03-10T02:30:00Z", "2024-03-10T02:30:00+05:30", "2024-11-03T05:30:00+0000", "2024-11-03T06:30:00+0000", "2024-03-31T00:30:00-1100", "2024-03-10T02:30:00+053015", "2024-03-10T02:30:00+05:3015", "2024-03-10T02:30:00+2500", "2024-03-10T02:30:00+5", "2024-03-10T02:30:00"]
cases = []
for zone in ZONES:
    for unit in UNITS:
        for key in KEYS: cases.append(("to_downstream", start(unit, zone), key))
        for key in ZKEYS: cases.append(("to_downstream", start(unit, zone, Z), key))
    for unit in ["Hour", "Day", "Month"]:
        for out in ["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %Z", "%a %d %b %Y %I%p", "%j/%y", "%Y-%m-%dT%H:%M:%S.%f", "%G-W%V-%u", "100%% %d", "%F %T"]:
            for key in KEYS[:6]:
                cases.append(("to_downstream", start(unit, zone, out=out), key))
            cases.append(("round", start(unit, zone, out=out), KEYS[0]))
            cases.append(("round", start(unit, zone, out=out), KEYS[5]))
for out in ["%Y-%m-%dW%V", "W%V %d.%m.%Y", "%Y%m%d", "%Y-%m", "{word}-%Y-%m-%d", "%d%d", "%Y-%m-%d %H"]:
    for key in ["2024-03-13T10:00:00", "2024-12-31T00:00:00"]: cases.append(("round", start("Week", out=out), key))
for out in ["%Y/{quarter}", "Q{quarter}-%Y", "{quarter}", "%Y{quarter}", "%Y-{quarter}-{other}", "%Y-%m-Q{quarter}", "{{%Y}} {quarter}", "%Y-{quarter:02d}", "{quarter}{quarter} %Y"]:
    for key in ["2024-05-13T10:00:00", "2024-12-31T00:00:00"]: cases.append(("round", start("Quarter", out=out), key))
for key in ["2024-Q5", "2024-Q0", "24-Q1", "2024-Q1 ", "2024-Q1\n", "2024-q1", "x2024-Q1"]:
    cases.append(("to_partition_date", start("Quarter"), key))
for unit, win in [("Hour", "Hour"), ("Day", "Day"), ("Week", "Week"), ("Month", "Month"), ("Quarter", "Quarter"), ("Year", "Year")]:
    for direction in ["forward", "backward"]:
        for zone in ["America/New_York", "America/Sao_Paulo"]:
            for key in ["2024-03-10T02:00:00", "2024-11-03T01:30:00", "2017-10-15T12:00:00", "2024-02-29T00:00:00"]:
                cases.append(("rollup", rollup(start(unit, zone), window(win, direction)), key))
                cases.append(("to_downstream", fan(start(unit, zone), window(win, direction), start("Hour", zone)), key))
for win in ["Hour", "Day", "Week", "Month", "Quarter", "Year"]:
    for direction in ["forward", "backward"]:
        cases.append(("rollup", rollup(start("Day"), window(win, direction)), "2024-05-15T00:00:00"))
        cases.append(("rollup", rollup(start("Day"), window(win, direction)), "2024-05-01T00:00:00"))
        cases.append(("rollup", rollup(start("Day", "America/New_York", out="%Y-%m-%d%z"), window(win, direction)), "2024-05-01T00:00:00"))
        cases.append(("to_downstream", fan(start("Month", out="%Y-%m %z"), window(win, direction), start("Day", out="%Y-%m-%d%z")), "2024-05-03T00:00:00"))
        cases.append(("to_downstream", fan(start("Month"), window(win, direction), IDENTITY), "2024-05-03T00:00:00"))
        cases.append(("to_downstream", fan(IDENTITY, window(win, direction), start("Day")), "2024-05-03T00:00:00"))
seg = m("window.SegmentWindow", segments=["eu", "us", "us"])
for up in [m("fixed_key.FixedKeyMapper", downstream_key="all"), m("allowed_key.AllowedKeyMapper", allowed_keys=["us"]), IDENTITY]:
    cases.append(("rollup", rollup(up, seg), "us"))
    cases.append(("to_downstream", fan(up, seg, IDENTITY), "us"))
    cases.append(("to_downstream", fan(up, seg, start("Day")), "us"))
chain = lambda *mappers: m("chain.ChainMapper", mappers=list(mappers))
product = lambda *mappers, **k: m("product.ProductMapper", mappers=list(mappers), **(k or {"delimiter": "|"}))
days = fan(start("Month", inp="%Y-%m"), window("Month"), start("Day"))
for mapper in [chain(days, IDENTITY), chain(days, start("Month", inp="%Y-%m-%d")), chain(IDENTITY, days), product(days, IDENTITY), product(IDENTITY, IDENTITY), product(IDENTITY, start("Day")), product(start("Day"), start("Month")), fan(days, window("Day"), IDENTITY), fan(chain(days, IDENTITY), window("Day"), IDENTITY), rollup(start("Day"), window("Day"))]:
    for key in ["2024-02", "2024-02|2024-03-01T00:00:00", "a|b", "a|b|c", "2024-02-01T10:00:00|2024-03-01T00:00:00", "", "|"]:
        cases.append(("to_downstream", mapper, key))
        cases.append(("to_partition_date", mapper, key))
def iso(d): return None if d is None else d.astimezone(__import__("datetime").timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ").replace(".000000Z", "Z").rjust(20, "0")
out = []
for i, (op, mapper, key) in enumerate(cases):
    # Exceptions are compared by the class of which they are.
    try:
        real = decode_partition_mapper(json.loads(json.dumps(mapper)))
    except Exception as e:
        out.append({"op": op, "mapper": mapper, "key": key, "expect": {"refused": type(e).__name__}}); continue
    def run(f):
        try: return f()
        except Exception as e:
            kind = TypeError if isinstance(e, (TypeError, AttributeError)) else ValueError
            return {"error": kind.__name__}
    def down(k):
        r = real.to_downstream(k); return r if isinstance(r, str) else list(r)
    if op == "to_downstream": expect = {"keys": run(lambda: down(key))}
    elif op == "to_partition_date": expect = {"partition_date": run(lambda: iso(real.to_partition_date(key)))}
    elif op == "round":
        k = run(lambda: down(key)); expect = {"keys": k}
        if isinstance(k, str): expect["partition_date"] = run(lambda: iso(real.to_partition_date(k)))
    else:
        k = run(lambda: down(key)); expect = {"keys": k}
        if isinstance(k, str):
            expect["upstream"] = run(lambda: sorted(real.to_upstream(k)))
            expect["partition_date"] = run(lambda: iso(real.to_partition_date(k)))
    out.append({"op": op, "mapper": mapper, "key": key, "expect": expect})
json.dump({"schema": "partition-edges/1", "airflow": "3.3.2", "count": len(out), "vectors": out}, sys.stdout, ensure_ascii=False, separators=(",", ":"))
