//! Python bindings of Ringloom.
