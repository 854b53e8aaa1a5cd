"""The Keras backend, on TensorFlow."""
