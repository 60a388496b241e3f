"""Build the book: `python -m latent_factors.book`."""

import sys

from latent_factors.book.site import main
from latent_factors.errors import tell

if __name__ == "__main__":
    sys.exit(tell(main))
