//! `updraft-worker`.
