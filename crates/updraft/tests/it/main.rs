//! The command line, driven as a user drives it: the real program on a home folder of its own.

mod config_and_info;
mod dags;
mod database;
mod home;
mod listings;
mod standalone;
mod usage;
