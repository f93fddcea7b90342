//! The binary as a process, and the service as its clients see it. One test binary, a module per
//! topic.

mod audit;
mod backup;
mod browser;
mod clients;
mod commands;
mod demo;
mod denials;
mod doctor;
mod export;
mod grants;
mod help;
mod hold;
mod identity;
mod interference;
mod isolation;
mod kill;
mod ledger;
mod links;
mod logs;
mod metrics;
mod oracles;
mod overload;
mod page;
mod planted;
mod ranges;
mod round_trip;
mod secrets;
mod serve;
mod spreadsheets;
mod tidy;
mod tls;
mod tokens;
#[cfg(feature = "otel")]
mod traces;
mod verify;
mod wire;

use payouts_testkit::Payouts;

/// The binary under test.
fn payouts() -> Payouts {
    Payouts::new(env!("CARGO_BIN_EXE_payouts"))
}

/// A folder of its own, as text too.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder can be made"))
    }
    fn path(&self) -> &std::path::Path {
        self.0.path()
    }
    fn at(&self, name: &str) -> String {
        self.path().join(name).display().to_string()
    }
    fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path().join(name), text).expect("the folder can be written");
        self.at(name)
    }
    /// A data directory with a small sample in which tenant `contoso` sees everything.
    fn with_sample(rows: u64) -> Self {
        let folder = Self::new();
        payouts().sample(&folder.path().join("data"), rows);
        payouts().run(["grant", "--data", &folder.at("data"), "--tenant", "contoso", "--all-participants"]).good();
        folder
    }
}
