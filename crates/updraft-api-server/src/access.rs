//! Who may do what: the roles of Airflow's simple auth manager.

use crate::auth::Role;

/// Whether an operation looks or changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Read,
    Write,
}

/// What an operation touches, for the question who may call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody, without a token.
    Open,
    /// A Dag or anything below it: runs, task instances, XComs, logs, versions.
    Dag(Verb),
    Pool(Verb),
    /// Assets, their aliases, events and states.
    Asset(Verb),
    Connection,
    Variable,
    /// The settings.
    Config,
    /// Import errors, jobs, plugins, providers.
    View,
}

impl Role {
    /// Source: HTTP surface §3.4.
    pub(crate) fn may(self, access: Access) -> bool {
        let least = match access {
            Access::Open
            | Access::Dag(Verb::Read)
            | Access::Pool(Verb::Read)
            | Access::Asset(Verb::Read)
            | Access::View => Self::Viewer,
            Access::Dag(Verb::Write) => Self::User,
            Access::Pool(Verb::Write)
            | Access::Asset(Verb::Write)
            | Access::Connection
            | Access::Variable
            | Access::Config => Self::Op,
        };
        self >= least
    }
}

#[cfg(test)]
mod tests {
    use super::{Access, Role, Verb};

    #[test]
    fn each_role_may_do_what_airflow_lets_it_do() {
        let all = [
            ("Dag read", Access::Dag(Verb::Read), "viewer user op admin"),
            ("Dag write", Access::Dag(Verb::Write), "user op admin"),
            (
                "pool read",
                Access::Pool(Verb::Read),
                "viewer user op admin",
            ),
            ("pool write", Access::Pool(Verb::Write), "op admin"),
            (
                "asset read",
                Access::Asset(Verb::Read),
                "viewer user op admin",
            ),
            ("asset write", Access::Asset(Verb::Write), "op admin"),
            ("connection", Access::Connection, "op admin"),
            ("variable", Access::Variable, "op admin"),
            ("config", Access::Config, "op admin"),
            ("view", Access::View, "viewer user op admin"),
        ];
        for (name, access, allowed) in all {
            let roles: Vec<&str> = [Role::Viewer, Role::User, Role::Op, Role::Admin]
                .into_iter()
                .filter(|role| role.may(access))
                .map(Role::as_str)
                .collect();
            assert_eq!(roles.join(" "), allowed, "{name}");
        }
    }
}
