//! The webhook: reviews answered from memory.
