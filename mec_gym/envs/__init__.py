"""Faces of the world: Gymnasium Env, native vector env, PettingZoo ParallelEnv, wrappers."""
