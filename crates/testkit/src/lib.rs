//! Development only: test app, fixtures, oracles.
