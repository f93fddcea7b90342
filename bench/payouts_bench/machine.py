"""What the figures were taken on, and how processes are measured from outside."""
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import time

TICK = os.sysconf("SC_CLK_TCK")


def describe():
    cpu = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    memory_kb = int(re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1))
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": cpu,
        "memory_gb": round(memory_kb / 1e6, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def say(text):
    print(text, file=sys.stderr, flush=True)


def quiet_disk():
    """Nothing of an earlier run is still to be written when the next one begins."""
    os.sync()


def reset_peak(pid):
    try:
        pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError:
        pass


def peak_mb(pid):
    return int(re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) / 1000


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def run_measured(command, log, **options):
    """Runs to the end: seconds of wall time, CPU seconds, peak memory. Raises with the last words.

    The peak is looked up while it runs: the system's own account of a child begins with the
    parent's size.
    """
    peak = 0.0
    with open(log, "wb") as out:
        start = time.perf_counter()
        process = subprocess.Popen([str(c) for c in command], stdout=out, stderr=out, stdin=subprocess.DEVNULL, **options)
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            seconds = time.perf_counter() - start
            if pid:
                break
            try:
                peak = peak_mb(process.pid)
            except (OSError, AttributeError):
                pass  # It is just ending.
            time.sleep(0.003)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{pathlib.Path(str(command[0])).name} {command[1]} ended with {process.returncode}: {last_words(log)}")
    return {"seconds": seconds, "cpu": usage.ru_utime + usage.ru_stime, "peak_mb": peak}


def last_words(log):
    return pathlib.Path(log).read_text(errors="replace").strip()[-1500:]


def need_space(folder, needed_bytes):
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        sys.exit(
            f"the bench needs about {needed_bytes / 1e9:.0f} GB in {folder}, where {free / 1e9:.0f} GB are free: "
            "give another folder with --work, or fewer rows with --rows and --earnings"
        )


def warm(files):
    """Everybody reads from the page cache."""
    for file in files:
        with open(file, "rb", buffering=0) as data:
            while data.read(1 << 22):
                pass
