//! `updraft-config`.
