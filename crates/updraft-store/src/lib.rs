//! `updraft-store`.
