"""The paper's Section V again: every table and figure, its numbers beside ours.

``scripts/reproduce.py`` is its face. Jobs are done in any order and kept one by one (``working``);
what they reached becomes one raw file (``raw``), and page and figures are made of that alone
(``page``). What the paper prints stands in ``published``.
"""
