//! A future beside a connection that is polled when it was woken, not whenever the connection was.
//!
//! What may end a connection (the stop of the listener, a deadline) waits beside it in one task, and a task polls all
//! that it waits for: for every answer, the lock of a channel and tokio's timer for nothing. Easy to get wrong: whoever is
//! not polled does not learn of another waker, so the bell is hung anew when the task's waker has changed.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Polls what is inside at first, and then when it was woken.
pub(super) struct Seldom<F> {
    inside: F,
    bell: Option<Arc<Bell>>,
}

struct Bell {
    rung: AtomicBool,
    task: Waker,
}

impl<F> Seldom<F> {
    pub(super) fn new(inside: F) -> Self {
        Self { inside, bell: None }
    }
}

impl<F: Future + Unpin> Future for Seldom<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match &self.bell {
            Some(bell) if bell.task.will_wake(cx.waker()) => {
                if !bell.rung.load(Ordering::Relaxed) {
                    return Poll::Pending;
                }
            }
            _ => self.bell = Some(Arc::new(Bell { rung: AtomicBool::new(true), task: cx.waker().clone() })),
        }
        let Self { inside, bell: Some(bell) } = &mut *self else { return Poll::Pending };
        // Before the poll: what rings during it asks for another one.
        bell.rung.swap(false, Ordering::AcqRel);
        let waker = Waker::from(Arc::clone(bell));
        Pin::new(inside).poll(&mut Context::from_waker(&waker))
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_is_inside_is_polled_when_it_was_woken_and_by_whoever_asks_last() {
        let (mut polls, seen) = (0, std::cell::RefCell::new(None));
        let mut seldom = Seldom::new(poll_fn(|cx| {
            polls += 1;
            *seen.borrow_mut() = Some(cx.waker().clone());
            if polls < 4 { Poll::Pending } else { Poll::Ready(polls) }
        }));
        let mut poll = |waker: &Waker| Pin::new(&mut seldom).poll(&mut Context::from_waker(waker));
        let ring = || seen.borrow().as_ref().unwrap().wake_by_ref();
        let tasks = [(); 2].map(|()| Arc::new(Counting::default()));
        let [one, other] = tasks.each_ref().map(|task| Waker::from(Arc::clone(task)));
        let woken = || tasks.each_ref().map(|task| task.0.load(Ordering::Relaxed));

        // The first.
        assert!(poll(&one).is_pending());
        assert!(poll(&one).is_pending());
        ring();
        assert_eq!(woken(), [1, 0]);
        // The second, and no third.
        assert!(poll(&one).is_pending());
        assert!(poll(&one).is_pending());
        // The third: another task asks, and is the one that is woken.
        assert!(poll(&other).is_pending());
        ring();
        assert_eq!(woken(), [1, 1]);
        assert_eq!(poll(&other), Poll::Ready(4));
    }
}
