"""The command line of the bench, and the order in which everything happens."""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("PAYOUTS_CACHE") or pathlib.Path.home() / ".cache" / "payouts")
FULL_ROWS, FULL_EARNINGS, FULL_RUNS = 10_000_000, 1_000_000, 5
CASES = {
    "full": "all payments as a ZIP, beside gzip level 1 of the others",
    "plain": "all payments as plain CSV",
    "wide": "all earnings with all their columns as a ZIP",
    "date": "one tenth of the payments, by date",
    "amount": "one tenth of the payments, by amount",
    "participant": "one participant, beside DuckDB in-process",
    "payment": "one payment id, beside DuckDB in-process",
    "many": "the many-part filter, beside DuckDB in-process",
    "memory": "peak memory of the whole service with all and with a tenth of the rows",
    "equal": "equal exports have equal bytes, with any number of threads",
    "posts": "64 clients posting, beside pgbench",
    "load": "sample, and import of a CSV file, beside DuckDB's CSV to sorted Parquet",
}
PEERS = ["duckdb", "polars", "chdb", "pigz"]


def options():
    parser = argparse.ArgumentParser(
        prog="bench/run", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measures this service side by side with other tools: same machine, same Parquet files, same rows, same disk.",
        epilog="cases:\n" + "\n".join(f"  {n:12} {t}" for n, t in CASES.items())
        + "\n\nA full run (the defaults) takes about three quarters of an hour on two cores and 10 GB of disk. A quick look:\n"
        "  bench/run --rows 1000000 --earnings 100000 --cases full,plain,many\n\n"
        "Full runs write bench/results/*.json, docs/performance.svg and the tables of docs/performance.md;\n"
        "smaller ones write beside their ledger, unless --publish says otherwise.",
    )
    listed = lambda known: lambda text: one_of(text.split(","), known)  # noqa: E731
    parser.add_argument("--cases", type=listed(list(CASES)), default=list(CASES), metavar="A,B", help="only these, in this order (default: all)")
    parser.add_argument("--rows", type=int, default=FULL_ROWS, metavar="N", help="payments (default: %(default)s)")
    parser.add_argument("--earnings", type=int, default=FULL_EARNINGS, metavar="N", help="earnings (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=FULL_RUNS, metavar="N", help="runs of each (default: %(default)s)")
    parser.add_argument("--selective-runs", type=int, default=25, metavar="N", help="runs of the selective cases (default: %(default)s)")
    parser.add_argument("--post-seconds", type=float, default=10, metavar="S", help="how long each run of posts takes (default: %(default)s)")
    parser.add_argument("--csv-bytes", type=float, default=1e9, metavar="N", help="the size of the file that is imported (default: 1 GB)")
    parser.add_argument("--peers", type=listed(PEERS), default=PEERS, metavar="A,B", help=f"of {', '.join(PEERS)} (default: all)")
    parser.add_argument("--drop-slow", type=float, default=0, metavar="F", help="a peer whose first run took F times the fastest peer's is not run again (default: everybody runs)")
    parser.add_argument("--binary", type=pathlib.Path, metavar="FILE", help="measure this binary instead of building one")
    parser.add_argument("--work", type=pathlib.Path, default=CACHE / "bench", metavar="DIR", help="where ledgers are kept and files written (default: %(default)s)")
    publish = parser.add_mutually_exclusive_group()
    publish.add_argument("--publish", dest="publish", action="store_true", default=None, help="write bench/results and docs whatever the size of the run")
    publish.add_argument("--no-publish", dest="publish", action="store_false", help="leave bench/results and docs alone")
    found = parser.parse_args()
    if found.runs < 1 or found.selective_runs < 1 or found.rows < 1000 or found.earnings < 100:
        parser.error("at least one run, 1,000 payments and 100 earnings")
    if found.publish is None:
        found.publish = (found.rows, found.earnings) == (FULL_ROWS, FULL_EARNINGS) and found.runs >= FULL_RUNS and not found.drop_slow
    return found


def one_of(names, known):
    unknown = [n for n in names if n not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not among {', '.join(known)}")
    return names


def build(asked):
    """The release binary."""
    if asked.binary:
        return asked.binary.resolve(strict=True)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or CACHE / "target")
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True, env={**os.environ, "CARGO_TARGET_DIR": str(target)})
    return target / "release" / "payouts"


def commit():
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or None


def version(binary):
    done = subprocess.run([str(binary), "--version"], capture_output=True, text=True)
    return done.stdout.strip().removeprefix("payouts ") or "unknown"


def needed_bytes(asked):
    """Ledgers, and the greatest number of files that are there at one time."""
    ledgers = asked.rows * 60 + asked.earnings * 250
    text = max(asked.rows * 220, asked.earnings * 1500)
    loading = 4 * asked.csv_bytes if "load" in asked.cases else 0
    return ledgers + max(3 * text, loading) + 1e9


