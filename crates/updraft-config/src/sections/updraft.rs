use std::path::PathBuf;
use std::time::Duration;

use crate::section::Section;

/// `[updraft]`, the options that Airflow does not have.
#[derive(Clone, Debug)]
pub struct UpdraftConfig {
    /// `python`: Python interpreter with apache-airflow-core in it; empty lets Updraft find one
    /// or make one below the home folder.
    pub python: Option<PathBuf>,
    /// `prefork`: Python children that wait, already forked, for the next unit of work; 0 forks
    /// when the work is there.
    pub prefork: u32,
    /// `plugin_timeout`: time that code of plugins (timetables, weight rules, listeners, secrets
    /// backends) may take for one answer to the server.
    pub plugin_timeout: Duration,
    /// `bundle_timeout`: time that the class of a Dag bundle may take to fetch something, such as
    /// a first clone.
    pub bundle_timeout: Duration,
    /// `full_scan_interval`: pause between two looks at every unfinished Dag run. Work is found
    /// by events; this is the net below them.
    pub full_scan_interval: Duration,
    /// `shutdown_timeout`: time that a stopping process gives its parts to finish or hand back
    /// what they hold.
    pub shutdown_timeout: Duration,
    /// `trigger_idle_timeout`: how long the process that runs triggers lives on when none is left;
    /// it is started when there is one.
    pub trigger_idle_timeout: Duration,
}

impl UpdraftConfig {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        Self {
            python: section.optional_path("python"),
            prefork: section.count("prefork"),
            plugin_timeout: section.seconds("plugin_timeout"),
            bundle_timeout: section.seconds("bundle_timeout"),
            full_scan_interval: section.seconds("full_scan_interval"),
            shutdown_timeout: section.seconds("shutdown_timeout"),
            trigger_idle_timeout: section.seconds("trigger_idle_timeout"),
        }
    }
}
