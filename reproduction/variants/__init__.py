"""DIRS in all its variants: what each reaches, and what each of the paper's ideas adds.

``dirs_results.py`` is its face. Runs are named in ``runs``, carried out and kept one by one
(``working``); the page and README's table (``page``) are made of what they reached and of the rules
measured beside them (``rules``). ``ablations`` judges each idea by paired differences.
"""
