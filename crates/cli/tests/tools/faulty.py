"""A service that may die at any moment, and what must hold of its data directory afterwards.

Shares no code with the service. Used by kills.py, troubles.py and power_loss.py.
"""
import collections
import hashlib
import json
import os
import pathlib
import re
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import duckdb

from client import COLUMNS, difference, exported_rows, shown

PERMIT = "faults-may-lose-this-data"
# OData and the same in SQL, over payments.
FILTERS = [
    ("paymentAmount gt -1000000000", '"totalPayment" > -1000000000'),
    ("payoutOrderType eq 'REBATE'", "\"payoutOrderType\" = 'REBATE'"),
    ("paymentAmount ge 100 and paymentAmount le 5000", '"totalPayment" BETWEEN 100 AND 5000'),
    ("paymentAmount lt 0", '"totalPayment" < 0'),
    ("enrollmentParticipantId eq 'nobody'", "false"),
    ("not (payoutOrderType eq 'FEE') and paymentAmount gt 10", "NOT (\"payoutOrderType\" = 'FEE') AND \"totalPayment\" > 10"),
]
FORMATS = ["csv", "tsv", "csv.gz", "csv.zip", ""]
# The first digits of the payment ids that imports of these tools bring in.
IMPORTED = 7_700_000_000_000
# As many as are looked at side by side: all filters at a few versions. All of them would not fit into memory.
ANSWERS_MAX = 30


class Gone(Exception):
    """The service did not answer: it died, hangs, or is not there yet."""


class Violation(AssertionError):
    """An invariant does not hold."""


def demand(condition, *what):
    if not condition:
        raise Violation(" ".join(str(w) for w in what))


class Place:
    """A data directory and the binary that works on it."""

    def __init__(self, binary, data, log, lease_ms=3000):
        self.binary, self.data, self.log_path = str(binary), pathlib.Path(data), pathlib.Path(log)
        self.process = self.url = self.token = None
        self.config = self.data.parent / f"{self.data.name}.toml"
        self.config.write_text(f'data_dir = "{self.data}"\nlease_ms = {lease_ms}\nworkers = 2\n')

    def environment(self, plan):
        env = {k: v for k, v in os.environ.items() if not k.startswith("PAYOUTS_") or k.startswith("PAYOUTS_TEST")}
        if plan:
            env["PAYOUTS_FAULTS"] = plan
        return env

    def run(self, *args, plan=None, timeout=120):
        """Runs a command to its end: (exit code or minus the signal, stderr)."""
        try:
            ran = subprocess.run([self.binary, *map(str, args)], env=self.environment(plan), capture_output=True, text=True, timeout=timeout)
            return ran.returncode, ran.stderr + ran.stdout
        except subprocess.TimeoutExpired:
            return None, "hung and was killed"

    def good(self, *args, **more):
        code, text = self.run(*args, **more)
        demand(code == 0, args, "failed with", code, text)
        return text

    def make(self, rows, tenant="tools"):
        self.good("sample", "--data", self.data, "--rows", rows, "--earnings", 200)
        (self.data / PERMIT).touch()
        self.good("grant", "--data", self.data, "--tenant", tenant, "--all-participants", "--role", "admin")
        self.token = self.mint(tenant)

    def mint(self, tenant="tools"):
        return self.good("token", "--data", self.data, "--tenant", tenant, "--principal", "tool", "--minutes", 10_000).strip().splitlines()[-1]

    def points(self):
        _, text = self.run("grants", "--data", self.data, plan="?=kill")
        names = re.search(r"the points are (.*)", text)
        demand(names, "the list of points is not in:", text)
        names = [name.strip() for name in names.group(1).split(",")]
        # What the page looks at changes nothing: there is nothing to find whole after it.
        return [name for name in names if not name.startswith("page.")]

    def start(self, plan=None, wrap=(), wait_s=60, preexec=None):
        """Starts the service; False if it ended before it listened."""
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        log = open(self.log_path, "ab")
        log.write(f"--- start {plan or ''}\n".encode())
        log.flush()
        at = log.tell()
        self.process = subprocess.Popen(
            [*wrap, self.binary, "serve", "--dev", "--config", str(self.config), "--listen", f"127.0.0.1:{port}", "--admin-listen", "none"],
            env=self.environment(plan), stdout=log, stderr=log, preexec_fn=preexec, start_new_session=True)
        log.close()
        self.url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            with open(self.log_path, "rb") as text:
                text.seek(at)
                if b"listening on http://" in text.read():
                    return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.01)
        raise Violation("it neither listens nor ends: see", self.log_path)

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self):
        self.process.terminate()
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Violation("it did not stop within a minute") from None
        demand(code == 0, "it stopped with", code)
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            told = [line for line in log if "sig=" in line or "filter=" in line or self.token and self.token in line]
        demand(not told, "secrets are in the log:", told[:3])

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def call(self, method, path, headers=None, timeout=30):
        """(status, headers, bytes); Gone if there is no whole answer."""
        url = path if path.startswith("http") else self.url + path
        request = urllib.request.Request(url, method=method, data=b"" if method == "POST" else None, headers={"Authorization": f"Bearer {self.token}", **(headers or {})})
        while True:
            try:
                with urllib.request.urlopen(request, timeout=timeout) as answer:
                    return answer.status, answer.headers, answer.read()
            except urllib.error.HTTPError as error:
                try:
                    text = error.read()
                except OSError as cut:
                    raise Gone(str(cut)) from None
                if error.code != 429:
                    return error.code, error.headers, text
                time.sleep(min(float(error.headers.get("Retry-After", 1)), 2))
            except Exception as error:  # every way in which a connection can break
                raise Gone(repr(error)) from None

    def ask(self, key, filter_text, file_format, report="payments"):
        query = urllib.parse.urlencode({"$filter": filter_text, **({"fileFormat": file_format} if file_format else {}), "$select": ",".join(COLUMNS[report])})
        return self.call("POST", f"/v1.0/payouts/{report}?{query}", {"Idempotency-Key": key}, timeout=10)

    def see(self, request_id, wait=0, timeout=30):
        status, _, text = self.call("GET", f"/v1.0/payouts/payments/{request_id}", {"Prefer": f"wait={wait}"} if wait else None, timeout=timeout + wait)
        return status, json.loads(text)

    def until_ended(self, request_id, bound_s=120):
        """The Export as it ends, None if it is not there."""
        deadline = time.monotonic() + bound_s
        while time.monotonic() < deadline:
            status, export = self.see(request_id, wait=10)
            if status == 404:
                return None
            demand(status == 200, "GET", request_id, status, export)
            if export["status"] in ("Completed", "Failed"):
                return export
        raise Violation(f"{request_id} did not end within {bound_s} s: {export['status']}")

    def all_exports(self):
        found, path = [], "/v1.0/payouts/payments?$top=200"
        while path:
            status, _, text = self.call("GET", path)
            demand(status == 200, "list:", status, text)
            page = json.loads(text)
            found += page["value"]
            path = page["nextLink"]
        return found


