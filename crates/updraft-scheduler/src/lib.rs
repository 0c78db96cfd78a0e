//! `updraft-scheduler`.
