"""The exports that are timed: this service and the other tools in alternation, rows checked first."""
import contextlib
import pathlib
import statistics

from . import check, machine, peers
from .ledgers import fields
from .peers import Failed, Peer
from .service import Service

EVERY_PAYMENT = "payoutStatusUpdateTS ge 1900-01-01"
EVERY_EARNING = "earningForDate ge 1900-01-01"
EARNINGS = "transactionhistory"
SERVICE = "payouts"


def instant(day):
    return f"{day}T00:00:00+00:00"


class Case:
    """What is asked for: the filter of the service and the same one for the others."""

    def __init__(self, name, title, report, filter_text, where, form="zip"):
        self.name, self.title, self.report = name, title, report
        self.filter, self.where, self.form = filter_text, where, form

    @property
    def kind(self):
        return "plain" if self.form == "csv" else "gzip"


def whole_cases():
    return {
        "full": Case("full", "All payments, compressed", "payments", EVERY_PAYMENT, []),
        "plain": Case("plain", "All payments, plain CSV", "payments", EVERY_PAYMENT, [], "csv"),
        "wide": Case("wide", f"All earnings ({len(fields(EARNINGS))} columns), compressed", "transactionhistory", EVERY_EARNING, []),
    }


def part_cases(targets):
    span = [["payoutStatusUpdateTS", ">=", instant(targets.from_day), "instant"], ["payoutStatusUpdateTS", "<", instant(targets.to_day), "instant"]]
    return {
        "date": Case("date", "One tenth by date, compressed", "payments",
                     f"payoutStatusUpdateTS ge {targets.from_day} and payoutStatusUpdateTS lt {targets.to_day}", span),
        "amount": Case("amount", "One tenth by amount, compressed", "payments",
                       f"paymentAmount ge {targets.amount}", [["totalPayment", ">=", targets.amount, "amount"]]),
    }


def selective_cases(targets):
    ids = targets.pair
    many = (
        f"(payoutStatusUpdateTS ge 2023-01-01 and payoutStatusUpdateTS lt 2026-06-01) and (enrollmentParticipantId eq '{ids[0]}' or enrollmentParticipantId eq '{ids[1]}') "
        "and (payoutOrderType eq 'REBATE' or payoutOrderType eq 'FEE') and (paymentAmount ge 100 and paymentAmount le 50000) and programName ne 'None such'"
    )
    many_where = [
        ["payoutStatusUpdateTS", ">=", instant("2023-01-01"), "instant"], ["payoutStatusUpdateTS", "<", instant("2026-06-01"), "instant"],
        ["participantID", "in", ids, "text"], ["payoutOrderType", "in", ["REBATE", "FEE"], "text"],
        ["totalPayment", ">=", "100", "amount"], ["totalPayment", "<=", "50000", "amount"], ["programName", "<>", "None such", "text"],
    ]
    return {
        "participant": Case("participant", "One participant", "payments", f"enrollmentParticipantId eq '{targets.participant}'", [["participantID", "=", targets.participant, "text"]]),
        "payment": Case("payment", "One payment id", "payments", f"paymentId eq '{targets.payment}'", [["paymentID", "=", targets.payment, "text"]]),
        "many": Case("many", "The many-part filter", "payments", many, many_where),
    }


class Series:
    """The runs of one contestant in one case."""

    def __init__(self, who, role, form):
        self.who, self.role, self.form = who, role, form
        self.runs, self.failed, self.version, self.skipped = [], None, None, None

    def result(self):
        members = {"who": self.who, "role": self.role, "form": self.form, "version": self.version}
        if self.failed or self.skipped or not self.runs:
            return {**members, "failed": self.failed, "skipped": self.skipped or (None if self.failed else "no run")}
        middle = lambda key: statistics.median(r[key] for r in self.runs)  # noqa: E731
        members |= {
            "seconds": [round(r["seconds"], 6) for r in self.runs],
            "median_s": round(middle("seconds"), 6), "cpu_s": round(middle("cpu"), 4),
            "peak_mb": round(max(r["peak_mb"] for r in self.runs), 1), "bytes": self.runs[-1]["bytes"],
        }
        if "client_seconds" in self.runs[0]:
            members |= {"client_median_s": round(middle("client_seconds"), 6), "queued_median_s": round(middle("queued"), 6)}
        return members


