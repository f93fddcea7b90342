"""The service over a data folder, as the scripts that time its page start it."""
import contextlib
import subprocess
import threading


@contextlib.contextmanager
def served(binary, data):
    """The URL and the process id of a development service on a free port; it ends with the block."""
    serve = [binary, "serve", "--dev", "--data", data, "--listen", "127.0.0.1:0", "--admin-listen", "none"]
    server = subprocess.Popen(serve, stderr=subprocess.PIPE, text=True)
    try:
        url = next(line.split(" ")[-1].strip() for line in server.stderr if line.startswith("listening on "))
        # Its log has to go somewhere, or it would wait.
        threading.Thread(target=server.stderr.read, daemon=True).start()
        yield url, server.pid
    finally:
        server.terminate()
        server.wait()
