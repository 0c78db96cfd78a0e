//! `updraft-task-comms`.
