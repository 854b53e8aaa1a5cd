"""What the commands do, each as one call: spec -> plan -> trainer -> store -> report."""
