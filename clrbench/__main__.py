"""`python -m clrbench` is the command `clrbench`."""

from clrbench.cli import main

if __name__ == "__main__":
    main(prog_name="clrbench")
