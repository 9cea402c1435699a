"""``python -m salus``: the same as the program ``salus``."""

from salus.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
