//! The future of an answer, small where the answer is there already.
//!
//! hyper moves it about: what is waited for is in a box, which few answers need.

use std::future::Ready;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use http::Response;
use http_body_util::Full;

/// An answer that is there, or one that is waited for.
pub enum Answering {
    Now(Ready<Response<Full<Bytes>>>),
    Later(BoxFuture<'static, Response<Full<Bytes>>>),
}

impl Future for Answering {
    type Output = Response<Full<Bytes>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Now(answer) => Pin::new(answer).poll(cx),
            Self::Later(answer) => answer.as_mut().poll(cx),
        }
    }
}
