//! `updraft-planning`.