class Oracle:
    """The ledger's payments at any version, as DuckDB reads its Parquet files."""

    def __init__(self, data):
        self.table = pathlib.Path(data) / "ledger" / "payments"
        self.known = collections.OrderedDict()

    def commits(self):
        return sorted((self.table / "_delta_log").glob("*.json"))

    def files(self, version):
        files = {}
        for number in range(version + 1):
            for line in (self.table / "_delta_log" / f"{number:020}.json").read_text().splitlines():
                action = json.loads(line)
                if "remove" in action:
                    files.pop(action["remove"]["path"], None)
                if "add" in action:
                    files[action["add"]["path"]] = action["add"]["size"]
        return files

    def newest(self):
        return int(self.commits()[-1].stem)

    def rows(self, version, where):
        if (version, where) not in self.known:
            names = ", ".join(f"'{self.table / urllib.parse.unquote(f)}'" for f in self.files(version))
            columns = ", ".join(f'"{c}"' for c in COLUMNS["payments"])
            db = duckdb.connect()
            db.execute("SET TimeZone='UTC'")
            rows = db.execute(f"SELECT {columns} FROM read_parquet([{names}]) WHERE {where}").fetchall()
            if len(self.known) == ANSWERS_MAX:
                self.known.popitem(last=False)
            self.known[version, where] = sorted(tuple(shown(v) for v in row) for row in rows)
        self.known.move_to_end((version, where))
        return self.known[version, where]

    def imported(self, number):
        """Rows of this import in the newest version."""
        first = IMPORTED + number * 1000
        ids = set(str(first + i) for i in range(1000))
        place = COLUMNS["payments"].index("paymentID")
        return sum(row[place] in ids for row in self.rows(self.newest(), "true"))

    def demand_whole(self):
        """Every file that a version names is there with its size; no other file is there."""
        named = {}
        for version in range(self.newest() + 1):
            named.update(self.files(version))
        there = {p.name: p.stat().st_size for p in self.table.glob("*.parquet")}
        demand(named == there, "files of the ledger: only named", {k: v for k, v in named.items() if there.get(k) != v}, "only there", set(there) - set(named))


