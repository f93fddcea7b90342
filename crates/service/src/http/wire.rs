//! Between the socket and the HTTP library: requests that clients really send, and that the
//! library would refuse without a word.
//!
//! The library takes no blank or quote in a request line, no URL over 65,534 bytes, and answers
//! too many headers without a body or a request id. So the head of every HTTP/1 request passes
//! [`head::Rewriter`] first: bytes that may not stand in a URL become percent escapes, a query
//! that is too long for the library travels in a header of a secret name, and a head beyond the
//! limits, or one that cannot be read, is cut down and marked, so that [`super::envelope`] answers
//! it properly. Bodies, and
//! HTTP/2, pass untouched.
//!
//! Invariant: no decision about who may do what is made here. The secret names are drawn anew at
//! each start, so a client cannot send them.

pub mod head;
mod pace;
pub mod tls;

use std::future::ready;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready as ready_or_return};

use axum::extract::FromRequestParts;
use axum_server::accept::Accept;
use futures::future::BoxFuture;
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use payouts_model::ErrorCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::head::Rewriter;
use self::pace::Pace;
use self::tls::{Certificates, Transport};
use super::error::Error;
use crate::config::Limits;

/// Bytes read from the socket at once.
const READ_BYTES: usize = 16 * 1024;

/// The secret names of the headers that carry what the library would not.
#[derive(Clone, Debug)]
pub struct Names {
    /// The query of a long request line.
    pub query: HeaderName,
    /// Why a head was cut down: 400, 414 or 431.
    pub refusal: HeaderName,
}

impl Names {
    /// Names that nobody else knows.
    pub fn draw() -> Self {
        let name = |what: &str| {
            let text = format!("payouts-{what}-{}", uuid::Uuid::new_v4().simple());
            HeaderName::from_bytes(text.as_bytes()).expect("lower-case letters, digits and hyphens are a header name")
        };
        Self { query: name("query"), refusal: name("refusal") }
    }

    /// Takes what the rewriter left out of the headers. Answers the carried query.
    pub(super) fn take(&self, headers: &mut HeaderMap) -> Result<Option<CarriedQuery>, Error> {
        match headers.remove(&self.refusal).as_ref().map(|v| v.as_bytes()) {
            Some(b"414") => {
                let message = format!(
                    "The request line is longer than {} bytes. Send the filter in the body instead: \
                     Content-Type: application/json and {{\"filter\": \"…\"}}, up to 1 MiB.",
                    head::LINE_BYTES_MAX
                );
                return Err(Error::new(ErrorCode::UriTooLong, message));
            }
            Some(b"408") => {
                let message = "The head of the request took longer than it may (limits.head_seconds). Send it at once.";
                return Err(Error::new(ErrorCode::RequestTimeout, message).limit("head_seconds"));
            }
            Some(b"400") => {
                let message = "This is not a request of HTTP/1.1: the request line, a header or the framing of the body cannot be read.";
                return Err(Error::new(ErrorCode::InvalidHeader, message));
            }
            Some(_) => {
                let message = format!("There are too many headers: at most {} may come.", head::HEADERS_MAX);
                let message = format!("{message} Together they must keep to the limit of bytes (limits.header_bytes).");
                return Err(Error::new(ErrorCode::HeadersTooLarge, message).limit("header_bytes"));
            }
            None => {}
        }
        let query = headers.remove(&self.query);
        Ok(query.and_then(|v| v.to_str().ok().map(|text| CarriedQuery(text.to_owned()))))
    }
}

/// A query that was too long for the library's URL.
#[derive(Clone, Debug)]
pub(super) struct CarriedQuery(pub String);

/// The raw query of a request, however it came; empty if there is none.
#[derive(Clone, Debug)]
pub struct RawText(pub String);

impl<S: Sync> FromRequestParts<S> for RawText {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(match parts.extensions.get::<CarriedQuery>() {
            Some(CarriedQuery(text)) => text.clone(),
            None => parts.uri.query().unwrap_or("").to_owned(),
        }))
    }
}

/// Puts every accepted connection behind TLS, where there is a certificate, and a rewriter.
#[derive(Clone, Debug)]
pub struct Acceptor {
    names: Arc<Names>,
    limits: Limits,
    connections: Arc<Semaphore>,
    certificates: Option<Arc<Certificates>>,
}

