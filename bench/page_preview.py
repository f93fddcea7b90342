#!/usr/bin/env python3
"""Times the export page's previews as a browser asks for them.

page_preview.py BINARY DATA [--runs 15] [--tenant preview]

Serves DATA (a ledger of `payouts sample --rows 10000000`) on a free port, signs in as somebody who
may see everything and as somebody who may see a few participants, and asks for previews of usual
choices: `POST /preview/panel`, from the first byte sent to the last byte read. Prints JSON:
milliseconds, the first of each kind apart, since it finds nothing in the caches of the service. The first
page of whoever sees everything is timed before anything is known, and the lists that it asks for then.
Last, a preview of everything is given up by closing its connection: processor time of the service until
then and in the second after it, beside that of the whole preview.
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

from payouts_bench import machine
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
        self.looking = "data-looking" in page
        self.csrf = re.search(r'name="csrf" value="([^"]+)"', page).group(1)

    def post(self, connection, path, fields):
        """Sends the form."""
        body = urllib.parse.urlencode([("csrf", self.csrf), *fields])
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": self.cookie, "Accept": "application/json"}
        connection.request("POST", path, body, headers)

    def lists(self):
        """What the page's script does when the page came before the lists were known."""
        began = time.perf_counter()
        self.post(self.connection, "/form/controls", [("report", "payments")])
        answer = self.connection.getresponse()
        content = answer.read().decode()
        assert answer.status == 200 and "data-looking" not in content, content
        return (time.perf_counter() - began) * 1000

    def given_up(self, fields, pid, after_s):
        """Processor time until a preview is given up, and in a second after it."""
        connection = http.client.HTTPConnection(self.connection.host, self.connection.port, timeout=60)
        before = cpu_ms(pid)
        self.post(connection, "/preview/panel", fields)
        time.sleep(after_s)
        then = cpu_ms(pid)
        connection.close()
        time.sleep(1)
        return {"until_ms": then - before, "after_ms": cpu_ms(pid) - then}

    def preview(self, fields):
        began = time.perf_counter()
        self.post(self.connection, "/preview/panel", fields)
        answer = self.connection.getresponse()
        content = answer.read()
        took = (time.perf_counter() - began) * 1000
        assert answer.status == 200, content
        view = json.loads(content)
        assert view.get("html"), view
        return took, int(re.search(r"<dt>Rows</dt><dd><data value=\"(\d+)\"", view["html"]).group(1))


def cpu_ms(pid):
    """Processor time of a process so far, of its kernel part too."""
    return round(machine.cpu_seconds(pid) * 1000)


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
    with served(args.binary, args.data) as (url, pid):
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
        found = {
            "first_page": {
                user: {"ms": round(desk.page_ms, 1), "with_lists": not desk.looking, "lists_ms": round(desk.lists(), 1)}
                for user, desk in desks.items()
            },
            "previews": {},
        }
        for name, (user, fields) in choices.items():
            first, rows = desks[user].preview(fields)
            runs = sorted(desks[user].preview(fields)[0] for _ in range(args.runs))
            found["previews"][name] = {
                "rows": rows,
                "first_ms": round(first, 1),
                "median_ms": round(statistics.median(runs), 1),
                "most_ms": round(runs[-1], 1),
            }
        everything = report + [("period", "any")]
        before = cpu_ms(pid)
        desks["all"].preview(everything + [("timeZone", "Europe/Berlin")])
        found["given_up"] = {"whole_ms": cpu_ms(pid) - before}
        for after_s, zone in [(0.1, "Europe/Paris"), (0.3, "Europe/Rome"), (1.0, "Europe/Madrid")]:
            found["given_up"][f"after {after_s} s"] = desks["all"].given_up(everything + [("timeZone", zone)], pid, after_s)
        json.dump(found, sys.stdout, indent=2)
        print()


if __name__ == "__main__":
    main()
