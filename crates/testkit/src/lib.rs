//! Development only: fixtures that tests of several crates share.
//!
//! Rooms: `process` (the real binary, run to its end or served from), `secrets` (what no log may
//! hold). Waits are bounded and on state; whatever a test starts ends with it.

pub mod process;
pub mod secrets;

pub use process::{Payouts, Ran, TestServer};

/// An HTTP client for tests. The TLS provider that it asks for is the process's, chosen once.
pub fn client() -> reqwest::Client {
    // Whoever comes second finds it chosen already, which is what is wanted.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(std::time::Duration::from_secs(60))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client without options can be built")
}
