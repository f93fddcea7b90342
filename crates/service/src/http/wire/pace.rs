//! How long a client may keep a connection waiting: for the rest of a head, and to take what is
//! written.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use crate::config::Limits;

/// Two timers that run only while somebody is waited for.
#[derive(Debug)]
pub(super) struct Pace {
    head: Duration,
    stall: Duration,
    head_until: Option<Pin<Box<Sleep>>>,
    stall_until: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    pub(super) fn new(limits: &Limits) -> Self {
        let seconds = Duration::from_secs;
        Self {
            head: seconds(limits.head_seconds),
            stall: seconds(limits.stall_seconds),
            head_until: None,
            stall_until: None,
        }
    }

    /// Ready once a head that began has taken too long; pending while there is time, and for ever
    /// between requests. Asked whenever the client has sent nothing.
    pub(super) fn head_is_late(&mut self, in_head: bool, cx: &mut Context<'_>) -> Poll<()> {
        if !in_head {
            self.head_until = None;
            return Poll::Pending;
        }
        let until = self.head_until.get_or_insert_with(|| Box::pin(sleep(self.head)));
        let late = until.as_mut().poll(cx);
        if late.is_ready() {
            self.head_until = None;
        }
        late
    }

    /// What a write came to; an error once the client has taken nothing for too long.
    pub(super) fn written<W>(&mut self, written: Poll<io::Result<W>>, cx: &mut Context<'_>) -> Poll<io::Result<W>> {
        if written.is_ready() {
            self.stall_until = None;
            return written;
        }
        let until = self.stall_until.get_or_insert_with(|| Box::pin(sleep(self.stall)));
        match until.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing"))),
            Poll::Pending => Poll::Pending,
        }
    }
}
