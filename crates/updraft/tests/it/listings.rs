//! Variables, connections and pools: set, got, listed in every form, exported, imported, deleted.
//!
//! The outputs are those of Airflow 3.3.2 for the same commands.

use crate::home::Home;

#[test]
fn variables_are_set_got_listed_and_deleted() {
    let home = Home::migrated();
    assert_eq!(
        home.line("variables set a 1").fine(),
        "Variable a created\n"
    );
    let json = [
        "variables",
        "set",
        "j",
        "{\"x\": 1}",
        "--description",
        "a thing",
    ];
    home.run(&json).fine();
    assert_eq!(home.line("variables get a").fine(), "1\n");
    assert_eq!(home.line("variables get j -j").fine(), "{'x': 1}\n");
    assert_eq!(home.line("variables get nope -d other").fine(), "other\n");
    assert_eq!(
        home.line("variables list").fine(),
        "key\n===\na  \nj  \n   \n"
    );
    assert_eq!(
        home.line("variables list -o json --show-values").fine(),
        "[{\"key\": \"a\", \"val\": \"1\"}, {\"key\": \"j\", \"val\": \"{\\\"x\\\": 1}\"}]\n"
    );
    assert_eq!(
        home.line("variables list -o yaml --show-values --hide-sensitive")
            .fine(),
        "- key: a\n  val: '***'\n- key: j\n  val: '***'\n\n"
    );
    assert_eq!(home.line("variables list -o plain").fine(), "key\na\nj\n");
    assert_eq!(
        home.line("variables delete a").fine(),
        "Variable a deleted\n"
    );
    let error = home.line("variables get a").refused(1);
    assert!(
        error.contains("error: Variable a does not exist"),
        "{error}"
    );
    assert!(error.contains("hint: `updraft variables list`"), "{error}");
}

#[test]
fn a_value_may_look_like_a_flag_and_an_old_one_is_replaced() {
    let home = Home::migrated();
    home.line("variables set a --dashed").fine();
    home.line("variables set a -1").fine();
    assert_eq!(home.line("variables get a").fine(), "-1\n");
    // Airflow writes the JSON of the text.
    home.run(&["variables", "set", "j", "{\"x\": \"é\"}", "-j"])
        .fine();
    assert_eq!(
        home.line("variables get j").fine(),
        "\"{\\\"x\\\": \\\"\\u00e9\\\"}\"\n"
    );
}

#[test]
fn variables_of_the_environment_go_before_those_of_the_store() {
    let home = Home::migrated().with("AIRFLOW_VAR_TOKEN", "from outside");
    home.line("variables set token stored").fine();
    assert_eq!(home.line("variables get token").fine(), "from outside\n");
}

#[test]
fn exported_variables_are_imported_again() {
    let home = Home::migrated();
    home.line("variables set a 1").fine();
    home.run(&[
        "variables",
        "set",
        "j",
        "{\"x\": 1}",
        "--description",
        "a thing",
    ])
    .fine();
    let exported = home.line("variables export -").fine();
    let wanted = "{\n    \"a\": 1,\n    \"j\": {\n        \"description\": \"a thing\",\n        \
                  \"value\": {\n            \"x\": 1\n        }\n    }\n}";
    assert_eq!(exported, wanted);
    let file = home.file("v.json");
    assert_eq!(
        home.run(&["variables", "export", &file]).fine(),
        format!("2 Variables successfully exported to {file}.\n")
    );
    home.line("variables delete a").fine();
    assert_eq!(
        home.run(&["variables", "import", &file, "-a", "skip"])
            .fine(),
        "1 of 2 variables successfully updated.\n\
         The variables with these keys: ['j'] were skipped because they already exists\n"
    );
    let error = home
        .run(&["variables", "import", &file, "-a", "fail"])
        .refused(1);
    assert!(error.contains("['a', 'j']"), "{error}");
    assert_eq!(home.line("variables get a").fine(), "1\n");
}

#[test]
fn an_import_that_makes_no_sense_changes_nothing() {
    let home = Home::migrated();
    for (name, text, reason) in [
        ("a.json", "{\"a\": 1", "is not JSON"),
        ("a.json", "[]", "JSON object"),
        ("a.env", "a=1\nb", "line 2"),
        ("a.txt", "a", ".json or .env"),
    ] {
        std::fs::write(home.path().join(name), text).unwrap();
        let error = home
            .run(&["variables", "import", &home.file(name)])
            .refused(1);
        assert!(error.contains(reason), "{error}");
    }
    let error = home.line("variables import gone.json").refused(1);
    assert!(error.contains("Missing variables file"), "{error}");
    assert_eq!(home.line("variables list").fine(), "No data found\n");
}

