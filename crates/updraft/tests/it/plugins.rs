//! Plugins and `airflow_local_settings.py` of users, from the file to what a user sees.

mod listeners;
mod policies;
mod secrets;
mod timetables;

use std::fs;

use updraft_testkit::{Home, Standalone};

use crate::standalone::installation;

/// A fresh installation with these Dag files and plugins.
fn with_plugins(dags: &[(&str, &str)], plugins: &[(&str, &str)]) -> Standalone {
    let updraft = installation(dags);
    for (name, text) in plugins {
        write(updraft.home(), &format!("plugins/{name}"), text);
    }
    updraft
}

/// Puts a file into the home.
fn write(home: &Home, name: &str, text: &str) {
    let path = home.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// What a file of the home says, nothing while it is not there.
fn read(home: &Home, name: &str) -> String {
    fs::read_to_string(home.path().join(name)).unwrap_or_default()
}
