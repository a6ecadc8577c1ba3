//! What the benches share that measure processes: the processes themselves, a client, and figures.
//!
//! Nothing here is linked into what is measured, except [`bare`], which is what everything is measured against.

pub(crate) mod bare;
pub(crate) mod client;
pub(crate) mod figures;
pub(crate) mod process;
pub(crate) mod stage;

/// A bench that cannot go on says why and ends.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The runtime of every process here: one thread, as the broker has.
pub(crate) fn block_on<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, work)
}
