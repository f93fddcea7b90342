"""The newest version of a Delta table, found by replaying its JSON commits as the protocol says, and
read by DuckDB: the same rows as a CSV export, checkpoints left aside.

delta_replay.py TABLE EXPORT.csv
"""
import json
import pathlib
import sys

import duckdb

root, export = pathlib.Path(sys.argv[1]), sys.argv[2]
files = {}
commits = sorted((root / "_delta_log").glob("*.json"))
for number, path in enumerate(commits):
    assert int(path.stem) == number, f"a gap before {path.name}"
    actions = [json.loads(line) for line in path.read_text().splitlines()]
    for action in actions:
        if "remove" in action:
            assert files.pop(action["remove"]["path"], None) is not None, f"{path.name} removes what is not there"
    for action in actions:
        if "add" in action:
            assert action["add"]["path"] not in files, f"{path.name} adds what is there"
            files[action["add"]["path"]] = action["add"]
for name, add in files.items():
    assert (root / name).stat().st_size == add["size"], f"{name} is not {add['size']} bytes"
paths = [str(root / name) for name in files]
counted = duckdb.execute("SELECT count(*) FROM read_parquet($p)", {"p": paths}).fetchone()[0]
stats = sum(json.loads(add["stats"])["numRecords"] for add in files.values())
assert counted == stats, f"{counted} rows, the log says {stats}"
text = f"read_csv('{export}', all_varchar=true, header=true)"
totals = "count(*), sum(totalPayment::DECIMAL(18,4)), count(DISTINCT participantID), count(paymentID)"
table = duckdb.execute(f"SELECT {totals} FROM read_parquet($p)", {"p": paths}).fetchone()
file = duckdb.execute(f"SELECT {totals} FROM {text}").fetchone()
assert table == file, f"table {table}, export {file}"
print(f"{len(commits)} commits, {len(files)} files, {counted} rows: the same")
