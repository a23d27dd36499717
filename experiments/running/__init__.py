"""One run: its folder, training with checkpoints, and measuring on frozen slots."""
