//! Runnable examples of Ringloom.
