"""The real binary, served over a data folder and asked over HTTP as a client would."""
import contextlib
import datetime
import hashlib
import pathlib
import re
import signal
import subprocess
import sys
import time
import urllib.request

from . import machine
from .peers import Failed

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "crates" / "cli" / "tests" / "tools"
sys.path.insert(0, str(TOOLS))
from client import Client, data_files  # noqa: E402  (the plain client that the tests use)

__all__ = ["Service", "data_files"]


class Service:
    """A running service. A context manager; `config` is TOML laid over the defaults."""

    def __init__(self, binary, data, scratch, config="", log_level="info"):
        self.binary, self.data, self.scratch = str(binary), pathlib.Path(data), pathlib.Path(scratch)
        self.config, self.log_level = config, log_level
        self.log = self.scratch / "service.log"

    def command(self, *arguments):
        done = subprocess.run([self.binary, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"payouts {arguments[0]}: {done.stderr.strip()[-1000:]}")
        return done.stdout.strip()

    def __enter__(self):
        self.command("grant", "--data", self.data, "--tenant", "tools", "--all-participants")
        self.token = self.command("token", "--data", self.data, "--tenant", "tools", "--principal", "tool", "--minutes", 600)
        more = []
        if self.config:
            path = self.scratch / "service.toml"
            path.write_text(self.config)
            more = ["--config", path]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [self.binary, "serve", "--data", self.data, "--dev", "--listen", "127.0.0.1:0", "--admin-listen", "none", *more],
                stderr=log, stdout=log, stdin=subprocess.DEVNULL, env={**machine.os.environ, "PAYOUTS_LOG": self.log_level},
            )
        try:
            self.url = self.listening()
        except BaseException:
            self.__exit__()
            raise
        self.client = Client(self.url, self.token)
        return self

    def listening(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            text = self.log.read_text(errors="replace")
            if found := re.search(r"listening on (http://127\.0\.0\.1:\d+)", text):
                return found.group(1)
            if self.process.poll() is not None:
                raise Failed(f"payouts serve ended with {self.process.returncode}: {text.strip()[-1000:]}")
            time.sleep(0.02)
        raise Failed("payouts serve did not listen within a minute")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def export(self, report, filter_text, file_format=""):
        """One export to its end. Seconds are the Export's own: accepted to completed."""
        machine.quiet_disk()
        machine.reset_peak(self.process.pid)
        cpu, start = machine.cpu_seconds(self.process.pid), time.perf_counter()
        query = self.client.filter_query(filter_text, **({"fileFormat": file_format} if file_format else {}))
        try:
            export = self.client.wait(report, self.client.ask(report, query)["requestId"])
        except AssertionError as error:
            raise Failed(str(error)[:1000]) from None
        client_seconds = time.perf_counter() - start
        if export["status"] != "Completed":
            raise Failed(f"the export failed: {export['error']}")
        begin, started, end = (instant(export[k]) for k in ("requestDateTime", "processingStartDateTime", "completedDateTime"))
        return {
            "seconds": end - begin, "queued": started - begin, "client_seconds": client_seconds,
            "cpu": machine.cpu_seconds(self.process.pid) - cpu, "peak_mb": machine.peak_mb(self.process.pid),
            "bytes": int(export["fileSizeBytes"]), "rows": int(export["rowCount"]),
            "id": export["requestId"], "link": export["blobLocation"], "report": report,
        }

    def delete(self, export):
        self.client.call("DELETE", f"{self.client.url}/v1.0/payouts/{export['report']}/{export['id']}")

    def download(self, export, path=None):
        """The SHA-256 of the file, which is kept at `path` if there is one."""
        digest = hashlib.sha256()
        with contextlib.ExitStack() as stack:
            answer = stack.enter_context(urllib.request.urlopen(export["link"], timeout=600))
            out = stack.enter_context(open(path, "wb")) if path else None
            while piece := answer.read(1 << 20):
                digest.update(piece)
                if out:
                    out.write(piece)
        return digest.hexdigest()

    def list_total(self, report):
        import json
        status, _, text = self.client.call("GET", f"{self.client.url}/v1.0/payouts/{report}?$top=1")
        if status != 200:
            raise Failed(f"GET list: {status} {text[:300]}")
        return json.loads(text)["totalCount"]


def instant(text):
    """Seconds since 1970 of an instant with seven fractional digits, exact to the tenth of a microsecond."""
    whole, fraction = text.rstrip("Z").split(".")
    base = datetime.datetime.fromisoformat(whole + "+00:00").timestamp()
    return base + int(fraction) / 10 ** len(fraction)
