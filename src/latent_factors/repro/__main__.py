"""Make what is not up to date: `python -m latent_factors.repro`."""

import sys

from latent_factors.errors import tell
from latent_factors.repro import run

if __name__ == "__main__":
    sys.exit(tell(lambda: run(sys.argv[1:])))
