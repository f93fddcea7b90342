"""What came out: a table for people, a JSON file for machines, the tables in docs/performance.md."""
import json
import pathlib

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


def done(case, role):
    return [r for r in case["results"] if r["role"] == role and ("median_s" in r or "median_per_second" in r)]


def best_peer(case):
    """The fastest of the others in a case, or None."""
    timed = [r for r in done(case, "peer") if "median_s" in r]
    return min(timed, key=lambda r: r["median_s"], default=None)


def rows(cases):
    """One row of text per contestant: case, who, time, ratio to the best peer, MB, CPU s, peak MB."""
    for case in cases.values():
        best = best_peer(case)
        first = True
        for result in case["results"]:
            title, first = (case["title"] if first else ""), False
            why = result.get("failed") or result.get("skipped")
            if why:
                yield [title, result["who"], "failed" if result.get("failed") else "skipped", "", "", "", ""]
                continue
            if "median_per_second" in result:
                yield [title, result["who"], f"{result['median_per_second']:,.0f}/s", per_second_ratio(case, result), "", number(result.get("cpu_s"), 1), ""]
                continue
            in_ms = case.get("unit") == "ms"
            time = f"{result['median_s'] * 1000:.1f} ms" if in_ms else f"{result['median_s']:.2f} s"
            if result.get("rows_per_second"):
                time += f" ({result['rows_per_second']:,} rows/s)"
            ratio = f"{result['median_s'] / best['median_s']:.2f}" if best else ""
            yield [title, result["who"], time, ratio, megabytes(result["bytes"]), number(result["cpu_s"], 2 if in_ms else 1), number(result["peak_mb"], 0)]
        if "equal" in case:
            yield [case["title"], "payouts", "equal bytes" if case["equal"] else "OTHER BYTES", "", "", "", ""]


def per_second_ratio(case, result):
    best = max((r["median_per_second"] for r in done(case, "peer")), default=None)
    return f"{result['median_per_second'] / best:.2f}" if best else ""


def megabytes(size):
    """Three digits that count, more for large ones."""
    value = size / 1e6
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.4f}"


def number(value, decimals):
    return "" if value is None else f"{value:,.{decimals}f}"


HEADER = ["case", "who", "median", "to best peer", "MB", "CPU s", "peak MB"]


def text_table(cases):
    table = [HEADER, *rows(cases)]
    widths = [max(len(r[i]) for r in table) for i in range(len(HEADER))]
    show = lambda r: "  ".join(c.ljust(w) if i < 3 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths))).rstrip()  # noqa: E731
    return "\n".join([show(table[0]), "-" * (sum(widths) + 2 * len(widths) - 2), *map(show, table[1:])])


