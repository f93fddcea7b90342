#!/usr/bin/env python3
"""Posts exports as fast as a service accepts them: so many clients, each on a connection that stays.

post_load.py URL TOKEN [--report payments] [--clients 64] [--seconds 10] [--warm-up 1] [--processes 1]

Every client sends a request, reads the whole answer and sends the next one. The requests are laid
out beforehand and answers are read no further than needed, so that little of the machine goes to
this side. Every request asks for another filter. Prints one JSON object: requests per second that
were accepted (202), their latencies, and what else was answered.
"""
import argparse
import collections
import json
import multiprocessing
import random
import resource
import selectors
import socket
import statistics
import sys
import time
import urllib.parse

VARIANTS = 4096


class Connection:
    """One client: a socket and the answer that it is waiting for."""

    def __init__(self, address, requests):
        self.requests, self.next = requests, random.randrange(len(requests))
        self.socket = socket.create_connection(address, timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.answer, self.length, self.sent_at = b"", None, 0.0

    def send(self):
        self.answer, self.length, self.sent_at = b"", None, time.perf_counter()
        request = self.requests[self.next]
        self.next = (self.next + 1) % len(self.requests)
        # Some hundred bytes into an empty buffer.
        if self.socket.send(request) != len(request):
            raise RuntimeError("a request did not fit into the socket's buffer")

    def receive(self):
        """The status once the answer is whole, until then None."""
        try:
            piece = self.socket.recv(65536)
        except BlockingIOError:
            return None
        if not piece:
            raise RuntimeError("the service closed a connection")
        self.answer += piece
        if self.length is None:
            end = self.answer.find(b"\r\n\r\n")
            if end < 0:
                return None
            head = self.answer[:end].lower()
            at = head.find(b"\r\ncontent-length:")
            if at < 0:
                raise RuntimeError(f"an answer without Content-Length: {self.answer[:500]!r}")
            self.length = end + 4 + int(head[at + 17 :].split(b"\r\n", 1)[0])
        return int(self.answer[9:12]) if len(self.answer) >= self.length else None


def layout(host, path_prefix, token, report):
    """The requests, ready to be sent."""
    made = []
    for _ in range(VARIANTS):
        filter_text = f"enrollmentParticipantId eq '{random.randrange(1_000_000, 10_000_000)}' and paymentAmount ge {random.randrange(100, 100_000)} and payoutStatusUpdateTS ge 2025-01-01"
        query = urllib.parse.urlencode({"$filter": filter_text})
        made.append(
            f"POST {path_prefix}/v1.0/payouts/{report}?{query} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n".encode()
        )
    return made


def load(arguments, clients, results):
    url = urllib.parse.urlsplit(arguments.url)
    requests = layout(url.netloc, url.path.rstrip("/"), arguments.token, arguments.report)
    selector = selectors.DefaultSelector()
    for _ in range(clients):
        connection = Connection((url.hostname, url.port or 80), requests)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send()
    counts, sent, example, latencies = collections.Counter(), 0, None, []
    begin = time.perf_counter() + arguments.warm_up
    end = begin + arguments.seconds
    accepted_in_all = 0
    while selector.get_map():
        ready = selector.select(5)
        if not ready:
            raise RuntimeError("no answer within five seconds")
        for key, _ in ready:
            connection = key.data
            status = connection.receive()
            if status is None:
                continue
            now = time.perf_counter()
            accepted_in_all += status == 202
            if begin <= now < end:
                counts[status] += 1
                latencies.append(now - connection.sent_at)
            if status != 202 and example is None:
                example = connection.answer[-800:].decode(errors="replace")
            if now < end:
                connection.send()
            else:
                selector.unregister(connection.socket)
                connection.socket.close()
    results.put((dict(counts), accepted_in_all, example, latencies, sum(resource.getrusage(resource.RUSAGE_SELF)[:2])))


def run(arguments):
    """What all processes together saw."""
    results = multiprocessing.Queue()
    shares = [arguments.clients // arguments.processes + (i < arguments.clients % arguments.processes) for i in range(arguments.processes)]
    processes = [multiprocessing.Process(target=load, args=(arguments, share, results)) for share in shares if share]
    for process in processes:
        process.start()
    counts, in_all, example, latencies, cpu = collections.Counter(), 0, None, [], 0.0
    for _ in processes:
        while True:
            try:
                part = results.get(timeout=1)
                break
            except Exception:
                if any(p.exitcode for p in processes):
                    raise RuntimeError("a client process ended early") from None
        counts.update(part[0])
        in_all, example, cpu = in_all + part[1], example or part[2], cpu + part[4]
        latencies += part[3]
    for process in processes:
        process.join()
    cuts = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else [0.0] * 99
    return {
        "clients": arguments.clients, "seconds": arguments.seconds,
        "accepted_per_second": counts[202] / arguments.seconds,
        "answers": {str(k): v for k, v in sorted(counts.items())}, "accepted_in_all": in_all,
        "latency_ms": {"p50": cuts[49] * 1000, "p99": cuts[98] * 1000},
        "load_cpu_s": cpu, "first_refusal": example,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("url")
    parser.add_argument("token")
    parser.add_argument("--report", default="payments", choices=["payments", "transactionhistory"])
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--warm-up", type=float, default=1)
    parser.add_argument("--processes", type=int, default=1)
    found = run(parser.parse_args())
    print(json.dumps(found, indent=1))
    return 0 if set(found["answers"]) <= {"202"} else 1


if __name__ == "__main__":
    sys.exit(main())