#[test]
fn connections_are_added_shown_masked_and_deleted() {
    let home = Home::migrated();
    let uri = "postgres://user:p%40ss@host:5432/db?sslmode=require";
    let added = home
        .run(&["connections", "add", "c1", "--conn-uri", uri])
        .fine();
    assert!(
        added.starts_with("Successfully added `conn_id`=c1\n"),
        "{added}"
    );
    assert!(!added.contains("p@ss"), "{added}");
    assert_eq!(
        home.line("connections list").fine(),
        "conn_id | conn_type\n========+==========\nc1      | postgres \n                   \n"
    );
    let shown = home.line("connections get c1 -o json").fine();
    for part in [
        "\"password\": \"p@ss\"",
        "\"port\": \"5432\"",
        uri,
        "{\"sslmode\": \"require\"}",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let masked = home
        .line("connections list --show-values --hide-sensitive -o yaml")
        .fine();
    assert!(
        masked.contains("get_uri: postgres://***:***@host:5432/db?sslmode=require\n"),
        "{masked}"
    );
    assert!(
        masked.contains("password: '***'\n") && !masked.contains("p@ss"),
        "{masked}"
    );

    let error = home
        .run(&["connections", "add", "c1", "--conn-type", "http"])
        .refused(1);
    assert!(error.contains("already exists"), "{error}");
    home.line("connections delete c1").fine();
    let error = home.line("connections delete c1").refused(1);
    assert!(
        error.contains("Did not find a connection with `conn_id`=c1"),
        "{error}"
    );
    assert!(
        home.line("connections get c1")
            .refused(1)
            .contains("Connection not found.")
    );
}

#[test]
fn a_connection_that_contradicts_itself_is_refused() {
    let home = Home::migrated();
    let cases: [(&[&str], &str); 7] = [
        (&["c"], "Must supply either conn-uri or conn-json"),
        (
            &["bad id!", "--conn-type", "http"],
            "alphanumeric characters",
        ),
        (&["c", "--conn-uri", "no-scheme"], "type://login"),
        (&["c", "--conn-uri", "a://h:port"], "port"),
        (
            &["c", "--conn-uri", "a://h", "--conn-host", "x"],
            "conn_host",
        ),
        (
            &["c", "--conn-json", "{\"conn_type\": \"a\", \"hots\": 1}"],
            "`hots`",
        ),
        (
            &["c", "--conn-type", "a", "--conn-extra", "[1]"],
            "JSON object",
        ),
    ];
    for (arguments, reason) in cases {
        let arguments = [&["connections", "add"], arguments].concat();
        let error = home.run(&arguments).refused(1);
        assert!(error.contains(reason), "{error}");
    }
    assert_eq!(home.line("connections list").fine(), "No data found\n");
}

#[test]
fn exported_connections_are_imported_again_in_each_form() {
    let home = Home::migrated();
    home.run(&[
        "connections",
        "add",
        "c1",
        "--conn-uri",
        "a-b://u:p@h:1/s?x=y",
    ])
    .fine();
    home.run(&[
        "connections",
        "add",
        "c2",
        "--conn-type",
        "http",
        "--conn-extra",
        "{\"k\": 1}",
    ])
    .fine();
    let before = home.line("connections list --show-values -o json").fine();
    for name in ["c.json", "c.env"] {
        let file = home.file(name);
        home.run(&["connections", "export", &file]).fine();
        home.line("connections delete c2").fine();
        assert_eq!(
            home.run(&["connections", "import", &file]).fine(),
            "Could not import connection c1: connection already exists.\nImported connection c2\n"
        );
    }
    let yaml = home.line("connections export - --file-format yaml").fine();
    assert!(
        yaml.starts_with("c1:\n  conn_type: a_b\n  description: null\n  extra: '{\"x\": \"y\"}'\n"),
        "{yaml}"
    );
    // A URI has no way to say that there is no host.
    let after = home.line("connections list --show-values -o json").fine();
    assert_eq!(
        after.replace(
            "\"host\": \"\", \"schema\": \"\"",
            "\"host\": null, \"schema\": null"
        ),
        before
    );
}

#[test]
fn pools_are_set_listed_exported_and_deleted_but_for_the_default_one() {
    let home = Home::migrated();
    let set = ["pools", "set", "p1", "5", "my pool", "--include-deferred"];
    assert_eq!(home.run(&set).fine(), "Pool p1 created\n");
    assert_eq!(
        home.line("pools get p1").fine(),
        "pool | slots | description | include_deferred | team_name\n\
         =====+=======+=============+==================+==========\n\
         p1   | 5     | my pool     | True             | None     \n\
         \u{20}                                                        \n"
    );
    assert_eq!(
        home.line("pools list -o plain").fine(),
        "pool            slots  description    include_deferred    team_name\n\
         default_pool      128  Default pool   False\n\
         p1                  5  my pool        True\n"
    );
    let file = home.file("p.json");
    assert_eq!(
        home.run(&["pools", "export", &file]).fine(),
        format!("Exported 2 pools to {file}\n")
    );
    home.line("pools delete p1").fine();
    assert!(
        home.line("pools delete p1")
            .refused(1)
            .contains("Pool p1 does not exist")
    );
    assert_eq!(
        home.run(&["pools", "import", &file]).fine(),
        "Uploaded 2 pool(s)\n"
    );
    home.line("pools get p1").fine();
    assert!(
        home.line("pools delete default_pool")
            .refused(1)
            .contains("cannot be deleted")
    );

    std::fs::write(
        &file,
        "{\"good\": {\"slots\": 1, \"description\": \"\"}, \"bad\": 3}",
    )
    .unwrap();
    let error = home.run(&["pools", "import", &file]).refused(1);
    assert!(error.contains("Failed to update pool(s): bad"), "{error}");
    assert!(
        home.line("pools get good")
            .refused(1)
            .contains("does not exist")
    );
}
