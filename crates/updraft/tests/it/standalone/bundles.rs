//! Dag bundles as a user meets them: a Git repository through the class of Airflow's provider.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use updraft_testkit::{RestClient, SECOND, Standalone, wait_until};

/// A repository that a bundle follows.
struct Repository(PathBuf);

impl Repository {
    fn new(folder: PathBuf) -> Self {
        fs::create_dir_all(folder.join("dags")).unwrap();
        let repository = Self(folder);
        repository.git(&["init", "--quiet", "--initial-branch", "main"]);
        repository
    }

    /// Commits the Dag with another word in the module it imports, and returns the commit.
    fn commit(&self, word: &str) -> String {
        let dags = self.0.join("dags");
        fs::write(dags.join("pinned.py"), include_str!("../../dags/pinned.py")).unwrap();
        fs::write(dags.join("pinned_word.py"), format!("WORD = {word:?}\n")).unwrap();
        self.git(&["add", "."]);
        self.git(&["commit", "--quiet", "--message", word]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(&self.0)
            .args(["-c", "user.name=me", "-c", "user.email=me@example.org"])
            .args(arguments)
            .output()
            .expect("git is installed");
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// An installation with these bundles, which looks at them every second.
fn installation(bundles: impl FnOnce(&Path) -> Value) -> Standalone {
    let updraft = super::installation(&[]);
    let home = updraft.home().path().to_owned();
    let list = bundles(&home).to_string();
    let storage = home.join("bundles").display().to_string();
    updraft
        .with("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", &list)
        .with("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", &storage)
        .with("AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL", "1")
        .with("AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL", "1")
}

fn git_bundle(home: &Path) -> Value {
    json!([{
        "name": "repository",
        "classpath": "airflow.providers.git.bundles.git.GitDagBundle",
        "kwargs": {
            "repo_url": home.join("repository"), "tracking_ref": "main", "subdir": "dags",
            "view_url_template": "https://example.org/{tracking_ref}/{version}/{subdir}",
        },
    }])
}

fn wait_for_version(client: &RestClient, dag_id: &str, version: &str) {
    let path = format!("/api/v2/dags/{dag_id}");
    wait_until("the Dag is of that version", 60 * SECOND, || {
        let dag = client.call("GET", &path, None).body;
        if dag["bundle_version"] == version {
            Ok(())
        } else {
            Err(dag)
        }
    });
}

fn wait_for_state(client: &RestClient, run_id: &str, state: &str) {
    wait_until(&format!("found {state}"), 60 * SECOND, || {
        let states = client.states("pinned", run_id);
        if states.iter().any(|found| found == state) {
            Ok(())
        } else {
            Err(states)
        }
    });
}

#[test]
fn a_run_goes_on_with_the_commit_it_began_with() {
    let mut updraft = installation(git_bundle);
    let home = updraft.home().path().to_owned();
    let repository = Repository::new(home.join("repository"));
    let first = repository.commit("one");
    let client = updraft.start();
    wait_for_version(&client, "pinned", &first);
    let old = client.trigger("pinned");
    wait_for_state(&client, &old, "wait[-1]: running, try 1");

    let second = repository.commit("two");
    wait_for_version(&client, "pinned", &second);
    let new = client.trigger("pinned");
    wait_for_state(&client, &new, "wait[-1]: running, try 1");
    fs::write(home.join("go"), "").unwrap();
    for (run_id, version) in [(&old, &first), (&new, &second)] {
        let state = client.wait_for_run("pinned", run_id, 60 * SECOND);
        assert_eq!(state, "success");
        let path = format!("/api/v2/dags/pinned/dagRuns/{}", run_id.replace('+', "%2B"));
        let run = client.get(&path);
        assert_eq!(run["bundle_version"], **version);
        // Its structure did not change, so the one version of the Dag has moved on.
        let url = format!("https://example.org/main/{second}/dags");
        assert_eq!(run["dag_versions"][0]["bundle_url"], url, "{run}");
    }
    let record = wait_until("both callbacks ran", 60 * SECOND, || {
        let record = fs::read_to_string(home.join("record.txt")).unwrap_or_default();
        if record.lines().count() == 4 {
            Ok(record)
        } else {
            Err(record)
        }
    });
    for line in [
        format!("{old} last one"),
        format!("{old} callback one"),
        format!("{new} last two"),
        format!("{new} callback two"),
    ] {
        assert!(
            record.lines().any(|found| found == line),
            "{line}: {record}"
        );
    }
    let checkouts = home.join("bundles/repository/versions");
    for version in [first, second] {
        assert!(checkouts.join(version).join("dags/pinned.py").is_file());
    }
}

/// An installation with a folder and a bundle of a class that does what files tell it.
fn fragile_installation() -> Standalone {
    let updraft = installation(|_| {
        json!([
            {
                "name": "fragile", "classpath": "fragile.Fragile",
                // Only what is asked for is fetched, after the start.
                "kwargs": {"refresh_interval": 86400},
            },
            {
                "name": "healthy",
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": {},
            },
        ])
    })
    .with("AIRFLOW__UPDRAFT__BUNDLE_TIMEOUT", "5");
    let home = updraft.home();
    for (path, text) in [
        ("plugins/fragile.py", include_str!("../../dags/fragile.py")),
        ("source/newest", "v1"),
        ("source/v1/VERSION", "v1"),
        ("source/v1/fragile_dag.py", FRAGILE_DAG),
    ] {
        let path = home.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    home.write_dag("healthy.py", &FRAGILE_DAG.replace("fragile", "healthy"));
    updraft
}

const FRAGILE_DAG: &str = "\
from airflow.sdk import DAG, task
with DAG('fragile', schedule=None):
    @task
    def work():
        pass
    work()
";

#[test]
fn a_version_that_cannot_be_had_fails_its_tasks_and_no_others() {
    let mut updraft = fragile_installation();
    let home = updraft.home().path().to_owned();
    let client = updraft.start();
    client.wait_for_dag("fragile", 60 * SECOND);
    client.wait_for_dag("healthy", 60 * SECOND);
    for (trouble, reason) in [
        (
            "raise",
            "the source does not answer: OSError: no route to host",
        ),
        ("hang", "was killed after 5 s"),
    ] {
        fs::write(home.join(trouble), "").unwrap();
        let failing = client.trigger("fragile");
        let other = client.trigger("healthy");
        assert_eq!(
            client.wait_for_run("healthy", &other, 60 * SECOND),
            "success"
        );
        assert_eq!(
            client.wait_for_run("fragile", &failing, 60 * SECOND),
            "failed"
        );
        let log = client.log("fragile", &failing, "work", 1);
        assert!(log.contains(reason), "{log}");
        fs::remove_file(home.join(trouble)).unwrap();
    }
    // What the killed class has left is out of the way.
    let run_id = client.trigger("fragile");
    assert_eq!(
        client.wait_for_run("fragile", &run_id, 60 * SECOND),
        "success"
    );
}

#[test]
fn a_bundle_is_whole_again_after_a_kill_while_it_was_fetched() {
    let mut updraft = fragile_installation();
    let home = updraft.home().path().to_owned();
    fs::write(home.join("hang"), "").unwrap();
    updraft.start();
    let lock = home.join("bundles/fragile/index.lock");
    wait_until("the class is at work", 60 * SECOND, || {
        if lock.exists() { Ok(()) } else { Err(()) }
    });
    updraft.kill();
    fs::remove_file(home.join("hang")).unwrap();
    let client = updraft.start();
    client.wait_for_dag("fragile", 60 * SECOND);
    let run_id = client.trigger("fragile");
    assert_eq!(
        client.wait_for_run("fragile", &run_id, 60 * SECOND),
        "success"
    );
}
