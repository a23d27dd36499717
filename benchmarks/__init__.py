"""Speed, as ratios measured side by side in one run; ``python -m benchmarks.run``.

One thread: the variables are set here, before NumPy loads its libraries, and reach the workers too.
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
