"""Requests accepted per second, each durable, beside PostgreSQL inserting a like row.

The service makes no exports meanwhile: it has no workers, its limits per caller are raised, and
SQLite runs as always (synchronous FULL). PostgreSQL runs as it is installed, fsync and
synchronous_commit on, in a cluster of its own on the same disk, asked by pgbench over its local
socket with prepared statements. Both sides have the same columns, indexes and text in the row.
"""
import argparse
import contextlib
import json
import os
import pathlib
import pwd
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile

from . import machine
from .peers import Failed
from .service import Service

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import post_load  # noqa: E402

CONFIG = """\
workers = 0
[limits]
tenant_queue_max = 1_000_000_000
in_flight_max = 100_000
caller_per_second = 1_000_000
caller_burst = 1_000_000
queue_max = 1_000_000_000
tenant_posts_per_second = 1_000_000
tenant_gets_per_second = 1_000_000
tenant_in_flight_max = 100_000
"""
TABLE = """
CREATE TABLE exports (
    seq BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY, id TEXT NOT NULL UNIQUE, report TEXT NOT NULL, tenant TEXT NOT NULL,
    principal TEXT NOT NULL, status TEXT NOT NULL, query TEXT NOT NULL, scope TEXT NOT NULL, created_at BIGINT NOT NULL,
    started_at BIGINT, ended_at BIGINT, failed_attempts INT NOT NULL DEFAULT 0, lost_leases INT NOT NULL DEFAULT 0,
    fence BIGINT NOT NULL DEFAULT 0, lease_node TEXT, lease_until BIGINT, not_before BIGINT, data_version BIGINT,
    rows_done BIGINT NOT NULL DEFAULT 0, rows_expected BIGINT, file_fence BIGINT, file TEXT, file_expires_at BIGINT, failure TEXT,
    warnings TEXT NOT NULL DEFAULT '[]', revision BIGINT NOT NULL DEFAULT 0, manifest TEXT
);
CREATE INDEX exports_open ON exports (tenant, status, seq) WHERE ended_at IS NULL;
CREATE INDEX exports_list ON exports (tenant, created_at, id);
CREATE INDEX exports_tenant_scope ON exports (tenant, scope);
CREATE INDEX exports_scope ON exports (scope);
CREATE INDEX exports_counts ON exports (report, status);
CREATE INDEX exports_files ON exports (file_expires_at) WHERE file_fence IS NOT NULL;
CREATE INDEX exports_ended ON exports (ended_at) WHERE ended_at IS NOT NULL;
"""


def run(bench, ledger, runs, seconds):
    """Alternates the two; answers the case."""
    ours = {"who": "payouts", "role": "service", "form": "POST"}
    theirs = {"who": "PostgreSQL (pgbench)", "role": "peer", "form": "INSERT"}
    ours_runs, theirs_runs, cpu, service_cpu, latencies = [], [], [], [], []
    with contextlib.ExitStack() as stack:
        try:
            service = stack.enter_context(Service(bench.binary, ledger.folder, bench.scratch, CONFIG, log_level="warn"))
        except Failed as error:
            service, ours["failed"] = None, str(error)
            machine.say(f"  payouts: failed: {error}")
        postgres = None
        try:
            postgres = stack.enter_context(Postgres(bench.scratch))
            theirs["version"] = postgres.version
        except Failed as error:
            theirs["skipped"] = str(error)
            machine.say(f"  PostgreSQL: skipped: {error}")
        for number in range(runs):
            if service and "failed" not in ours:
                try:
                    found, used = post_once(service, seconds)
                    ours_runs.append(found["accepted_per_second"])
                    service_cpu.append(used)
                    cpu.append(found["load_cpu_s"])
                    latencies.append(found["latency_ms"])
                    machine.say(f"  {number + 1}/{runs} payouts    {ours_runs[-1]:9.0f} accepted/s  p50 {latencies[-1]['p50']:.1f} ms  p99 {latencies[-1]['p99']:.1f} ms")
                except (Failed, RuntimeError, OSError) as error:
                    ours["failed"] = str(error)
                    machine.say(f"  payouts: failed: {error}")
                if number == 0 and postgres:
                    postgres.row = like_row(ledger.folder)
            if postgres and "failed" not in theirs:
                try:
                    theirs_runs.append(postgres.insert(seconds))
                    machine.say(f"  {number + 1}/{runs} PostgreSQL {theirs_runs[-1]:9.0f} inserted/s")
                except (Failed, OSError) as error:
                    theirs["failed"] = str(error)
                    machine.say(f"  PostgreSQL: failed: {error}")
    if ours_runs and "failed" not in ours:
        ours |= {
            "per_second": ours_runs, "median_per_second": round(statistics.median(ours_runs), 1), "cpu_s": round(statistics.median(service_cpu), 2),
            "load_cpu_s": round(statistics.median(cpu), 2), "p50_ms": round(statistics.median(x["p50"] for x in latencies), 2),
            "p99_ms": round(statistics.median(x["p99"] for x in latencies), 2),
        }
    if theirs_runs and "failed" not in theirs:
        theirs |= {"per_second": theirs_runs, "median_per_second": round(statistics.median(theirs_runs), 1)}
    return {"title": "64 clients posting, accepted and durable per second", "unit": "per second", "seconds": seconds, "results": [ours, theirs]}


