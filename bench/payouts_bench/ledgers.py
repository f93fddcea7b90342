"""The ledgers that are measured, made by `payouts sample`, and what is looked for in them."""
import csv
import hashlib
import json
import pathlib
import shutil
import subprocess

from . import machine
from .peer import DuckDb, sql_text
from .service import data_files

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIELDS = ROOT / "crates" / "model" / "data" / "fields.csv"


def fields(report, in_file=True):
    """(column, type) of a report in order: those of the default file, or all."""
    with FIELDS.open() as file:
        return [(r["column"], r["type"]) for r in csv.DictReader(file) if r["report"] == report and (r["in_file"] == "yes" or not in_file)]


class Ledger:
    """A data folder. Its Parquet files are what everybody reads."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def files(self, report):
        found = data_files(self.folder / "ledger" / report)
        if not found:
            raise RuntimeError(f"no data files of {report} in {self.folder}")
        return found

    def bytes(self, report):
        return sum(pathlib.Path(f).stat().st_size for f in self.files(report))


def maker_digest():
    """Changes with everything that decides what a sample's files look like."""
    digest = hashlib.sha256(FIELDS.read_bytes())
    for path in sorted((ROOT / "crates" / "ledger" / "src").rglob("*.rs")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def make(binary, work, rows, earnings, name=None):
    """The ledger of so many rows, made unless it is there already and was made by the same code."""
    folder = pathlib.Path(work) / (name or f"ledger-{rows}-{earnings}")
    stamp = folder / "bench.json"
    wanted = {"rows": rows, "earnings": earnings, "maker": maker_digest()}
    if not (stamp.exists() and json.loads(stamp.read_text()) == wanted):
        machine.say(f"making {rows:,} payments and {earnings:,} earnings in {folder}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        command = [str(binary), "sample", "--data", str(folder), "--rows", str(rows), "--earnings", str(earnings)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
        stamp.write_text(json.dumps(wanted))
    return Ledger(folder)


class Targets:
    """Values that the selective filters ask for, the same at every run over the same ledger."""

    def __init__(self, ledger):
        self.db = DuckDb().db
        files = ", ".join(map(sql_text, ledger.files("payments")))
        self.db.execute(f"CREATE VIEW p AS SELECT * FROM read_parquet([{files}])")
        one = lambda sql: self.db.execute(sql).fetchone()  # noqa: E731
        # A tenth of the rows in the middle of the time.
        self.from_day, self.to_day = one(
            "SELECT CAST(CAST(quantile_disc(payoutStatusUpdateTS, 0.45) AS DATE) AS VARCHAR), "
            "CAST(CAST(quantile_disc(payoutStatusUpdateTS, 0.55) AS DATE) AS VARCHAR) FROM p"
        )
        self.amount = str(one("SELECT quantile_disc(totalPayment, 0.9) FROM p")[0])
        # A participant with about 120 payments and one with about 500, whose ids are plain digits.
        near = (
            "SELECT participantID FROM (SELECT participantID, count(*) AS n FROM p WHERE regexp_full_match(participantID, '[1-9][0-9]*') {0} "
            "GROUP BY participantID) ORDER BY abs(n - {1}), participantID LIMIT 1"
        )
        self.participant = one(near.format("", 120))[0]
        # The many-part filter's participants, of whom the rest of it leaves something.
        rest = "AND payoutOrderType IN ('REBATE', 'FEE') AND totalPayment BETWEEN 100 AND 50000"
        self.pair = [one(near.format(rest, 120))[0], one(near.format(rest, 500))[0]]
        self.payment = one(
            "SELECT paymentID FROM p WHERE paymentID IS NOT NULL AND regexp_full_match(paymentID, '[0-9]+') "
            "ORDER BY hash(paymentID), paymentID LIMIT 1"
        )[0]
        self.db.close()