impl Acceptor {
    /// For these names; what goes beyond the limits is cut down, or turned away.
    pub fn new(names: Names, limits: &Limits, certificates: Option<Arc<Certificates>>) -> Self {
        let connections = Arc::new(Semaphore::new(limits.connections_max.min(Semaphore::MAX_PERMITS)));
        Self { names: Arc::new(names), limits: *limits, connections, certificates }
    }

    /// Ends a connection too many. The answer is small: a new socket takes it at once. Behind TLS
    /// there is none, since it would take the handshake that there is no place for.
    fn turn_away(&self, stream: &TcpStream) -> io::Error {
        crate::metrics::request_refused(ErrorCode::Unavailable, Some("connections_max"));
        if self.certificates.is_none() {
            // Whoever cannot take even this gets nothing.
            let _ = stream.try_write(&self.too_many());
        }
        io::Error::other("too many connections")
    }

    fn too_many(&self) -> Vec<u8> {
        let message = format!(
            "{} connections are open, which is the limit (limits.connections_max). Close some, or try again.",
            self.limits.connections_max
        );
        let id = uuid::Uuid::new_v4().to_string();
        let body = Error::unavailable(message).body(&id);
        let head = format!(
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Retry-After: 1\r\nRequest-ID: {id}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), &body].concat()
    }
}

impl<S: Send + 'static> Accept<TcpStream, S> for Acceptor {
    type Stream = Wire<Transport>;
    type Service = S;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let Ok(permit) = self.connections.clone().try_acquire_owned() else {
            return Box::pin(ready(Err(self.turn_away(&stream))));
        };
        let rewriter = Rewriter::new(self.names.clone(), self.limits.header_bytes);
        let pace = Pace::new(&self.limits);
        let certificates = self.certificates.clone();
        Box::pin(async move {
            stream.set_nodelay(true)?;
            let transport = match certificates {
                Some(certificates) => certificates.handshake(stream).await?,
                None => Transport::Plain(stream),
            };
            Ok((Wire::new(transport, rewriter, pace, permit), service))
        })
    }
}

/// A connection whose requests are rewritten on their way in.
#[derive(Debug)]
pub struct Wire<T> {
    inner: T,
    rewriter: Rewriter,
    read: Box<[u8]>,
    out: Vec<u8>,
    out_at: usize,
    ended: bool,
    pace: Pace,
    _permit: OwnedSemaphorePermit,
}

impl<T> Wire<T> {
    fn new(inner: T, rewriter: Rewriter, pace: Pace, permit: OwnedSemaphorePermit) -> Self {
        let (read, out) = (vec![0; READ_BYTES].into(), Vec::new());
        Self { inner, rewriter, read, out, out_at: 0, ended: false, pace, _permit: permit }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Wire<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let own = self.get_mut();
        loop {
            if own.out_at < own.out.len() {
                let n = to.remaining().min(own.out.len() - own.out_at);
                to.put_slice(&own.out[own.out_at..own.out_at + n]);
                own.out_at += n;
                return Poll::Ready(Ok(()));
            }
            if own.ended {
                return Poll::Ready(Ok(()));
            }
            let mut read = ReadBuf::new(&mut own.read);
            match Pin::new(&mut own.inner).poll_read(cx, &mut read) {
                Poll::Ready(done) => done?,
                Poll::Pending => {
                    ready_or_return!(own.pace.head_is_late(own.rewriter.in_head(), cx));
                    own.out.clear();
                    own.out_at = 0;
                    own.rewriter.give_up(&mut own.out);
                    continue;
                }
            }
            own.out.clear();
            own.out_at = 0;
            if read.filled().is_empty() {
                own.ended = true;
                own.rewriter.finish(&mut own.out);
            } else {
                own.rewriter.push(read.filled(), &mut own.out)?;
            }
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Wire<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let own = self.get_mut();
        let written = Pin::new(&mut own.inner).poll_write(cx, bytes);
        own.pace.written(written, cx)
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let own = self.get_mut();
        let flushed = Pin::new(&mut own.inner).poll_flush(cx);
        own.pace.written(flushed, cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let own = self.get_mut();
        let written = Pin::new(&mut own.inner).poll_write_vectored(cx, bytes);
        own.pace.written(written, cx)
    }
    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
