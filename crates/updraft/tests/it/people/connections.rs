//! Connections that are tested by their real hooks.

use serde_json::{Value, json};
use updraft_testkit::{SECOND, wait_until};

use crate::standalone::installation;

#[test]
fn the_hook_of_a_connection_says_whether_it_works() {
    let mut updraft = installation(&[]).with("AIRFLOW__CORE__TEST_CONNECTION", "Enabled");
    let client = updraft.start();
    let folder = updraft.home().path().display().to_string();
    let at = |path: &str| {
        let extra = json!({ "path": path }).to_string();
        json!({"connection_id": "files", "conn_type": "fs", "extra": extra})
    };
    let test = |connection: &Value| -> Value {
        let reply = client.call("POST", "/api/v2/connections/test", Some(connection));
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.body
    };
    assert_eq!(
        test(&at(&folder)),
        json!({"status": true, "message": format!("Path {folder} is existing.")})
    );
    assert_eq!(
        test(&at("/nowhere")),
        json!({"status": false, "message": "Path /nowhere does not exist."})
    );
    let odd = json!({"connection_id": "odd", "conn_type": "odd"});
    assert_eq!(
        test(&odd),
        json!({"status": false, "message": "Unknown hook type \"odd\""})
    );

    // One that works is stored, if that is wanted.
    let mut body = at(&folder);
    body["commit_on_success"] = json!(true);
    let path = "/api/v2/connections/enqueue-test";
    let queued = client.call("POST", path, Some(&body));
    assert_eq!(queued.status, 202, "{}", queued.body);
    let stored = wait_until("the connection is stored", 60 * SECOND, || {
        let reply = client.call("GET", "/api/v2/connections/files", None);
        if reply.status == 200 {
            Ok(reply.body)
        } else {
            Err(reply.body)
        }
    });
    assert_eq!(stored["conn_type"], "fs");
    let tests = updraft.home().rows(
        "SELECT state, active_connection_id FROM connection_test_request ORDER BY created_at",
    );
    assert_eq!(tests.len(), 4);
    assert_eq!(tests[3], [json!("success"), Value::Null]);
}
