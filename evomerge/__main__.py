"""``python -m evomerge``."""

import sys

from evomerge.app.cli import main

if __name__ == "__main__":
    sys.exit(main())
