#!/usr/bin/env python3
"""Times the export page's previews as a browser asks for them.

page_preview.py BINARY DATA [--runs 15] [--tenant preview]

Serves DATA (a ledger of `payouts sample --rows 10000000`) on a free port, signs in as somebody who
may see everything and as somebody who may see a few participants, and asks for previews of usual
choices: `POST /preview/panel`, from the first byte sent to the last byte read. Prints JSON:
milliseconds, the first of each kind apart, since it finds nothing in the caches of the service.
"""
import argparse
import http.client
import json
import re
import statistics
import subprocess
import sys
import time
import urllib.parse

from served import served

SOME = ["1000042", "1000113", "1000181"]


def grant(binary, data, tenant, principal, participants):
    who = ["--tenant", tenant, "--principal", principal]
    what = [["--participant", p] for p in participants] or [["--all-participants"]]
    for one in what:
        subprocess.run([binary, "grant", "--data", data, *who, *one], check=True, capture_output=True)


class Desk:
    """One user who has the page open."""

    def __init__(self, host, user):
        self.connection = http.client.HTTPConnection(host, timeout=60)
        body = urllib.parse.urlencode({"user": user, "to": "/"})
        self.connection.request("POST", "/sign-in/dev", body, {"Content-Type": "application/x-www-form-urlencoded"})
        answer = self.connection.getresponse()
        answer.read()
        self.cookie = answer.headers["Set-Cookie"].split(";")[0]
        began = time.perf_counter()
        self.connection.request("GET", "/", headers={"Cookie": self.cookie})
        page = self.connection.getresponse().read().decode()
        self.page_ms = (time.perf_counter() - began) * 1000
        self.csrf = re.search(r'name="csrf" value="([^"]+)"', page).group(1)

    def preview(self, fields):
        body = urllib.parse.urlencode([("csrf", self.csrf), *fields])
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": self.cookie, "Accept": "application/json"}
        began = time.perf_counter()
        self.connection.request("POST", "/preview/panel", body, headers)
        answer = self.connection.getresponse()
        content = answer.read()
        took = (time.perf_counter() - began) * 1000
        assert answer.status == 200, content
        view = json.loads(content)
        assert view.get("html"), view
        return took, int(re.search(r"<dt>Rows</dt><dd><data value=\"(\d+)\"", view["html"]).group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("data")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--tenant", default="preview")
    parser.add_argument("--until", default="2026-06-30", help="the sample's last day: previews look back from it")
    args = parser.parse_args()
    grant(args.binary, args.data, args.tenant, "few", SOME)
    grant(args.binary, args.data, args.tenant, "all", [])
    with served(args.binary, args.data) as url:
        host = url.removeprefix("http://")
        year = args.until[:4]
        months = [("period", "between"), ("from", f"{int(year) - 1}{args.until[4:]}"), ("to", args.until)]
        some = [("participant", p) for p in SOME]
        report = [("report", "payments")]
        choices = {
            "few: all of theirs, 12 months": ("few", report + months),
            "all: three participants, 12 months": ("all", report + some + months),
            "all: one participant, sent, 36 months": ("all", report + some[:1] + [("period", "36-months"), ("value.paymentStatus", "SENT")]),
            "all: three participants, any time": ("all", report + some + [("period", "any")]),
            "all: every participant, 12 months": ("all", report + months),
            "all: every participant, one program, 12 months": ("all", report + months + [("value.programName", "CSP Direct Bill Partner")]),
            "all: everything": ("all", report + [("period", "any")]),
        }
        desks = {user: Desk(host, f"{user}@{args.tenant}") for user in ("few", "all")}
        found = {"first_page_ms": {user: round(desk.page_ms, 1) for user, desk in desks.items()}, "previews": {}}
        for name, (user, fields) in choices.items():
            first, rows = desks[user].preview(fields)
            runs = sorted(desks[user].preview(fields)[0] for _ in range(args.runs))
            found["previews"][name] = {
                "rows": rows,
                "first_ms": round(first, 1),
                "median_ms": round(statistics.median(runs), 1),
                "most_ms": round(runs[-1], 1),
            }
        json.dump(found, sys.stdout, indent=2)
        print()


if __name__ == "__main__":
    main()
