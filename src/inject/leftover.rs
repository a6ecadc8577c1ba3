//! What a container still carries that leads its SDK past the broker (contract B1, B12).

/// The token file of a workload identity: JavaScript, .NET and Java take it before anything else.
pub(super) const TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";
