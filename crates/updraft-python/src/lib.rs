//! `updraft-python`.
