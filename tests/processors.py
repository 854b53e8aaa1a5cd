"""Run the tests of the backends as other processors would, and on another seed of all that they draw.

The frameworks choose their arithmetic by what the processor can do, and can be told to make do with less. Arguments are
passed on to pytest.
"""

import os
import subprocess
import sys

NO_VECTORS = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE"}
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"}
ANOTHER_SEED = {"CLRBENCH_TEST_SEED": "1"}

SETTINGS = [NO_VECTORS, AVX2, ANOTHER_SEED, NO_VECTORS | ANOTHER_SEED]

if __name__ == "__main__":
    failed = 0
    for setting in SETTINGS:
        print(*(f"{name}={value}" for name, value in setting.items()), flush=True)
        pytest = [sys.executable, "-m", "pytest", "-q", "-n", "2"]
        command = [*pytest, "tests/backends", "tests/test_parity.py", *sys.argv[1:]]
        failed |= subprocess.run(command, env=os.environ | setting, check=False).returncode
    sys.exit(failed)
