"""The bake-off of rate finders: clrbench against the finders of torch-lr-finder, fastai and Lightning, scored by training."""
