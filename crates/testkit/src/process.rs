//! The real binary as a process: run to its end, or serving until dropped.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::secrets;

/// The longest wait for a server to listen.
const WAIT: Duration = Duration::from_secs(60);
/// The longest wait for a server to stop, beyond any grace that tests give.
const STOP_WAIT: Duration = Duration::from_secs(180);

/// The binary under test.
#[derive(Clone, Debug)]
pub struct Payouts {
    binary: PathBuf,
}

/// What a command did.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The exit code; -1 if a signal ended it.
    pub code: i32,
    /// Data.
    pub stdout: String,
    /// Everything else.
    pub stderr: String,
}

impl Ran {
    /// The same, if it went well; otherwise the test fails and shows what it said.
    #[track_caller]
    pub fn good(self) -> Self {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// The same, if it failed with `code` and stderr holds every text.
    #[track_caller]
    pub fn failed(self, code: i32, texts: &[&str]) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        for text in texts {
            assert!(self.stderr.contains(text), "'{text}' is not in: {}", self.stderr);
        }
        self
    }
}

impl Payouts {
    /// The binary at a path: `env!("CARGO_BIN_EXE_payouts")`.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        Self { binary: binary.into() }
    }

    /// A command with nothing of the caller's environment that changes what it does.
    pub fn command<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(args).stdin(Stdio::null());
        for name in [
            "PAYOUTS_TOKEN",
            "PAYOUTS_DATA",
            "PAYOUTS_URL",
            "PAYOUTS_LOG",
            "PAYOUTS_LOG_FORMAT",
            "PAYOUTS_FAULTS",
            "RUST_BACKTRACE",
        ] {
            command.env_remove(name);
        }
        command
    }

    /// Runs a command to its end.
    pub fn run<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Ran {
        ran(&mut self.command(args))
    }

    /// Makes a small sample in `data`.
    pub fn sample(&self, data: &Path, rows: u64) -> Ran {
        let (data, rows) = (data.display().to_string(), rows.to_string());
        self.run(["sample", "--data", &data, "--rows", &rows]).good()
    }

    /// A token of the data directory's development issuer; no log may hold it.
    pub fn token(&self, data: &Path, tenant: &str, principal: &str) -> String {
        let data = data.display().to_string();
        let ran = self.run(["token", "--data", &data, "--tenant", tenant, "--principal", principal]).good();
        let token = ran.stdout.trim().to_owned();
        secrets::plant_token(&token);
        token
    }
}

/// Runs a prepared command to its end.
pub fn ran(command: &mut Command) -> Ran {
    let output = command.output().expect("the binary can be started");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A serving process; killed when dropped. A test fails if the log holds what was planted as secret.
#[derive(Debug)]
pub struct TestServer {
    /// What its URLs begin with.
    pub url: String,
    child: Child,
    log: Arc<Mutex<String>>,
    /// Ends with stderr.
    reader: Option<JoinHandle<()>>,
    /// Disconnected when stderr ends, which is when the process does.
    ended: Mutex<Receiver<()>>,
}

impl TestServer {
    /// Serves `data` with `--dev` on a free port; answers when it listens.
    pub fn start(payouts: &Payouts, data: &Path) -> Self {
        let data = data.display().to_string();
        Self::start_with(
            payouts,
            &["serve", "--dev", "--data", &data, "--listen", "127.0.0.1:0", "--admin-listen", "none"],
        )
    }

    /// Runs a serving command; answers when it says where it listens.
    pub fn start_with(payouts: &Payouts, args: &[&str]) -> Self {
        Self::start_command(&mut payouts.command(args))
    }

    /// The same with a prepared command.
    pub fn start_command(command: &mut Command) -> Self {
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary can be started");
        let stderr = child.stderr.take().expect("stderr is piped");
        let log = Arc::new(Mutex::new(String::new()));
        let (found, address) = sync_channel(1);
        let lines = log.clone();
        let (running, ended) = sync_channel::<()>(0);
        let reader = std::thread::spawn(move || {
            let _running = running;
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some(url) = line.strip_prefix("listening on ") {
                    // A second such line has nobody waiting for it.
                    let _ = found.try_send(url.to_owned());
                }
                let mut log = lines.lock().expect("nothing panics while it holds this lock");
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut server = Self { url: String::new(), child, log, reader: Some(reader), ended: Mutex::new(ended) };
        match address.recv_timeout(WAIT) {
            Ok(url) => server.url = url,
            Err(RecvTimeoutError::Timeout) => panic!("not listening within {WAIT:?}: {}", server.log()),
            Err(RecvTimeoutError::Disconnected) => panic!("ended before it listened: {}", server.log()),
        }
        server
    }

    /// Everything it wrote to stderr so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("nothing panics while it holds this lock").clone()
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        // Having ended already is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends it a signal, such as `HUP`.
    #[cfg(unix)]
    pub fn signal(&self, name: &str) {
        let (option, id) = (format!("-{name}"), self.child.id().to_string());
        let told = Command::new("kill").args([&option, &id]).status().expect("kill can be run");
        assert!(told.success(), "the server had ended: {}", self.log());
    }

    /// Asks it to end (SIGTERM) and waits; answers the exit code.
    #[cfg(unix)]
    pub fn terminate(self) -> i32 {
        self.stopped().0
    }

    /// The same; answers its whole log, too.
    #[cfg(unix)]
    pub fn stopped(mut self) -> (i32, String) {
        let id = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &id]).status().expect("kill can be run");
        assert!(told.success(), "the server had ended: {}", self.log());
        let ended = self.ended.get_mut().expect("nothing panics while it holds this lock").recv_timeout(STOP_WAIT);
        assert_eq!(ended, Err(RecvTimeoutError::Disconnected), "not stopped within {STOP_WAIT:?}: {}", self.log());
        let code = self.child.wait().expect("the server can be waited for").code().unwrap_or(-1);
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader of the log does not panic");
        }
        (code, self.log())
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.kill();
        if let Some(reader) = self.reader.take() {
            // Its process has ended, and with it what it reads.
            let _ = reader.join();
        }
        let found = secrets::found_in(&self.log());
        assert!(found.is_empty() || std::thread::panicking(), "secrets are in the log: {found:#?}");
    }
}
