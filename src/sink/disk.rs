//! Work that may wait for a disk, away from the runtime that serves held tokens.
//!
//! The process has few threads for such work. Easy to get wrong: were all of them at a disk that hangs, none would be left
//! to read or sign an assertion, and no door would get a new token.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Has work done on threads of its own.
#[derive(Clone)]
pub(super) struct Disk(Arc<Semaphore>);

/// Half of what `run` allows its runtime.
const AT_ONCE: usize = 4;

impl Default for Disk {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Disk {
    /// Goes on when the task is aborted. `None` when it panicked, or the runtime ends.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        // Never closed.
        let turn = Arc::clone(&self.0).acquire_owned().await.ok()?;
        let work = move || {
            let _turn = turn;
            work()
        };
        tokio::task::spawn_blocking(work).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_hangs_leaves_threads_to_others() {
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(AT_ONCE + 1).build().unwrap();
        let disk = Disk::default();
        let (mend, hang) = std::sync::mpsc::channel::<()>();
        let hang = Arc::new(std::sync::Mutex::new(hang));
        let hanging: Vec<_> = (0..2 * AT_ONCE)
            .map(|_| {
                let (disk, hang) = (disk.clone(), Arc::clone(&hang));
                runtime.spawn(async move { disk.run(move || hang.lock().unwrap().recv().is_err()).await })
            })
            .collect();
        runtime.block_on(async {
            // Every task has asked for its thread before this one does.
            tokio::task::yield_now().await;
            assert_eq!(tokio::task::spawn_blocking(|| 7).await.unwrap(), 7);
            drop(mend);
            for one in hanging {
                assert_eq!(one.await.unwrap(), Some(true), "each has its turn");
            }
        });
    }
}
