//! TLS: the handshake, and the certificate's files, which are read again when they change.
//!
//! Invariants: TLS 1.2 and 1.3 alone; HTTP/2 or HTTP/1.1 as the client asks (ALPN); a handshake has
//! [`HANDSHAKE`] and no more; a connection keeps what it began with, a new one gets the newest
//! certificate; files that cannot be used change nothing but the log; resumed sessions end with the
//! certificate that they began under.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::TlsConfig;
use crate::shutdown::Stop;

/// How long a client may take for its part of the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Why a certificate cannot be used. Each says which file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path}: {reason}")]
    Pem {
        /// The file.
        path: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The two do not make a server's identity.
    #[error("{certificate} and {key} cannot be used together: the first certificate must be the key's")]
    Pair {
        /// The file of the certificate.
        certificate: String,
        /// The file of the key.
        key: String,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// The certificate that new connections are served with.
#[derive(Debug)]
pub struct Certificates {
    files: TlsConfig,
    current: RwLock<Arc<ServerConfig>>,
    seen: RwLock<[u8; 32]>,
}

/// The two files as they are.
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    fn read(files: &TlsConfig) -> Result<Self, Error> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| Error::Read { path: path.display().to_string(), source })
        };
        Ok(Self { certificate: read(&files.certificate)?, key: read(&files.key)? })
    }

    fn digest(&self) -> [u8; 32] {
        let parts = [Sha256::digest(&self.certificate), Sha256::digest(&self.key)].concat();
        Sha256::digest(parts).into()
    }

    /// What the library serves with.
    fn server(&self, files: &TlsConfig) -> Result<ServerConfig, Error> {
        let (certificate, key) = (files.certificate.display().to_string(), files.key.display().to_string());
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .map_err(|e| Error::Pem { path: certificate.clone(), reason: e.to_string() })?;
        if chain.is_empty() {
            let reason = "it has no certificate: PEM is expected (-----BEGIN CERTIFICATE-----)".into();
            return Err(Error::Pem { path: certificate, reason });
        }
        let private = PrivateKeyDer::from_pem_slice(&self.key).map_err(|e| Error::Pem {
            path: key.clone(),
            reason: format!(
                "it has no private key without a password ({e}): PEM is expected (-----BEGIN PRIVATE KEY-----)"
            ),
        })?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let pair = |source| Error::Pair { certificate: certificate.clone(), key: key.clone(), source };
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(pair)?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(pair)?;
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(server)
    }
}

impl Certificates {
    /// Reads the files for the first time.
    pub fn open(files: &TlsConfig) -> Result<Self, Error> {
        let read = Files::read(files)?;
        let current = RwLock::new(Arc::new(read.server(files)?));
        warn_if_public(&files.key);
        Ok(Self { files: files.clone(), current, seen: RwLock::new(read.digest()) })
    }

    /// Reads the files again. Answers whether others than before are in use now.
    pub fn reload(&self) -> Result<bool, Error> {
        let read = Files::read(&self.files)?;
        let digest = read.digest();
        if *self.seen.read().expect("nothing panics while it holds this lock") == digest {
            return Ok(false);
        }
        // Files that cannot be used are complained about once, not at every look.
        *self.seen.write().expect("nothing panics while it holds this lock") = digest;
        let server = Arc::new(read.server(&self.files)?);
        *self.current.write().expect("nothing panics while it holds this lock") = server;
        warn_if_public(&self.files.key);
        Ok(true)
    }

    /// Reads the files again whenever they change, and at SIGHUP, until told to stop.
    pub async fn watch(self: Arc<Self>, stop: Stop) {
        let mut hangups = Hangups::new();
        let mut missing = false;
        loop {
            let asked = tokio::select! {
                () = stop.begun() => return,
                () = hangups.next() => true,
                () = tokio::time::sleep(LOOK) => false,
            };
            let own = self.clone();
            let result = tokio::task::spawn_blocking(move || own.reload()).await;
            let first = !missing;
            missing = matches!(result, Ok(Err(Error::Read { .. })));
            match result {
                Ok(Ok(true)) => tracing::info!("certificate read again: new connections get it"),
                Ok(Ok(false)) if asked => tracing::info!("certificate read again: it is the same"),
                Ok(Ok(false)) => {}
                Ok(Err(Error::Read { .. })) if !first && !asked => {}
                Ok(Err(error)) => tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the new certificate cannot be used: the one before stays in use"
                ),
                Err(broken) => tracing::error!(error = %broken, "the certificate's files were not read"),
            }
        }
    }

    /// Shakes hands with a client that just came.
    pub async fn handshake(&self, stream: TcpStream) -> io::Result<Transport> {
        let current = self.current.read().expect("nothing panics while it holds this lock").clone();
        match tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(current).accept(stream)).await {
            Ok(stream) => Ok(Transport::Tls(Box::new(stream?))),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no TLS handshake in time")),
        }
    }
}

/// A key that everybody on the machine can read is no secret; mounted secrets often come so.
fn warn_if_public(key: &Path) {
    #[cfg(unix)]
    if let Ok(metadata) = std::fs::metadata(key) {
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
        if mode & 0o007 != 0 {
            tracing::warn!(path = %key.display(), "every user of this machine can read the TLS key: chmod 640 it");
        }
    }
}

/// Asks to read configuration again: SIGHUP, where there is such a thing.
struct Hangups {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Hangups {
    fn new() -> Self {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let signal = signal(SignalKind::hangup());
            if let Err(error) = &signal {
                tracing::warn!(%error, "no SIGHUP handler: certificates are read again when they change");
            }
            Self { signal: signal.ok() }
        }
        #[cfg(not(unix))]
        Self {}
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}

/// The bytes of a connection, with TLS or without.
#[derive(Debug)]
pub enum Transport {
    /// As they are.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream<TcpStream>>),
}

macro_rules! either {
    ($own:expr, $stream:ident => $call:expr) => {
        match $own.get_mut() {
            Transport::Plain($stream) => $call,
            Transport::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(cx, to))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(cx, bytes))
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(cx))
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write_vectored(cx, bytes))
    }
    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
