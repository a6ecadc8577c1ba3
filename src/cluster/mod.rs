//! The Kubernetes API, as little of it as the webhook needs.
