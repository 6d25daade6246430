"""``python -m evomerge``."""

import sys

from evomerge.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
