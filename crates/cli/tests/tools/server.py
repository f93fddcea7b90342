"""Starts the real binary over a data folder, for tools that need a running service."""
import contextlib
import pathlib
import re
import signal
import subprocess
import threading


@contextlib.contextmanager
def serving(binary, data, *more):
    """Yields (url, process, token); the service is stopped at the end."""
    data = pathlib.Path(data)
    subprocess.run([binary, "grant", "--data", data, "--tenant", "tools", "--all-participants"], check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    token = subprocess.run([binary, "token", "--data", data, "--tenant", "tools", "--principal", "tool", "--minutes", "600"], check=True, capture_output=True, text=True).stdout.strip()
    process = subprocess.Popen([binary, "serve", "--data", data, "--dev", "--listen", "127.0.0.1:0", "--admin-listen", "none", *more], stderr=subprocess.PIPE, text=True)
    try:
        url = None
        for line in process.stderr:
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            if found:
                url = found.group(0)
                break
        assert url, "the service did not say where it listens"
        threading.Thread(target=lambda: [None for _ in process.stderr], daemon=True).start()
        yield url, process, token
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def peak_mb(process):
    """Peak resident memory so far, in MB."""
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) / 1000
