"""The paper's equations as pure functions over NumPy arrays or torch tensors, batch axes first."""
