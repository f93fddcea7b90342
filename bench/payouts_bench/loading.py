"""The way in: `payouts sample` and `payouts import` of a CSV file, beside DuckDB's CSV to sorted Parquet.

The file holds every column, the ledger-only ones too, in the order of time as a payment system
would write it, so that everybody has to sort. The commands are timed as processes from start to
end; DuckDB is timed without its start.
"""
import pathlib
import shutil
import statistics

from . import check, machine
from .cases import Series
from .ledgers import Ledger, fields
from .peer import DuckDb, sql_text
from .peers import Failed, Peer

DUCKDB_TYPES = {
    "amount": "DECIMAL(18,4)", "number": "DECIMAL(18,8)", "integer": "BIGINT", "date": "DATE", "timestamp": "TIMESTAMPTZ", "boolean": "BOOLEAN",
}
# The ledger's own order.
ORDER = ["participantID", "programName", "payoutOrderType", "paymentMethod", "paymentCurrencyCode", "paymentID", "payoutStatusUpdateTS"]


def write_csv(ledger, path, wanted_bytes):
    """A CSV file of about so many bytes, or of the whole ledger if that is less; answers its rows."""
    db = DuckDb().db
    files = ", ".join(map(sql_text, ledger.files("payments")))
    columns = ", ".join(
        f"strftime(\"{c}\" AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ') AS \"{c}\"" if kind == "timestamp" else f'"{c}"' for c, kind in fields("payments", in_file=False)
    )
    write = lambda rows: db.execute(  # noqa: E731
        f"COPY (SELECT {columns} FROM (SELECT * FROM read_parquet([{files}]) ORDER BY payoutStatusUpdateTS LIMIT {rows})) TO {sql_text(path)} (FORMAT csv, HEADER)"
    )
    write(20_000)
    rows = int(wanted_bytes / (pathlib.Path(path).stat().st_size / 20_000))
    write(rows)
    return db.execute(f"SELECT least({rows}, count(*)) FROM read_parquet([{files}])").fetchone()[0]


def run(bench, ledger, runs, wanted_bytes):
    """Answers the case."""
    path, fresh, out = bench.scratch / "payments.csv", bench.scratch / "fresh", bench.scratch / "sorted.parquet"
    names = fields("payments", in_file=False)
    log = bench.scratch / "loading.log"
    try:
        machine.say("load: writing the CSV file")
        rows = write_csv(ledger, path, wanted_bytes)
        size = path.stat().st_size
        machine.say(f"load: {rows:,} rows, {size / 1e6:.0f} MB")
        machine.warm([path])
        types = [(c, DUCKDB_TYPES.get(kind, "VARCHAR")) for c, kind in names]
        spec = {"do": "sort", "csv": str(path), "types": types, "order": ORDER, "out": str(out), "form": "parquet"}
        truth = rows_of_csv(path, types, names)

        def sample(_):
            return command(["sample", "--data", fresh, "--rows", rows, "--earnings", 0], None)

        def load(number):
            return command(["import", "payments", path, "--data", fresh], truth if number == 0 else None)

        def command(arguments, wanted):
            shutil.rmtree(fresh, ignore_errors=True)
            machine.quiet_disk()
            try:
                result = machine.run_measured([bench.binary, *arguments], log)
                made = Ledger(fresh)
                if wanted and (found := check.of_ledger(made.files("payments"), names, [])) != wanted:
                    raise Failed(f"other rows than in the file: {found} instead of {wanted}")
                return {**result, "bytes": made.bytes("payments")}
            finally:
                shutil.rmtree(fresh, ignore_errors=True)

        def sort(_):
            machine.quiet_disk()
            with Peer("duckdb", bench.log) as duckdb:
                sorting.version = duckdb.version
                try:
                    return duckdb.ask(**spec)
                finally:
                    out.unlink(missing_ok=True)

        sampling, importing = Series("payouts sample", "service", "Parquet"), Series("payouts import", "service", "Parquet")
        sorting = Series("DuckDB CSV to sorted Parquet", "peer", "Parquet")
        for number in range(runs):
            for series, turn in ((sampling, sample), (importing, load), (sorting, sort)):
                bench.turn(series, number, lambda _, t=turn: t(number))
        return {
            "title": f"{size / 1e9:.2f} GB of CSV into the ledger", "rows": rows, "source_bytes": size,
            "results": [{**s.result(), "rows_per_second": rate(rows, s)} for s in (importing, sampling, sorting)],
        }
    finally:
        for file in (path, out):
            file.unlink(missing_ok=True)
        shutil.rmtree(fresh, ignore_errors=True)


def rate(rows, series):
    return round(rows / statistics.median(r["seconds"] for r in series.runs)) if series.runs else None


def rows_of_csv(path, types, names):
    db = DuckDb().db
    described = ", ".join(f"{sql_text(c)}: {sql_text(t)}" for c, t in types)
    return check.summed(db, f"read_csv({sql_text(path)}, header=true, columns={{{described}}})", names)
