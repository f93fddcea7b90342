"""Requests that schemathesis makes up from /openapi.json, good and bad: every answer must be one
that the document has, none may be a 5xx.

made_up_requests.py URL TOKEN SECONDS SEED

All of its checks run. One is told more: whatever fits the schema of a filter (any text) may still
be no filter, so 400 is a right answer to it. Links are signed, so a second run gets the parts of a
real one and makes up only headers.
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request

url, token, seconds, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
BODY_OR_FILTER = ["create_payments", "create_transactionhistory", "preview_payments", "preview_transactionhistory"]
# What valid data may get: the tool's own list, and 400 where a filter is a parameter.
USUAL = ["2xx", "3xx", "401", "403", "404", "409", "429", "5xx"]


def call(method, path):
    request = urllib.request.Request(url + path, method=method, headers={"Authorization": f"Bearer {token}", "Prefer": "wait=60"})
    with urllib.request.urlopen(request, timeout=90) as answer:
        return json.load(answer)


def run(folder, config, arguments, budget):
    path = pathlib.Path(folder) / "schemathesis.toml"
    path.write_text(config)
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(path), "run", f"{url}/openapi.json",
               "--header", f"Authorization: Bearer {token}", "--checks", "all", "--continue-on-failure", "--no-color",
               "--seed", seed, "--max-time", str(budget), "--generation-database", "none", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=budget + 120)
    print(done.stdout[-20000:], done.stderr[-4000:])
    return done.returncode


asked = call("POST", "/v1.0/payouts/payments?fileFormat=csv")
path = "/v1.0/payouts/payments/" + asked["requestId"]
export = call("GET", path)
while export["status"] not in ("Completed", "Failed"):
    export = call("GET", path)
link = urllib.parse.urlsplit(export["blobLocation"])
_, _, file, name = link.path.split("/")
parts = {"file": file, "name": name, **dict(urllib.parse.parse_qsl(link.query))}

quoted = json.dumps
operations = f"""
[[operations]]
include-operation-id = {quoted(BODY_OR_FILTER)}
[operations.checks.positive_data_acceptance]
expected-statuses = {quoted(USUAL + ["400"])}
"""
# Conditions and ranges are good headers that a file may not meet.
linked = f"""
[[operations]]
include-tag = "files"
[operations.checks.positive_data_acceptance]
expected-statuses = {quoted(USUAL + ["412", "416"])}
[operations.parameters]
""" + "".join(f"{quoted(n)} = {quoted(v)}\n" for n, v in parts.items())
with tempfile.TemporaryDirectory() as folder:
    failed = run(folder, operations, [], seconds)
    failed |= run(folder, linked, ["--include-tag", "files", "--phases", "coverage,fuzzing"], max(10, seconds // 6))
sys.exit(1 if failed else 0)
