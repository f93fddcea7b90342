"""A collector of traces: takes OTLP over HTTP as protobuf, and decodes what it was sent.

Written against the published protocol (opentelemetry-proto) only; shares no code with the service.
"""
import http.server
import threading
import time


def fields(data):
    """(number, value) of a protobuf message: ints for numbers, bytes for everything with a length."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = varint()
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            yield number, varint()
        elif kind == 1:
            yield number, int.from_bytes(data[at:at + 8], "little")
            at += 8
        elif kind == 2:
            length = varint()
            yield number, data[at:at + length]
            at += length
        elif kind == 5:
            yield number, int.from_bytes(data[at:at + 4], "little")
            at += 4
        else:
            raise ValueError(f"no protobuf: wire type {kind}")


def all_of(data, number):
    return [value for n, value in fields(data) if n == number]


def attributes(pairs):
    found = {}
    for pair in pairs:
        [key] = all_of(pair, 1)
        [value] = all_of(pair, 2)
        [(kind, value)] = list(fields(value))
        found[key.decode()] = value.decode() if kind == 1 else value
    return found


def spans_of(body):
    """The spans of an ExportTraceServiceRequest."""
    for resource_spans in all_of(body, 1):
        [resource] = all_of(resource_spans, 1)
        service = attributes(all_of(resource, 1)).get("service.name")
        for scope_spans in all_of(resource_spans, 2):
            for span in all_of(scope_spans, 2):
                first = {n: v for n, v in reversed(list(fields(span)))}
                yield {
                    "service": service, "trace": first[1].hex(), "id": first[2].hex(), "parent": first.get(4, b"").hex(),
                    "name": first[5].decode(), "start": first[7], "end": first[8], "attributes": attributes(all_of(span, 9)),
                }


class Collector:
    """Listens on a free port until it is closed."""

    def __init__(self):
        self.spans, self.bodies, self.wrong = [], [], []
        self.changed = threading.Condition()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with collector.changed:
                    if self.path != "/v1/traces" or self.headers["Content-Type"] != "application/x-protobuf":
                        collector.wrong.append((self.path, self.headers["Content-Type"]))
                    collector.bodies.append(body)
                    collector.spans += spans_of(body)
                    collector.changed.notify_all()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def until(self, found, bound_s=60):
        """The spans, once `found` says that they are there."""
        deadline = time.monotonic() + bound_s
        with self.changed:
            while not found(self.spans):
                if not self.changed.wait(max(0, deadline - time.monotonic())) and time.monotonic() >= deadline:
                    raise AssertionError(f"not within {bound_s} s; there are only {[(s['name'], s['trace']) for s in self.spans]}")
            return list(self.spans)

    def close(self):
        self.server.shutdown()
