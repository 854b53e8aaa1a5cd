"""What Python scripts and notebooks call; `import clrbench` loads none of it before it is used."""
