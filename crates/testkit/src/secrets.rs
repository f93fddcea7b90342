//! What must not be in any log: planted by whoever makes it, looked for in the log of every server
//! that a test starts, when it ends.
//!
//! Invariant: a secret is searched for as it was planted; whoever plants it says its other forms.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex};

/// As many are looked for; tests under load make more, all of a kind.
const SECRETS_MAX: usize = 2_000;
/// What is shorter is found by chance.
const LENGTH_MIN: usize = 10;

static PLANTED: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

/// Remembers a text that no log may hold, such as a token.
pub fn plant(secret: &str) {
    let mut planted = PLANTED.lock().expect("nothing panics while it holds this lock");
    if secret.len() >= LENGTH_MIN && planted.len() < SECRETS_MAX {
        planted.insert(secret.to_owned());
    }
}

/// Remembers a token, as a whole and what is secret of it.
pub fn plant_token(token: &str) {
    plant(token);
    // The header of a token is the same for all and says nothing.
    token.split('.').skip(1).for_each(plant);
}

/// The lines of a log that hold a secret, each behind the secret.
pub fn found_in(log: &str) -> Vec<String> {
    let planted = PLANTED.lock().expect("nothing panics while it holds this lock");
    let held = planted.iter().filter(|secret| log.contains(*secret));
    held.flat_map(|secret| {
        log.lines().filter(move |line| line.contains(secret)).map(move |line| format!("'{secret}' is in: {line}"))
    })
    .collect()
}
