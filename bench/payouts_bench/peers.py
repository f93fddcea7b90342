"""The other tools from the side of the bench: a process each, started, asked, ended."""
import contextlib
import json
import pathlib
import selectors
import shutil
import subprocess
import sys
import time

PEER = pathlib.Path(__file__).with_name("peer.py")


class Failed(Exception):
    """A contestant could not do it; the bench goes on without it and says why."""


class Peer:
    """One tool's process. A context manager: it is ended with the block."""

    def __init__(self, tool, log):
        self.tool = tool
        self.errors = open(log, "ab")
        self.process = subprocess.Popen([sys.executable, PEER, tool], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)
        self.log = pathlib.Path(log)
        self.version = None

    def __enter__(self):
        try:
            self.version = self.read(120)["version"]
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()

    def read(self, timeout):
        """The next answer; what the library prints is passed over."""
        deadline, line = time.monotonic() + timeout, b""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout.fileno(), selectors.EVENT_READ)
            while True:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    self.process.kill()
                    raise Failed(f"no answer within {timeout} s")
                piece = self.process.stdout.read1(65536)
                if not piece:
                    tail = self.log.read_text(errors="replace").strip().splitlines()[-1:]
                    raise Failed(f"the process ended with {self.process.wait()}" + (f": {tail[0][:500]}" if tail else ""))
                line += piece
                while b"\n" in line:
                    whole, line = line.split(b"\n", 1)
                    if b"\x1e" in whole:
                        return json.loads(whole.split(b"\x1e", 1)[1])

    def ask(self, timeout=1800, **spec):
        self.process.stdin.write(json.dumps(spec).encode() + b"\n")
        self.process.stdin.flush()
        answer = self.read(timeout)
        if "failed" in answer:
            raise Failed(answer["failed"])
        return answer


class Contestant:
    """A tool and a form of output: (`tool`, `form`), where form is plain, gzip or pigz."""

    NAMES = {"duckdb": "DuckDB", "polars": "Polars", "chdb": "chDB"}

    def __init__(self, tool, form):
        self.tool, self.form = tool, form
        how = {"plain": "", "gzip": " gzip" if tool == "duckdb" else " gzip 1", "pigz": " | pigz -1"}[form]
        self.name = self.NAMES[tool] + how
        self.version = None

    def missing(self):
        """Why it cannot take part, or None."""
        if self.form == "pigz" and not shutil.which("pigz"):
            return "pigz is not installed"
        return None

    def run(self, log, **spec):
        """One run in a process of its own."""
        with Peer(self.tool, log) as peer:
            self.version = peer.version
            return peer.ask(form=self.form, **spec)


def contestants(kind, tools):
    """Those who write plain text, or compressed text, fastest hopes first."""
    if kind == "plain":
        return [Contestant(t, "plain") for t in ("polars", "chdb", "duckdb") if t in tools]
    found = [Contestant(t, "gzip") for t in ("polars", "chdb", "duckdb") if t in tools]
    if "duckdb" in tools and "pigz" in tools:
        found.append(Contestant("duckdb", "pigz"))
    return found
