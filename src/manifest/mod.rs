//! A stream of YAML documents as its author wrote it.
