//! Ringloom.
