//! How far the body of a request has come.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;

/// What is known of a body that a handler reads. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Upload(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// When something came last; at first, when the request came.
    moved_at: Instant,
    /// Whether all of it came.
    ended: bool,
}

impl Upload {
    pub(super) fn of(body: &Body) -> Self {
        let state = State { moved_at: Instant::now(), ended: body.is_end_stream() };
        Self(Arc::new(Mutex::new(state)))
    }

    pub(super) fn moved_at(&self) -> Instant {
        self.lock().moved_at
    }

    pub(super) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body that tells its [`Upload`] what comes.
#[derive(Debug)]
pub(super) struct Watched {
    body: Body,
    upload: Upload,
}

impl Watched {
    pub(super) fn new(body: Body, upload: &Upload) -> Self {
        Self { body, upload: upload.clone() }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        match &frame {
            Poll::Ready(Some(Ok(_))) => {
                let mut state = self.upload.lock();
                state.moved_at = Instant::now();
                state.ended = self.body.is_end_stream();
            }
            Poll::Ready(None) => self.upload.lock().ended = true,
            // A body that broke off has not ended.
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
