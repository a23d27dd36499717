"""Statistics of results: intervals, paired differences, tables by scenario and over scenarios."""
