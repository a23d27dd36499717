"""Many runs, in processes of one machine or on a Ray cluster."""
