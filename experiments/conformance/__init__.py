"""Whether an algorithm of anyone's fits the harness, one sentence per fault."""
