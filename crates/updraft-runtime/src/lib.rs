//! `updraft-runtime`.