def text_of(export, data):
    """The rows' text of a downloaded file, as CSV."""
    import csv
    import gzip
    import io
    import zipfile
    name = export["format"]
    if name in ("csv.zip", ""):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            demand(archive.testzip() is None, "a ZIP with a broken entry")
            return b"".join(archive.read(n) if i == 0 else archive.read(n).split(b"\r\n", 1)[1] for i, n in enumerate(archive.namelist()))
    if name == "csv.gz":
        return gzip.decompress(data)
    if name == "tsv":
        out = io.StringIO(newline="")
        csv.writer(out).writerows(csv.reader(io.StringIO(data.decode(), newline=""), delimiter="\t"))
        return out.getvalue().encode()
    return data


def verify_file(place, oracle, request_id, where, file_format):
    """A Completed file against its manifest and against DuckDB; answers its rows."""
    status, export = place.see(request_id)
    demand(status == 200 and export["status"] == "Completed", request_id, status, export)
    status, _, text = place.call("GET", f"/v1.0/payouts/payments/{request_id}/manifest")
    demand(status == 200, "manifest of", request_id, status, text)
    manifest = json.loads(text)
    demand(export["blobLocation"], request_id, "is Completed and has no file")
    status, _, data = place.call("GET", export["blobLocation"], timeout=120)
    demand(status == 200, "file of", request_id, status, data[:300])
    [file] = manifest["files"]
    demand(len(data) == file["bytes"] and hashlib.sha256(data).hexdigest() == file["sha256"], request_id, "is not the file of its manifest")
    _, ours = exported_rows(text_of({"format": file_format}, data))
    theirs = oracle.rows(manifest["dataVersion"], where)
    demand(ours == theirs, request_id, difference(ours, theirs))
    demand(manifest["rowCount"] == len(ours), request_id, "has", len(ours), "rows, its manifest says", manifest["rowCount"])
    return len(ours)


def sealed(data):
    """The files that are there, and what is being written."""
    files = pathlib.Path(data) / "files"
    return sorted(p.name for p in files.glob("??/*")), sorted(p.name for p in (files / "partial").glob("*"))


def owned(data):
    """The files that Completed rows of the store name."""
    with sqlite3.connect(f"file:{data}/payouts.db?mode=ro", uri=True, timeout=30) as db:
        return sorted(f"{i}.{f}" for i, f in db.execute("SELECT id, file_fence FROM exports WHERE file_fence IS NOT NULL"))


def demand_owners(place, bound_s=60):
    """No file without an owner, no owner without a file; nothing half written."""
    deadline = time.monotonic() + bound_s
    while True:
        (files, partial), owners = sealed(place.data), owned(place.data)
        if files == owners and not partial:
            return len(files)
        demand(time.monotonic() < deadline, "without an owner:", set(files) - set(owners), "without a file:", set(owners) - set(files), "half written:", partial)
        time.sleep(0.05)


def demand_store(data):
    with sqlite3.connect(f"file:{data}/payouts.db?mode=ro", uri=True, timeout=30) as db:
        demand(db.execute("PRAGMA integrity_check").fetchone() == ("ok",), "the store is damaged")


class Imports:
    """Files to import, each of rows that are nobody else's."""

    def __init__(self, place, folder, rows=300):
        self.place, self.folder, self.rows, self.count, self.certain = place, pathlib.Path(folder), rows, 0, set()
        self.folder.mkdir(exist_ok=True)
        self.lock = threading.Lock()

    def file(self, rows=None):
        rows = rows or self.rows
        with self.lock:
            self.count += 1
            number = self.count
        first = IMPORTED + number * 1000
        path = self.folder / f"import-{number}.csv"
        header = "participantID,participantIDType,participantName,programName,payoutOrderType,paymentMethod,paymentID,paymentStatus,totalPayment,paymentCurrencyCode,earned,earnedUSD,withheldTax,earnedCurrencyCode,payoutStatusUpdateTS"
        lines = [f"{1000042 + i % 7},MPNID,Planted {i % 7},CSP Hoster,REBATE,ElectronicBankTransfer,{first + i},SENT,{i}.25,USD,{i}.25,{i}.25,0,USD,2026-05-0{1 + i % 9}T00:00:00Z" for i in range(rows)]
        path.write_text("\n".join([header, *lines]) + "\n")
        return number, path, rows

    def run(self, plan=None, timeout=60):
        """Imports a new file; answers (number, rows, exit code)."""
        number, path, rows = self.file()
        code, text = self.place.run("import", "payments", path, "--data", self.place.data, plan=plan, timeout=timeout)
        if code == 0:
            self.certain.add(number)
        return number, rows, code, text

    def demand_all_or_nothing(self, oracle):
        rows, whole = self.rows, 0
        for number in range(1, self.count + 1):
            there = oracle.imported(number)
            demand(there in (0, rows), "import", number, "is there with", there, "of", rows, "rows")
            demand(there == rows or number not in self.certain, "import", number, "said that it was done and is not there")
            whole += there == rows
        return whole
