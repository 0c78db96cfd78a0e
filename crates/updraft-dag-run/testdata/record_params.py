"""Records what Airflow's check of a param says, for `updraft-dag-run`.

Usage: record_params.py > params.json, with the Python of an Airflow 3.3 installation.
"""
import json
import sys

from airflow.serialization.definitions.param import SerializedParam

T = "type"
nested = {T: "object", "properties": {"host": {T: "string", "minLength": 1}, "ports": {T: "array", "items": {T: "integer", "minimum": 1}}, "deep": {T: "object", "required": ["x"], "additionalProperties": False, "properties": {"x": {T: ["number", "null"]}}}}, "required": ["host"], "additionalProperties": False}
CASES = [
    # (schema, values)
    ({}, [None, 1, "x", [1], {"a": 1}]),
    ({T: "string"}, ["", "x", None, 1, 1.5, True, [], {}]),
    ({T: "integer"}, [1, 1.0, 1.5, "1", True, None, -7, 10**20]),
    ({T: "number"}, [1, 1.5, "1.5", False, None]),
    ({T: "boolean"}, [True, False, 0, 1, "true", None]),
    ({T: "null"}, [None, 0, "", []]),
    ({T: "array"}, [[], [1], {}, "[]"]),
    ({T: "object"}, [{}, [], None, "x"]),
    ({T: ["null", "string"]}, [None, "x", 5]),
    ({T: ["null", "integer"], "minimum": 3}, [None, 5, 2, "5"]),
    ({T: ["string", "null"], "minLength": 2}, [None, "a", "ab"]),
    ({"const": 1}, [1, 1.0, True, 2, "1", None]),
    ({"const": {"a": [1, 2]}}, [{"a": [1, 2]}, {"a": [1, 2, 3]}, {"a": [1.0, 2]}]),
    ({"const": None}, [None, 0]),
    ({"const": "it's"}, ["it's", "its"]),
    ({"enum": ["a", 1, None, True, [1]]}, ["a", 1, None, True, [1], False, 0, "b", [1.0], 1.0]),
    ({"enum": [1, 2]}, [1, True, 2.0, "1"]),
    ({"enum": [False]}, [0, False]),
    ({"minimum": 1, "maximum": 5}, [1, 5, 0, 6, 0.5, "0", True]),
    ({"exclusiveMinimum": 1, "exclusiveMaximum": 5}, [1, 5, 2, 1.0001]),
    ({"multipleOf": 3}, [9, 10, 9.0, 0, -6]),
    ({"multipleOf": 0.1}, [0.3, 1, 0.35, 1.1]),
    ({"multipleOf": 0.5}, [1.5, 1.25, 10**300]),
    ({"minLength": 1}, ["", "é", 5]),
    ({"minLength": 3}, ["éa", "éab"]),
    ({"maxLength": 2}, ["abc", "ab", "👍👍", "👍👍👍"]),
    ({"maxLength": 0}, ["", "a"]),
    ({"pattern": "^[a-z]+$"}, ["abc", "aBc", "abc\n", 5, ""]),
    ({"pattern": "b"}, ["abc", "ac"]),
    ({"pattern": r"\d{3}-\d{4}"}, ["555-1234", "5551234", "٣٣٣-٣٣٣٣"]),
    ({"pattern": r"^(?!test_).*$"}, ["x", "test_x"]),
    ({"pattern": r"^(a|b)\1$"}, ["aa", "ab"]),
    ({"minItems": 1}, [[], [1], "x"]),
    ({"minItems": 2}, [[1], [1, 2]]),
    ({"maxItems": 1}, [[1, 2], [1]]),
    ({"maxItems": 0}, [[], [1]]),
    ({"uniqueItems": True}, [[1, 2], [1, 1.0], [1, True], [{"a": 1}, {"a": 1}], [[1], [1]], [0, False], ["a", "A"]]),
    ({"uniqueItems": False}, [[1, 1]]),
    ({"items": {T: "string"}}, [["a"], ["a", 1, 2], [None], "x"]),
    ({"items": False}, [[], [1], [1, 2]]),
    ({"prefixItems": [{T: "string"}, {T: "integer"}]}, [["a", 1], [1, "a"], ["a"], ["a", 1, None]]),
    ({"prefixItems": [{T: "string"}], "items": False}, [["a"], ["a", 1], ["a", 1, 2]]),
    ({"prefixItems": [{T: "string"}], "items": {T: "integer"}}, [["a", 1], ["a", "b"], [1]]),
    ({"contains": {T: "integer"}}, [[1], ["a", 2], ["a"], []]),
    ({"contains": {T: "integer"}, "minContains": 2}, [[1], [1, 2], ["a"]]),
    ({"contains": {T: "integer"}, "maxContains": 1}, [[1], [1, 2]]),
    ({"contains": {T: "integer"}, "minContains": 0}, [[], ["a"]]),
    ({"required": ["a", "b"]}, [{}, {"a": 1}, {"a": 1, "b": 2}, []]),
    ({"minProperties": 1}, [{}, {"a": 1}]),
    ({"minProperties": 2}, [{"a": 1}]),
    ({"maxProperties": 1}, [{"a": 1, "b": 2}]),
    ({"maxProperties": 0}, [{}, {"a": 1}]),
    ({"properties": {"a": {T: "integer"}, "b": {T: "string"}}}, [{"a": 1, "b": "x"}, {"a": "1", "b": 2}, {"c": 1}, []]),
    ({"properties": {"a": {}}, "additionalProperties": False}, [{"a": 1}, {"a": 1, "b": 2}, {"c": 1, "b": 2}]),
    ({"properties": {"a": {}}, "additionalProperties": {T: "integer"}}, [{"a": "x", "b": 2}, {"b": "x"}]),
    ({"patternProperties": {"^n_": {T: "integer"}}}, [{"n_a": 1}, {"n_a": "x"}, {"other": "x"}]),
    ({"patternProperties": {"^n_": {}}, "additionalProperties": False}, [{"n_a": 1}, {"m": 1}, {"m": 1, "o": 2}]),
    ({"propertyNames": {"pattern": "^[a-z]+$"}}, [{"abc": 1}, {"ABC": 1}, {"maxLength": 3}]),
    ({"dependentRequired": {"card": ["address", "name"]}}, [{"card": 1}, {"card": 1, "address": 2}, {"name": 1}, {"card": 1, "address": 1, "name": 1}]),
    ({"dependentSchemas": {"card": {"required": ["zip"]}}}, [{"card": 1}, {"card": 1, "zip": 2}, {}]),
    (nested, [{"host": "h"}, {}, {"host": ""}, {"host": "h", "ports": [80, 0]}, {"host": "h", "ports": ["80"]}, {"host": 1, "ports": "x"}, {"host": "h", "deep": {}}, {"host": "h", "deep": {"x": None, "y": 1}}, {"host": "h", "deep": {"x": "1"}}, {"host": "h", "more": 1}, {"more": 1}, "h", None]),
    ({"allOf": [{T: "integer"}, {"minimum": 5}]}, [7, 3, "x", 1.5]),
    ({"anyOf": [{T: "string"}, {T: "integer"}]}, ["a", 1, None, 1.5]),
    ({"anyOf": [{T: "string", "maxLength": 2}, {T: "integer", "minimum": 5}]}, ["abc", 3, None, "ab", 9]),
    ({"anyOf": [{T: "object", "required": ["a"]}, {T: "array", "items": {T: "integer"}}]}, [{}, ["x"], "x", {"a": 1}, [1]]),
    ({"anyOf": [{"properties": {"a": {T: "integer"}}}, {"properties": {"a": {"enum": ["x"]}, "b": {T: "string"}}}]}, [{"a": "y"}, {"a": "y", "b": 1}, {"a": 1}]),
    ({"oneOf": [{T: "integer"}, {"minimum": 5}]}, [3, 7, "x", 2.5, 7.5]),
    ({"oneOf": [{"const": "a", "title": "A"}, {"const": "b", "title": "B"}]}, ["a", "c"]),
    ({"oneOf": [{T: "string"}, {T: "string", "minLength": 1}]}, ["x", "", 5]),
    ({"not": {T: "string"}}, ["x", 1]),
    ({"not": {"enum": ["a"]}}, ["a", "b"]),
    ({"if": {"properties": {"kind": {"const": "s"}}, "required": ["kind"]}, "then": {"required": ["size"]}, "else": {"required": ["name"]}}, [{"kind": "s"}, {"kind": "s", "size": 1}, {"kind": "t"}, {"name": 1}, {}]),
    ({"if": {T: "integer"}, "then": {"minimum": 3}}, [1, 5, "x"]),
    ({"if": {T: "integer"}, "else": {T: "string", "minLength": 2}}, [1, "a", "ab", None]),
    ({"$ref": "#/$defs/port", "$defs": {"port": {T: "integer", "minimum": 1}}}, [80, 0, "x"]),
    ({T: "object", "properties": {"p": {"$ref": "#/$defs/port"}, "next": {"$ref": "#"}}, "$defs": {"port": {T: "integer"}}}, [{"p": 1}, {"p": "x"}, {"next": {"p": "y"}}, {"next": {"next": {"p": 1}}}]),
    ({"$ref": "#/definitions/a~1b", "definitions": {"a/b": {T: "string"}}}, ["x", 1]),
    ({"$ref": "#/$defs/nothing"}, [1]),
    ({"$ref": "https://example.org/schema.json"}, [1]),
    ({"properties": {"a": {T: "integer"}}, "unevaluatedProperties": False}, [{"a": 1}, {"a": 1, "b": 2}, {"c": 1, "b": 2}]),
    ({"allOf": [{"properties": {"a": {}}}], "properties": {"b": {}}, "unevaluatedProperties": False}, [{"a": 1, "b": 2}, {"c": 1}]),
    ({"unevaluatedProperties": {T: "integer"}}, [{"a": 1}, {"a": "x"}]),
    ({"prefixItems": [{T: "string"}], "unevaluatedItems": False}, [["a"], ["a", 1]]),
    ({"format": "date"}, ["2026-02-28", "2026-02-30", "2026-2-1", "20260228", "2026-W01-1", "", 5]),
    ({"format": "time"}, ["10:11:12", "10:11", "10:11:12Z", "25:00:00", "1:2:3"]),
    ({"format": "date-time"}, ["2026-02-28T10:00:00Z", "yesterday", ""]),
    ({"format": "duration"}, ["P1D", "PT1H30M", "P1Y2M3DT4H5M6S", "1h", "P", "PT", "P1W", "P1H", "PT1D", "P-1D", "+P1D", "P1.5D", "P1DT", "p1d", "P1M2Y", "PT1S1H"]),
    ({"format": "email"}, ["a@b", "a", "@", ""]),
    ({"format": "idn-email"}, ["a@b", "a"]),
    ({"format": "ipv4"}, ["1.2.3.4", "1.2.3", "256.1.1.1", "01.2.3.4", "1.2.3.4 ", ""]),
    ({"format": "ipv6"}, ["::1", "fe80::1%eth0", "1.2.3.4", "::ffff:1.2.3.4", "1::2::3", "12345::"]),
    ({"format": "uuid"}, ["2eb8aa08-aa98-11ea-b4aa-73b441d16380", "2eb8aa08aa9811eab4aa73b441d16380", "2EB8AA08-AA98-11EA-B4AA-73B441D16380", "2eb8aa08-aa98-11ea-b4aa-73b441d1638", "{2eb8aa08-aa98-11ea-b4aa-73b441d1638}", "x"]),
    ({"format": "regex"}, ["^a+$", "(", "a{2,1}", "(?P<n>a)", r"\p{L}"]),
    ({"format": "uri"}, ["http://x", "not a uri"]),
    ({"format": "hostname"}, ["a.b", "-a-"]),
    ({"format": "idn-hostname"}, ["example.org", "bücher.example", "a_b", "-a", "", "xn--bcher-kva.example", "a..b"]),
    ({"format": "json-pointer"}, ["/a", "a"]),
    ({"format": "color"}, ["red", "nocolor"]),
    ({"format": "multiline"}, ["x"]),
    ({T: "string", "format": "date", "minLength": 30}, ["2026-02-30", 7]),
    ({T: "string", "title": "A title", "description": "words", "examples": ["a"], "values_display": {"a": "A"}, "section": "S", "custom_html_form": "<b>"}, ["x", 1]),
    ({T: "integer", "minimum": 10, "title": "A rather long title that makes the printed schema wide", "description": "And a description that is long enough to need several lines when it is printed prettily by Python"}, [3, "x"]),
    ({T: "array", "items": {T: "object", "properties": {"name": {T: "string"}, "values": {T: "array", "items": {"enum": ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota"]}}}}}, [[{"name": "n", "values": ["alpha", "omega"]}], [{"name": 5}], [[], {}]]),
    (True, [1]),
]
out = []
for schema, values in CASES:
    for value in values:
        if schema is True:
            continue
        param = SerializedParam(value, **schema)
        try:
            param.resolve(raises=True)
            error = None
        except Exception as problem:
            error = str(problem)
        out.append({"schema": param.schema, "value": value, "error": error})
lines = ",\n".join(json.dumps(vector, ensure_ascii=False) for vector in out)
sys.stdout.write(f'{{"vectors": [\n{lines}\n]}}\n')
