"""Run a command, its output in a file, and print what it took: seconds, the memory of its largest process in bytes, exit code.

It is a program of its own because a process begins with the peak memory of the one that started it, and that of the
benchmarks may be larger than what is measured.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    start = time.perf_counter()
    with Path(sys.argv[1]).open("w") as output:
        code = subprocess.call(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(json.dumps([seconds, peak * (1 if sys.platform == "darwin" else 1024), code]))
