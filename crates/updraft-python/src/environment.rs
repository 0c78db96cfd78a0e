//! Which environment variables a child may see.
//!
//! Airflow's own supervisor hands its whole environment down, and Dags rely on that, so we take
//! away what is secret and leave the rest.

/// Sections of which no child needs a setting, because it never opens what they lead to.
const SECRET_SECTIONS: &[&str] = &["DATABASE", "API_AUTH", "CELERY"];

/// Single settings that are secret: section and key.
const SECRET_SETTINGS: &[(&str, &str)] = &[
    ("API", "SECRET_KEY"),
    ("CORE", "FERNET_KEY"),
    ("CORE", "SQL_ALCHEMY_CONN"),
    ("SECRETS", "BACKEND_KWARGS"),
];

/// Endings that make a setting come from a command or from a secrets backend.
const INDIRECT_ENDINGS: &[&str] = &["_CMD", "_SECRET"];

/// What every child gets, whatever the parent's environment says.
const FIXED: &[(&str, &str)] = &[
    ("AIRFLOW__CORE__LOAD_EXAMPLES", "False"),
    ("_AIRFLOW_PROCESS_CONTEXT", "client"),
];

/// Removes the secret variables and adds the fixed ones.
pub fn for_children(
    variables: impl IntoIterator<Item = (String, String)>,
) -> Vec<(String, String)> {
    let is_fixed = |name: &str| FIXED.iter().any(|(fixed, _)| *fixed == name);
    variables
        .into_iter()
        .filter(|(name, _)| !is_secret(name) && !is_fixed(name))
        .chain(
            FIXED
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        )
        .collect()
}

fn is_secret(name: &str) -> bool {
    let Some((section, key)) = name
        .strip_prefix("AIRFLOW__")
        .and_then(|setting| setting.split_once("__"))
    else {
        return false;
    };
    let key = INDIRECT_ENDINGS
        .iter()
        .find_map(|ending| key.strip_suffix(ending))
        .unwrap_or(key);
    SECRET_SECTIONS.contains(&section)
        || SECRET_SETTINGS
            .iter()
            .any(|(s, k)| *s == section && key.starts_with(k))
}

#[cfg(test)]
mod tests {
    use super::for_children;

    #[test]
    fn secrets_are_taken_away_and_everything_else_stays() {
        let given = [
            "AIRFLOW__CORE__FERNET_KEY",
            "AIRFLOW__CORE__FERNET_KEY_CMD",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_SECRET",
            "AIRFLOW__API__SECRET_KEY",
            "AIRFLOW__API_AUTH__JWT_SECRET",
            "AIRFLOW__CELERY__BROKER_URL",
            "AIRFLOW__SECRETS__BACKEND_KWARGS",
            "AIRFLOW__API__BASE_URL",
            "AIRFLOW__WORKERS__SECRETS_BACKEND_KWARGS",
            "AIRFLOW__CORE__LOAD_EXAMPLES",
            "AIRFLOW_CONN_MY_DB",
            "AIRFLOW_VAR_TOKEN",
            "PATH",
        ];
        let kept = for_children(given.map(|name| (name.to_owned(), "True".to_owned())));
        let kept: Vec<_> = kept.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(
            kept,
            [
                "AIRFLOW__API__BASE_URL=True",
                "AIRFLOW__WORKERS__SECRETS_BACKEND_KWARGS=True",
                "AIRFLOW_CONN_MY_DB=True",
                "AIRFLOW_VAR_TOKEN=True",
                "PATH=True",
                "AIRFLOW__CORE__LOAD_EXAMPLES=False",
                "_AIRFLOW_PROCESS_CONTEXT=client",
            ]
        );
    }
}
