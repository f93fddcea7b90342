"""One trace shows a request from its POST to its file, also over a restart: as a collector sees it.

traces.py BINARY WORK. The binary must be built with the feature `otel`.
"""
import json
import os
import pathlib
import sys
import urllib.parse

from faulty import Place, demand
from otlp import Collector

CALLER = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
SECOND = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
PLANTED = "Unobtainium-Trace-4711"


def post(place, filter_text, parent=None):
    header = {"traceparent": f"00-{parent[0]}-{parent[1]}-01"} if parent else {}
    status, _, text = place.call("POST", "/v1.0/payouts/payments?" + urllib.parse.urlencode({"$filter": filter_text, "fileFormat": "csv"}), header)
    demand(status == 202, "POST:", status, text)
    return json.loads(text)["requestId"]


def attempt_of(spans, export):
    return [s for s in spans if s["name"] == "attempt" and s["attributes"].get("export.id") == export]


def tree(spans, trace):
    """{name: span} of a trace, and the same span's parent by name."""
    ours = [s for s in spans if s["trace"] == trace]
    names = {s["id"]: s["name"] for s in ours}
    return {s["name"]: (s, names.get(s["parent"])) for s in ours}


def one_trace(collector, place):
    export = post(place, f"programName ne '{PLANTED}'", CALLER)
    demand(place.until_ended(export)["status"] == "Completed", "it did not complete")
    spans = collector.until(lambda spans: attempt_of(spans, export))
    found = tree(spans, CALLER[0])
    demand(all(s["service"] == "payouts" for s in spans), "from", {s["service"] for s in spans})
    request = [s for s in spans if s["trace"] == CALLER[0] and s["name"] == "request"]
    demand([s["parent"] for s in request] == [CALLER[1]], "the request's parent is not the caller's span:", request)
    demand(request[0]["attributes"]["http.route"].endswith("/payouts/{report}"), request[0])
    parents = {"attempt": "request", "plan": "attempt", "count": "attempt", "write": "attempt", "seal": "attempt", "engine.run": "count", "package": "write"}
    for name, parent in parents.items():
        demand(name in found, name, "is not in the trace, only", sorted(found))
        demand(found[name][1] == parent, name, "has the parent", found[name][1], "and not", parent)
        span = found[name][0]
        demand(span["start"] <= span["end"], span)
    demand(int(found["engine.run"][0]["attributes"]["rows"]) > 0, "no rows:", found["engine.run"][0])
    return len(found)


def a_trace_of_its_own(collector, place):
    export = post(place, "paymentAmount gt 10")
    place.until_ended(export)
    spans = collector.until(lambda spans: attempt_of(spans, export))
    [attempt] = attempt_of(spans, export)
    [request] = [s for s in spans if s["id"] == attempt["parent"]]
    demand(request["name"] == "request" and request["parent"] == "" and request["trace"] == attempt["trace"], "not one trace:", request, attempt)
    demand(attempt["trace"] not in (CALLER[0], SECOND[0]), attempt)


def over_a_restart(collector, place):
    """Accepted by a process that makes nothing, made by the next one."""
    config = place.config.read_text()
    place.config.write_text(config.replace("workers = 2", "workers = 0"))
    demand(place.start(), "it does not start")
    export = post(place, "paymentAmount gt 20", SECOND)
    place.stop()
    place.config.write_text(config)
    demand(place.start(), "it does not start any more")
    place.until_ended(export)
    spans = collector.until(lambda spans: attempt_of(spans, export))
    found = tree(spans, SECOND[0])
    demand(found["attempt"][1] == "request" and found["request"][0]["parent"] == SECOND[1], "the trace broke at the restart:", sorted(found))


def main():
    binary, work = sys.argv[1], pathlib.Path(sys.argv[2])
    work.mkdir(parents=True)
    collector = Collector()
    os.environ |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    place = Place(binary, work / "data", work / "log")
    place.make(30_000)
    demand(place.start(), "it does not start")
    names = one_trace(collector, place)
    a_trace_of_its_own(collector, place)
    place.stop()
    over_a_restart(collector, place)
    # The last spans leave when it stops.
    export = post(place, "paymentAmount gt 30")
    place.until_ended(export)
    place.stop()
    demand(attempt_of(collector.spans, export), "the last spans were not sent")
    demand(not collector.wrong, "sent elsewhere:", collector.wrong)
    bodies = b"".join(collector.bodies)
    for secret in (PLANTED, place.token, place.token.split(".")[1]):
        demand(secret.encode() not in bodies, secret, "was sent to the collector")
    # A collector that is out of reach costs spans, never a request.
    collector.close()
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:9"
    demand(place.start(), "it does not start without a collector")
    demand(place.until_ended(post(place, "paymentAmount gt 40"))["status"] == "Completed", "it did not complete without a collector")
    place.stop()
    print(f"{len(collector.spans)} spans in {len(collector.bodies)} messages; {names} names in the trace of a request")


if __name__ == "__main__":
    main()