def post_once(service, seconds):
    before = service.list_total("payments")
    machine.quiet_disk()
    cpu = machine.cpu_seconds(service.process.pid)
    arguments = argparse.Namespace(url=service.url, token=service.token, report="payments", clients=64, seconds=seconds, warm_up=1, processes=1)
    found = post_load.run(arguments)
    used = machine.cpu_seconds(service.process.pid) - cpu
    if set(found["answers"]) != {"202"}:
        raise Failed(f"answers {found['answers']}, such as {found['first_refusal']}")
    stored = service.list_total("payments") - before
    if stored != found["accepted_in_all"]:
        raise Failed(f"{found['accepted_in_all']:,} were accepted, but {stored:,} more are in the list")
    return found, used


def like_row(folder):
    """The texts of a row as the service writes them."""
    store = next(iter(sorted(pathlib.Path(folder).glob("*.db"))), None)
    if store:
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db:
            found = db.execute("SELECT query, scope, warnings FROM exports ORDER BY seq DESC LIMIT 1").fetchone()
            if found:
                return found
    return Postgres.ROW


class Postgres:
    """A cluster of its own in a temporary folder, reachable over a local socket only."""

    # If the service's own row cannot be looked at.
    ROW = (json.dumps({"filter": "enrollmentParticipantId eq '1000042' and paymentAmount ge 2000", "columns": "x" * 300}), "f" * 64, "[]")

    def __init__(self, scratch):
        self.disk = pathlib.Path(scratch)
        self.row = self.ROW

    def __enter__(self):
        found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[4]) if p.parts[4].isdigit() else 0)
        on_path = shutil.which("initdb")
        if not found and not on_path:
            raise Failed("PostgreSQL is not installed (Debian: apt-get install postgresql)")
        self.bin = found[-1].parent if found else pathlib.Path(on_path).resolve().parent
        pgbench = self.bin / "pgbench"
        self.pgbench = str(pgbench) if pgbench.exists() else shutil.which("pgbench")
        if not self.pgbench:
            raise Failed("pgbench is not installed (Debian: postgresql-contrib)")
        self.user = {}
        if os.geteuid() == 0:
            # It refuses to run as root.
            for name in ("postgres", "nobody"):
                with contextlib.suppress(KeyError):
                    self.user = {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}
                    break
        self.folder = self.place()
        try:
            if self.user:
                shutil.chown(self.folder, self.user["user"])
            self.data = self.folder / "data"
            self.call("initdb", "-D", self.data, "-U", "bench", "-A", "trust", "--no-locale", "-E", "UTF8")
            options = f"-c listen_addresses= -c unix_socket_directories={self.folder} -c synchronous_commit=on -c fsync=on"
            self.call("pg_ctl", "-D", self.data, "-l", self.folder / "log", "-w", "-o", options, "start")
            self.version = self.sql("SHOW server_version").split()[0]
            self.sql(TABLE)
        except BaseException:
            self.__exit__()
            raise
        return self

    def place(self):
        """A folder that the other user can reach, on the same disk."""
        device = self.disk.stat().st_dev
        candidates = [self.disk, pathlib.Path("/var/tmp"), pathlib.Path(tempfile.gettempdir())] if not self.user else [pathlib.Path("/var/tmp"), pathlib.Path(tempfile.gettempdir())]
        for parent in candidates:
            # A socket's path may have 107 bytes.
            if parent.is_dir() and parent.stat().st_dev == device and len(str(parent)) < 60:
                return pathlib.Path(tempfile.mkdtemp(prefix="payouts-bench-", dir=parent))
        raise Failed(f"no folder for it on the disk of {self.disk}")

    def __exit__(self, *_):
        with contextlib.suppress(Failed):
            self.call("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, program, *arguments, **more):
        path = self.bin / program
        # pg_ctl leaves a server behind that would hold a pipe open: output goes to a file.
        with tempfile.TemporaryFile() as out:
            code = subprocess.run([str(path), *map(str, arguments)], stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd="/", **self.user, **more).returncode
            out.seek(0)
            text = out.read().decode(errors="replace").strip()
        if code:
            raise Failed(f"{program} ended with {code}: {text[-500:]}")
        return text

    def sql(self, text):
        psql = self.bin / "psql"
        command = [str(psql) if psql.exists() else "psql", "-h", str(self.folder), "-U", "bench", "-d", "postgres", "-At", "-v", "ON_ERROR_STOP=1", "-c", text]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/")
        if done.returncode:
            raise Failed(f"psql: {done.stderr.strip()[-500:]}")
        return done.stdout.strip()

    def insert(self, seconds):
        """Rows per second with 64 clients."""
        # A colon before a word would be a variable to pgbench.
        query, scope, warnings = (re.sub(r":(?=\w)", ";", str(x)).replace("'", "''") for x in self.row)
        script = self.folder / "insert.sql"
        script.write_text(
            # Ids in the order of time, as the service makes them.
            "INSERT INTO exports (id, report, tenant, principal, status, query, scope, created_at, warnings) VALUES ("
            "(lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || substr(replace(gen_random_uuid()::text, '-', ''), 13))::uuid::text, 'payments', "
            f"'tools', 'tool', 'Queued', '{query}', '{scope}', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, '{warnings}');\n"
        )
        machine.quiet_disk()
        threads = machine.describe()["cores"]
        command = [self.pgbench, "-n", "-h", str(self.folder), "-U", "bench", "-c", "64", "-j", str(threads), "-T", str(int(seconds)), "-M", "prepared", "-f", str(script), "postgres"]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/")
        rate = re.search(r"tps = ([\d.]+) \(without", done.stdout)
        if done.returncode or not rate:
            raise Failed(f"pgbench ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-500:]}")
        return float(rate.group(1))
