//! The shim: what the protocol needs of the machine, and what it is under loom.

pub(super) use self::machine::{Mutex, MutexGuard, Shelf};

pub(in crate::broker) use self::machine::Seen;

#[cfg(not(unsecret_loom))]
mod machine {
    use std::sync::Arc;

    use arc_swap::{ArcSwapOption, Guard};

    pub(in crate::broker::flight) use std::sync::{Mutex, MutexGuard};

    pub(in crate::broker) type Seen<T> = Guard<Option<Arc<T>>>;

    /// Where one value lies: read without a lock.
    pub(in crate::broker::flight) struct Shelf<T>(ArcSwapOption<T>);

    impl<T> Shelf<T> {
        pub(in crate::broker::flight) fn empty() -> Self {
            Self(ArcSwapOption::const_empty())
        }

        pub(in crate::broker::flight) fn load(&self) -> Seen<T> {
            self.0.load()
        }

        pub(in crate::broker::flight) fn store(&self, value: Option<Arc<T>>) {
            self.0.store(value);
        }
    }
}

/// `ArcSwap` is not instrumented, so a lock stands in for it: an atomic load and store with a scheduling point each.
#[cfg(unsecret_loom)]
mod machine {
    use std::ops::Deref;
    use std::sync::{Arc, PoisonError};

    use loom::sync::RwLock;

    pub(in crate::broker::flight) use loom::sync::{Mutex, MutexGuard};

    pub(in crate::broker) struct Seen<T>(Option<Arc<T>>);

    impl<T> Deref for Seen<T> {
        type Target = Option<Arc<T>>;

        fn deref(&self) -> &Self::Target {
            &self.0
        }
    }

    pub(in crate::broker::flight) struct Shelf<T>(RwLock<Option<Arc<T>>>);

    impl<T> Shelf<T> {
        pub(in crate::broker::flight) fn empty() -> Self {
            Self(RwLock::new(None))
        }

        pub(in crate::broker::flight) fn load(&self) -> Seen<T> {
            Seen(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
        }

        pub(in crate::broker::flight) fn store(&self, value: Option<Arc<T>>) {
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = value;
        }
    }
}
