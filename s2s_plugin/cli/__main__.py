"""``python -m s2s_plugin.cli``."""

import sys

from s2s_plugin.cli import main

if __name__ == "__main__":
    sys.exit(main())
