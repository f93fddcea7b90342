#!/usr/bin/env python3
"""Times the export page's list with many requests in it, in a browser.

page_list.py BINARY MODULES [--requests 1000] [--chromium /usr/bin/chromium]

Makes a small ledger, asks for that many exports, and opens the page by playwright-core (MODULES is the
folder that has node_modules): from asking for the page to the end of its load, the longest task of its
scripts, frames while the page is scrolled from top to bottom, a page further, narrowing by a text, and
what one change of the list costs. Prints JSON, milliseconds.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

from served import served

DRIVE = pathlib.Path(__file__).with_name("page_list.mjs")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("modules")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = f"{folder}/data"
        def run(*command):
            return subprocess.run([args.binary, *command], check=True, capture_output=True, text=True).stdout

        run("sample", "--data", data, "--rows", "2000")
        run("grant", "--data", data, "--tenant", "contoso", "--principal", "ann", "--all-participants")
        token = run("token", "--data", data, "--tenant", "contoso", "--principal", "ann").strip().splitlines()[-1]
        with served(args.binary, data) as (url, _):
            for n in range(args.requests):
                ask(url, token, n)
            drive = ["node", str(DRIVE), args.modules, json.dumps({"url": url, "token": token, "chromium": args.chromium, "requests": args.requests})]
            done = subprocess.run(drive, capture_output=True, text=True)
            sys.stderr.write(done.stderr)
            print(done.stdout, end="")
            sys.exit(done.returncode)


def ask(url, token, n):
    query = urllib.parse.urlencode({"$filter": f"paymentAmount ge {n}", "fileFormat": "csv"})
    request = urllib.request.Request(f"{url}/v1.0/payouts/payments?{query}", method="POST", headers={"Authorization": f"Bearer {token}"})
    while True:
        try:
            urllib.request.urlopen(request).read()
            return
        except urllib.error.HTTPError as refused:
            if refused.code != 429:
                raise SystemExit(f"{refused.code}: {refused.read().decode()}") from refused
            time.sleep(float(refused.headers.get("Retry-After", 1)))


if __name__ == "__main__":
    main()