class Bench:
    """What every case needs: the options, the ledger, a folder for files that are deleted again."""

    def __init__(self, options, binary, scratch):
        self.options, self.binary, self.scratch = options, binary, pathlib.Path(scratch)
        self.log = self.scratch / "peer.log"

    def compare(self, case, ledger):
        """Runs in alternation: the service, then every peer, and again. The first file of each is checked."""
        names = fields(case.report)
        files = ledger.files(case.report)
        machine.warm(files)
        truth = check.of_ledger(files, names, case.where)
        machine.say(f"{case.name}: {truth['rows']:,} rows; $filter={case.filter}")
        spec = {"do": "copy", "files": files, "columns": [c for c, _ in names], "where": case.where, "out": str(self.scratch / "out")}
        rivals = [(c, Series(c.name, "peer", c.form)) for c in peers.contestants(case.kind, self.options.peers)]
        for contestant, series in rivals:
            series.skipped = contestant.missing()
        ours = Series(SERVICE, "service", case.form)
        with contextlib.ExitStack() as stack:
            service = self.serving(stack, ledger, ours)
            for number in range(self.options.runs):
                self.turn(ours, number, lambda keep: self.serve_once(service, case, names, truth, keep))
                for contestant, series in rivals:
                    if not series.skipped and not self.hopeless(series, rivals, number):
                        self.turn(series, number, lambda keep, c=contestant: self.peer_once(c, spec, names, truth, keep))
                        series.version = contestant.version
        return {
            "title": case.title, "report": case.report, "filter": case.filter, "rows": truth["rows"], "digest": truth["digest"],
            "source_bytes": ledger.bytes(case.report), "results": [s.result() for s in [ours, *(s for _, s in rivals)]],
        }

    def serving(self, stack, ledger, series):
        """A running service, or None if it does not start: the others are still worth knowing."""
        try:
            return stack.enter_context(Service(self.binary, ledger.folder, self.scratch))
        except Failed as error:
            series.failed = str(error)
            machine.say(f"  {series.who}: failed: {error}")
            return None

    def hopeless(self, series, rivals, number):
        """With --drop-slow: one run of somebody that slow tells enough."""
        factor = self.options.drop_slow
        best = min((r["seconds"] for _, s in rivals for r in s.runs), default=0)
        return bool(factor and number and series.runs and min(r["seconds"] for r in series.runs) > factor * best)

    def turn(self, series, number, run):
        if series.failed:
            return
        try:
            result = run(number == 0)
        except (Failed, OSError, RuntimeError) as error:
            series.failed = str(error)
            machine.say(f"  {series.who}: failed: {error}")
            return
        series.runs.append(result)
        machine.say(f"  {number + 1}/{self.options.runs} {series.who:18} {result['seconds']:9.3f} s  cpu {result['cpu']:7.2f} s  {result['bytes'] / 1e6:9.1f} MB  peak {result['peak_mb']:7.1f} MB")

    def serve_once(self, service, case, names, truth, checked):
        export = service.export(case.report, case.filter, "csv" if case.form == "csv" else "")
        try:
            if export["rows"] != truth["rows"]:
                raise Failed(f"{export['rows']:,} rows instead of {truth['rows']:,}")
            if checked:
                path = self.scratch / "download"
                try:
                    service.download(export, path)
                    self.prove(path, "zip" if case.form == "zip" else "plain", names, truth)
                finally:
                    path.unlink(missing_ok=True)
            return export
        finally:
            service.delete(export)

    def peer_once(self, contestant, spec, names, truth, checked):
        out = pathlib.Path(spec["out"])
        machine.quiet_disk()
        try:
            result = contestant.run(self.log, **spec)
            if checked:
                self.prove(out, contestant.form, names, truth)
            return result
        finally:
            out.unlink(missing_ok=True)

    def prove(self, path, form, names, truth):
        found = check.of_file(str(path), form, names, self.scratch / "text")
        if found != truth:
            raise Failed(f"other rows than in the ledger: {found} instead of {truth}")

    def selective(self, case, ledger):
        """A few rows of many: the service against DuckDB in a process that stays, its connection warm, writing plain CSV."""
        names = fields(case.report)
        files = ledger.files(case.report)
        machine.warm(files)
        truth = check.of_ledger(files, names, case.where)
        machine.say(f"{case.name}: {truth['rows']:,} rows; $filter={case.filter}")
        out = self.scratch / "out"
        spec = {"do": "copy", "files": files, "columns": [c for c, _ in names], "where": case.where, "out": str(out), "form": "plain"}
        ours, theirs = Series(SERVICE, "service", case.form), Series("DuckDB in-process", "peer", "plain")
        # The first of each warms caches up and is checked, not counted.
        with contextlib.ExitStack() as stack:
            duckdb = stack.enter_context(Peer("duckdb", self.log))
            theirs.version = duckdb.version
            service = self.serving(stack, ledger, ours)
            for number in range(self.options.selective_runs + 1):
                for series in (ours, theirs):
                    if series.failed:
                        continue
                    try:
                        if series is ours:
                            result = self.serve_once(service, case, names, truth, number == 0)
                        else:
                            machine.quiet_disk()
                            result = duckdb.ask(**spec)
                            if number == 0:
                                self.prove(out, "plain", names, truth)
                    except (Failed, OSError) as error:
                        series.failed = str(error)
                        machine.say(f"  {series.who}: failed: {error}")
                        continue
                    finally:
                        out.unlink(missing_ok=True)
                    if number:
                        series.runs.append(result)
        for series in (ours, theirs):
            if series.runs:
                times = sorted(r["seconds"] * 1000 for r in series.runs)
                machine.say(f"  {series.who:18} {statistics.median(times):8.2f} ms (least {times[0]:.2f}, most {times[-1]:.2f})")
        return {
            "title": case.title, "report": case.report, "filter": case.filter, "rows": truth["rows"], "digest": truth["digest"],
            "unit": "ms", "results": [ours.result(), theirs.result()],
        }

    def memory(self, ledgers):
        """Peak memory of a fresh service during one export of everything, per number of rows and format."""
        results = []
        for rows, ledger in ledgers:
            machine.warm(ledger.files("payments"))
            for form in ("zip", "csv"):
                series = Series(f"{rows:,} payments, {form}", "service", form)
                case = Case("memory", "", "payments", EVERY_PAYMENT, [], form)
                for number in range(3):
                    def once(_):
                        with Service(self.binary, ledger.folder, self.scratch) as service:
                            export = service.export(case.report, case.filter, "csv" if form == "csv" else "")
                            service.delete(export)
                            if export["rows"] != rows:
                                raise Failed(f"{export['rows']:,} rows instead of {rows:,}")
                            return export
                    try:
                        series.runs.append(once(number))
                    except Failed as error:
                        series.failed = str(error)
                        break
                results.append({**series.result(), "rows": rows})
                machine.say(f"  {series.who:28} " + (f"failed: {series.failed}" if series.failed else f"peak {results[-1]['peak_mb']:.1f} MB"))
        return {"title": "Peak memory of the whole service", "results": results}

    def equal(self, ledger):
        """The same export again, and with other numbers of threads: the same bytes?"""
        cores = machine.describe()["cores"]
        digests = {}
        for name, config in [("default", ""), ("1 thread", "[engine]\nthreads = 1\n"), (f"{cores * 2} threads", f"[engine]\nthreads = {cores * 2}\n")]:
            with Service(self.binary, ledger.folder, self.scratch, config) as service:
                for again in range(2 if not config else 1):
                    for form in ("", "csv"):
                        export = service.export("payments", EVERY_PAYMENT, form)
                        digests[f"{name}{', again' if again else ''}, {form or 'zip'}"] = service.download(export)
                        service.delete(export)
        for name, digest in digests.items():
            machine.say(f"  {name:24} {digest}")
        good = all(len({d for n, d in digests.items() if n.endswith(form)}) == 1 for form in ("zip", "csv"))
        return {"title": "Equal exports, any number of threads", "results": [], "equal": good, "sha256": digests}