def one(name, bench, ledgers, targets):
    """The results of one case."""
    from . import cases, loading, posts
    asked, ledger = bench.options, ledgers["main"]
    if name in ("full", "plain", "wide"):
        return bench.compare(cases.whole_cases()[name], ledger)
    if name in ("date", "amount"):
        return bench.compare(cases.part_cases(targets())[name], ledger)
    if name in ("participant", "payment", "many"):
        return bench.selective(cases.selective_cases(targets())[name], ledger)
    if name == "memory":
        return bench.memory([(asked.rows // 10, ledgers["tenth"]), (asked.rows, ledger)])
    if name == "equal":
        return bench.equal(ledger)
    if name == "posts":
        return posts.run(bench, ledgers["posts"], asked.runs, asked.post_seconds)
    return loading.run(bench, ledger, asked.runs, asked.csv_bytes)


def results_path(asked, machine):
    short = lambda n: f"{n // 1_000_000}m" if n % 1_000_000 == 0 else f"{n // 1000}k" if n % 1000 == 0 else str(n)  # noqa: E731
    folder = ROOT / "bench" / "results" if asked.publish else asked.work / "results"
    return folder / f"payments-{short(asked.rows)}-earnings-{short(asked.earnings)}-cores-{machine['cores']}.json"


def main():
    asked = options()
    from . import cases, ledgers, machine, picture, report
    from .peers import Failed
    asked.work.mkdir(parents=True, exist_ok=True)
    machine.need_space(asked.work, needed_bytes(asked))
    binary = build(asked)
    about = machine.describe()
    made = {"main": ledgers.make(binary, asked.work, asked.rows, asked.earnings)}
    if "memory" in asked.cases:
        made["tenth"] = ledgers.make(binary, asked.work, asked.rows // 10, 1000)
    if "posts" in asked.cases:
        # Of its own: what is posted there stays queued.
        shutil.rmtree(asked.work / "posts", ignore_errors=True)
        made["posts"] = ledgers.make(binary, asked.work, 20_000, 2_000, "posts")
    path = results_path(asked, about)
    results = {
        "machine": about, "versions": {}, "rows": asked.rows, "earnings": asked.earnings, "runs": asked.runs, "selective_runs": asked.selective_runs,
        "payments_bytes": made["main"].bytes("payments"), "earnings_bytes": made["main"].bytes("transactionhistory"), "cases": {},
    }
    # Cases that this run leaves out are kept from an earlier run on the same machine.
    if path.exists() and (old := json.loads(path.read_text()))["machine"] == about:
        results["cases"], results["versions"] = old["cases"], old["versions"]
    results["versions"]["payouts"] = version(binary)
    found = []
    targets = lambda: found[0] if found else found.append(ledgers.Targets(made["main"])) or found[0]  # noqa: E731
    measured, failures = {}, []
    with tempfile.TemporaryDirectory(prefix="run-", dir=asked.work) as scratch:
        bench = cases.Bench(asked, binary, scratch)
        for name in asked.cases:
            machine.say(f"\n{name}: {CASES[name]}")
            start = time.monotonic()
            try:
                measured[name] = {**one(name, bench, made, targets), "commit": commit()}
            except (Failed, RuntimeError, OSError, AssertionError) as error:
                failures.append(f"{name}: {error}")
                machine.say(f"  {name} failed: {error}")
                continue
            machine.say(f"  {time.monotonic() - start:.0f} s")
            for result in measured[name]["results"]:
                if result.get("version"):
                    results["versions"][result["who"].split()[0]] = result["version"]
            results["cases"] |= {name: measured[name]}
            results["cases"] = {n: results["cases"][n] for n in CASES if n in results["cases"]}
            report.save(path, results)
    print(report.text_table({n: measured[n] for n in CASES if n in measured}))
    for figure in report.figures(measured):
        print(f"{'reached    ' if figure['reached'] else 'NOT reached'}  {figure['what']}: {figure['measured']} ({figure['aim']})")
    if asked.publish:
        picture.write(ROOT / "docs" / "performance.svg", results)
        report.into_document(ROOT / "docs" / "performance.md", results)
    elif measured:
        picture.write(path.with_suffix(".svg"), results)
    print(f"\nrecorded in {path}")
    parts = [(n, r) for n, c in measured.items() for r in c["results"]]
    failed = failures + [f"{n}: {r['who']}: {r['failed']}" for n, r in parts if r.get("failed")]
    for text in [f"skipped: {n}: {r['who']}: {r['skipped']}" for n, r in parts if r.get("skipped")] + [f"failed: {t}" for t in failed]:
        print(text[:1500], file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
