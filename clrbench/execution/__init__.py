"""Planned runs -> run files: trained in worker processes, stretch by stretch, with checkpoints between them."""
