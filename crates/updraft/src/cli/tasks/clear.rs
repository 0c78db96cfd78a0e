//! `updraft tasks clear`.
