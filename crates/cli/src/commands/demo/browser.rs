//! Opening an address in the user's browser, where there is one: only from a terminal, and only by the
//! system's own opener. That it did not open is no failure: the address is printed, too.

use std::io::{IsTerminal, stdout};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Opens `address`, if somebody sits before this.
pub fn open(address: &str) {
    if !stdout().is_terminal() {
        return;
    }
    let Some(opener) = opener() else { return };
    let started =
        Command::new(opener).arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    if let Ok(mut child) = started {
        // Waited for, so that no dead process stays behind; it may take as long as the browser.
        std::thread::spawn(move || drop(child.wait()));
    }
}

/// The system's opener, if there is one and a screen to open on.
fn opener() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let name = if cfg!(target_os = "macos") {
        "open"
    } else if set("DISPLAY") || set("WAYLAND_DISPLAY") {
        "xdg-open"
    } else {
        return None;
    };
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|candidate| candidate.is_file())
}
