//! Which crate may depend on which: the architecture, held by a list.

use serde::Deserialize;

use anyhow::Result;

/// Decide without I/O: they may depend on each other and on [`DATA`].
const PURE: [&str; 6] = [
    "updraft-execution-api",
    "updraft-model",
    "updraft-planning",
    "updraft-rest-api",
    "updraft-task-comms",
    "updraft-timetable",
];

/// Crates that only hold, name, hash or encode values.
const DATA: [&str; 13] = [
    "aho-corasick",
    "bytes",
    "indexmap",
    "jiff",
    "rmp-serde",
    "rmpv",
    "serde",
    "serde_json",
    "sha1",
    "smol_str",
    "thiserror",
    "utoipa",
    "uuid",
];

/// Meet in the store and on HTTP, never in each other's memory.
const ROLES: [&str; 5] = [
    "updraft-api-server",
    "updraft-dag-processor",
    "updraft-scheduler",
    "updraft-triggerer",
    "updraft-worker",
];

const BINARY: &str = "updraft";
const STORE: &str = "updraft-store";
const TESTKIT: &str = "updraft-testkit";

/// The part of `cargo metadata` that is looked at.
#[derive(Deserialize)]
pub(super) struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    source: Option<String>,
    /// `null` for a normal dependency, else `dev` or `build`.
    kind: Option<String>,
}

pub(super) fn violations(metadata: &Metadata) -> Result<Vec<String>> {
    let mut violations = Vec::new();
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            if let Some(reason) = objection(&package.name, dependency) {
                violations.push(format!("{} → {}: {reason}", package.name, dependency.name));
            }
        }
    }
    Ok(violations)
}

fn objection(package: &str, dependency: &Dependency) -> Option<&'static str> {
    let name = dependency.name.as_str();
    if dependency
        .source
        .as_deref()
        .is_some_and(|source| source.starts_with("git+"))
    {
        return Some("dependencies come from the registry, never from git");
    }
    if name == BINARY {
        return Some("nothing depends on the binary");
    }
    // What tests use does not shape the product.
    if dependency.kind.as_deref() == Some("dev") {
        return None;
    }
    if PURE.contains(&package) && !PURE.contains(&name) && !DATA.contains(&name) {
        return Some("a pure crate depends on pure crates and on data crates only");
    }
    if ROLES.contains(&package) && ROLES.contains(&name) {
        return Some("a role never depends on a role");
    }
    if ROLES.contains(&name) && is_below_roles(package) {
        return Some("what roles are made of does not depend on a role");
    }
    if name == "sqlx" && package != STORE {
        return Some("only updraft-store talks SQL");
    }
    if name == TESTKIT {
        return Some("the testkit is a dev-dependency");
    }
    if package == "xtask" && name.starts_with("updraft") && name != "updraft-python" {
        return Some("xtask drives the binary from outside");
    }
    None
}

fn is_below_roles(package: &str) -> bool {
    let below = ["updraft-config", "updraft-python", "updraft-runtime", STORE];
    PURE.contains(&package) || below.contains(&package)
}

#[cfg(test)]
mod tests {
    use super::{Dependency, objection};

    fn edge(from: &str, to: &str, kind: Option<&str>) -> Option<&'static str> {
        let dependency = Dependency {
            name: to.to_owned(),
            source: None,
            kind: kind.map(str::to_owned),
        };
        objection(from, &dependency)
    }

    #[test]
    fn pure_crates_take_no_runtime_but_may_test_with_one() {
        assert!(edge("updraft-planning", "tokio", None).is_some());
        assert!(edge("updraft-planning", "updraft-store", None).is_some());
        assert_eq!(edge("updraft-planning", "updraft-model", None), None);
        assert_eq!(edge("updraft-planning", "serde", None), None);
        assert_eq!(edge("updraft-planning", "proptest", Some("dev")), None);
    }

    #[test]
    fn roles_meet_in_the_store_only() {
        assert!(edge("updraft-scheduler", "updraft-api-server", None).is_some());
        assert!(edge("updraft-store", "updraft-scheduler", None).is_some());
        assert_eq!(edge("updraft-scheduler", "updraft-store", None), None);
        assert_eq!(edge("updraft", "updraft-scheduler", None), None);
    }

    #[test]
    fn sql_stays_in_the_store() {
        assert!(edge("updraft-scheduler", "sqlx", None).is_some());
        assert_eq!(edge("updraft-store", "sqlx", None), None);
    }

    #[test]
    fn git_dependencies_are_refused_even_in_tests() {
        let dependency = Dependency {
            name: "serde".to_owned(),
            source: Some("git+https://example.com/serde".to_owned()),
            kind: Some("dev".to_owned()),
        };
        assert!(objection("updraft-model", &dependency).is_some());
    }
}
