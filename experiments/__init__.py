"""Train any algorithm, measure it on frozen slots, compare the results."""
