"""The picture of docs/performance.md: one block of bars per case, an SVG without anything around it.

Bars of a block share a scale. The service's bars have the accent colour. Colours follow the
reader's light or dark setting; the background is left to the page.
"""
import pathlib
from xml.sax.saxutils import escape

from .report import done, megabytes

WIDTH, LABEL, RIGHT, BAR, GAP = 760, 150, 190, 15, 5
STYLE = """
  .t { font: 600 13px system-ui, sans-serif; fill: #1f2328 }
  .l { font: 12px system-ui, sans-serif; fill: #424a53 }
  .n { font: 12px system-ui, sans-serif; fill: #57606a }
  .us { fill: #0f766e } .peer { fill: #c3cad2 }
  .ours { font-weight: 600; fill: #0f766e }
  @media (prefers-color-scheme: dark) {
    .t { fill: #e6edf3 } .l { fill: #b6bec7 } .n { fill: #9aa4ae }
    .us { fill: #2dd4bf } .peer { fill: #4a535d } .ours { fill: #5eead4 }
  }
"""
SHOWN = ["full", "plain", "wide", "date", "amount", "participant", "payment", "many", "posts"]


def bars(case):
    """(who, ours, length, text) of those that ran, the service first, then by speed."""
    results = done(case, "service") + sorted(done(case, "peer"), key=lambda r: r.get("median_s", 0))
    for r in results:
        ours = r["role"] == "service"
        if "median_per_second" in r:
            yield r["who"], ours, r["median_per_second"], f"{r['median_per_second']:,.0f} per second"
        elif case.get("unit") == "ms":
            yield r["who"], ours, r["median_s"], f"{r['median_s'] * 1000:.1f} ms"
        else:
            yield r["who"], ours, r["median_s"], f"{r['median_s']:.2f} s · {megabytes(r['bytes'])} MB"


def draw(results):
    """The SVG text."""
    parts, y = [], 4
    for name in SHOWN:
        case = results["cases"].get(name)
        found = list(bars(case)) if case else []
        if not any(ours for _, ours, _, _ in found):
            continue
        y += 18
        rows = f" ({case['rows']:,} row{'' if case['rows'] == 1 else 's'})" if case.get("rows") else ""
        better = "more is better" if case.get("unit") == "per second" else "less is better"
        parts.append(f'<text class="t" x="0" y="{y}">{escape(case["title"] + rows)}<tspan class="n" font-weight="400" dx="8">{better}</tspan></text>')
        y += 9
        # One that is far behind would leave nothing of the others: its bar is broken.
        lengths = sorted(length for _, _, length, _ in found)
        longest = lengths[-1] if len(lengths) < 3 or lengths[-1] < 2.5 * lengths[-2] else 1.25 * lengths[-2]
        for who, ours, length, text in found:
            width = (WIDTH - LABEL - RIGHT) * min(1.0, max(0.005, length / longest))
            broken = length > longest
            middle = y + BAR - 3.5
            parts.append(f'<text class="l{" ours" if ours else ""}" x="{LABEL - 8}" y="{middle}" text-anchor="end">{escape(who)}</text>')
            colour = "us" if ours else "peer"
            for start, end in [(0, width - 34), (width - 28, width)] if broken else [(0, width)]:
                parts.append(f'<rect class="{colour}" x="{LABEL + start:.1f}" y="{y}" width="{end - start:.1f}" height="{BAR}" rx="2"/>')
            parts.append(f'<text class="n{" ours" if ours else ""}" x="{LABEL + width + 8:.1f}" y="{middle}">{escape(text)}</text>')
            y += BAR + GAP
        y += 14
    title = f"{results['rows']:,} payments exported by payouts and by other tools"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img" aria-label="{escape(title)}">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def write(path, results):
    pathlib.Path(path).write_text(draw(results))
