"""The paper's Section V again, and the pages of results: every number of theirs comes from here.

Section V: ``paper`` (what it prints), ``jobs`` (what is run), ``measurements`` (what is measured
beside the runs), ``raw`` (what is kept), ``section_five`` (the page), ``main`` (the command).
Other pages: ``variants``, ``learners``, ``regimes``, ``games``, ``tune``; ``summary`` for README.
Raw figures lie in ``results``, prose in ``templates``.
"""

import os

# One thread in each process: runs lie side by side, and their seconds are compared. Libraries read
# this when they load, and processes that this one begins inherit it.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
