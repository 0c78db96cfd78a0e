//! URIs that Airflow 3.3.2 read and wrote: `testdata/connection_uris.json`.

use serde_json::Value;
use updraft_model::connection::Connection;

use super::{connection_of, masked, uri_of};

const CASES: &str = include_str!("../../../../testdata/connection_uris.json");

fn cases(kind: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(CASES).unwrap();
    all[kind].as_array().unwrap().clone()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

#[test]
fn uris_are_read_as_airflow_reads_them() {
    for case in cases("parse") {
        let uri = case["uri"].as_str().unwrap();
        let read = connection_of("c", uri);
        let wanted = &case["connection"];
        if wanted.is_null() {
            assert!(read.is_err(), "{uri}: {:?}", read.map(|read| read.host));
            continue;
        }
        let read = read.unwrap_or_else(|error| panic!("{uri}: {error}"));
        let found = serde_json::json!({
            "conn_type": read.conn_type, "host": read.host, "login": read.login,
            "password": read.password, "schema": read.schema, "port": read.port,
            "extra": read.extra,
        });
        assert_eq!(&found, wanted, "{uri}");
    }
}

#[test]
fn uris_are_written_as_airflow_writes_them() {
    for case in cases("format") {
        let given = &case["connection"];
        let connection = Connection {
            conn_id: "c".into(),
            conn_type: text(&given["conn_type"]).unwrap(),
            description: None,
            host: text(&given["host"]),
            schema: text(&given["schema"]),
            login: text(&given["login"]),
            password: text(&given["password"]),
            port: given["port"]
                .as_i64()
                .map(|port| i32::try_from(port).unwrap()),
            extra: text(&given["extra"]),
            team_name: None,
        };
        let uri = case["uri"].as_str().unwrap();
        assert_eq!(uri_of(&connection), uri);
        assert_eq!(masked(uri), case["masked"].as_str().unwrap());
    }
}
