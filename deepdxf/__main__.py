"""``python -m deepdxf``."""

from deepdxf.cli import run

if __name__ == "__main__":  # worker processes import this module too
    run()
