"""The backend of a training script of the user's own: no framework, and so nothing to choose or to ask."""