def figures(cases):
    """(what, measured, aim, reached) for every figure that has an aim and could be measured."""
    found = []

    def add(what, measured, aim, good):
        found.append({"what": what, "measured": measured, "aim": aim, "reached": bool(good)})

    def ours(name):
        return next(iter(done(cases[name], "service")), None) if name in cases else None

    for name, aim in (("full", 0.6), ("wide", 0.6), ("date", 0.6), ("amount", 0.6)):
        mine, best = ours(name), best_peer(cases[name]) if name in cases else None
        if mine and best:
            ratio = mine["median_s"] / best["median_s"]
            add(f"{cases[name]['title']}: time beside the fastest peer ({best['who']})", f"{ratio:.2f}", f"at most {aim}", ratio <= aim)
            if name == "full":
                ratio = mine["bytes"] / best["bytes"]
                add(f"{cases[name]['title']}: size beside that peer's file", f"{ratio:.2f}", "at most 0.85", ratio <= 0.85)
    best = best_peer(cases["plain"]) if "plain" in cases else None
    if best and (mine := ours("full")):
        ratio = mine["median_s"] / best["median_s"]
        add(f"All payments, compressed, beside the fastest peer's plain CSV ({best['who']})", f"{ratio:.2f}", "less than 0.7", ratio < 0.7)
    if best and (mine := ours("plain")):
        ratio = mine["median_s"] / best["median_s"]
        add(f"All payments, plain CSV: time beside the fastest peer ({best['who']})", f"{ratio:.2f}", "at most 0.45", ratio <= 0.45)
    for name in ("participant", "payment", "many"):
        mine, best = ours(name), best_peer(cases[name]) if name in cases else None
        if mine and best:
            a, b = mine["median_s"] * 1000, best["median_s"] * 1000
            add(f"{cases[name]['title']}: accepted to completed; DuckDB in-process {b:.0f} ms", f"{a:.0f} ms", "under 40 ms and at most DuckDB's time and 15 ms", a < 40 and a <= b + 15)
    if "posts" in cases and (mine := ours("posts")):
        peer = next(iter(done(cases["posts"], "peer")), None)
        if peer:
            ratio = mine["median_per_second"] / peer["median_per_second"]
            add("Posts per second beside PostgreSQL's inserts", f"{ratio:.2f}", "at least 0.5", ratio >= 0.5)
    if "memory" in cases:
        by_form = {}
        for result in done(cases["memory"], "service"):
            by_form.setdefault(result["form"], []).append(result)
        for form, results in by_form.items():
            peaks = [r["peak_mb"] for r in sorted(results, key=lambda r: r["rows"])]
            apart = max(peaks) / min(peaks) - 1
            counts = " and ".join(f"{r['rows']:,}" for r in sorted(results, key=lambda r: r["rows"]))
            add(f"Peak memory with {counts} payments, {form}", " and ".join(f"{p:.0f} MB" for p in peaks), "at most 300 MB, within 10 %", max(peaks) <= 300 and apart <= 0.1)
    if "load" in cases:
        peer = next(iter(done(cases["load"], "peer")), None)
        for mine in done(cases["load"], "service"):
            if peer:
                ratio = mine["rows_per_second"] / peer["rows_per_second"]
                add(f"{mine['who']}: rows per second beside {peer['who']}", f"{ratio:.2f}", "at least 0.67", ratio >= 1 / 1.5)
    if "equal" in cases and "equal" in cases["equal"]:
        add("Equal exports, any number of threads", "equal bytes" if cases["equal"]["equal"] else "other bytes", "equal bytes", cases["equal"]["equal"])
    return found


def markdown(results):
    machine, cases = results["machine"], results["cases"]
    cell = lambda text: str(text).replace("|", "\\|")  # noqa: E731
    versions = ", ".join(f"{k} {v}" for k, v in results["versions"].items())
    lines = [
        "",
        f"{results['rows']:,} payments ({results['payments_bytes'] / 1e6:,.0f} MB of Parquet), {results['earnings']:,} earnings ({results['earnings_bytes'] / 1e6:,.0f} MB), "
        f"medians of {results['runs']} runs ({results['selective_runs']} for the selective filters). {machine['cores']} cores ({machine['cpu']}), {machine['memory_gb']:.0f} GB. {versions}.",
        "",
        "| figure | measured | aim | |",
        "|---|---|---|---|",
        *(f"| {cell(f['what'])} | {cell(f['measured'])} | {cell(f['aim'])} | {'reached' if f['reached'] else 'not reached'} |" for f in figures(cases)),
        "",
        "| " + " | ".join(HEADER) + " |",
        "|---|---|--:|--:|--:|--:|--:|",
        *("| " + " | ".join(map(cell, row)) + " |" for row in rows(cases)),
        "",
    ]
    commits = sorted({c.get("commit") or "" for c in cases.values()} - {""})
    if commits:
        lines += [f"Commits measured: {', '.join(commits)}. Everything that was recorded is in `bench/results/`.", ""]
    return "\n".join(lines)


def into_document(path, results):
    """Puts the tables between the markers of the document, whose text stays."""
    path = pathlib.Path(path)
    text = path.read_text()
    if BEGIN not in text or END not in text:
        raise SystemExit(f"{path} lacks the markers {BEGIN} and {END}")
    before, after = text.split(BEGIN, 1)[0], text.split(END, 1)[1]
    path.write_text(before + BEGIN + "\n" + markdown(results) + "\n" + END + after)


def save(path, results):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
