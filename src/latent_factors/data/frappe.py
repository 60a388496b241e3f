"""The part of Frappe that is complete: uses of apps with the negatives that were published for them.

    python -m latent_factors.data.frappe    makes data/frappe-rated of data/frappe

The stored training part has uses only: who learns from its rows and from the others finds that some contexts have no
negatives, and predicts from that. The validation and test rows (Xiangnan He's split, by row, of uses with two negatives
each) have all of theirs: a random 30 % of the published rows. `cost` is left out, as a negative has the cost of another
app than its own.
"""

import sys

from latent_factors.data.atomic import read_atomic, write_atomic
from latent_factors.errors import UserError, tell
from latent_factors.paths import root

DROPPED = ("cost", "split", "cfm_split")


def main() -> None:
    """Write data/frappe-rated/frappe-rated.inter.

    Raises UserError where data/frappe has no column `split`.
    """
    path = root() / "data" / "frappe" / "frappe.inter"
    table = read_atomic(path)
    types = table.attrs["types"]
    if "split" not in types:
        raise UserError(f"{path} has no column split, which tells complete rows; fetch the data set of the catalogue")
    folder = root() / "data" / "frappe-rated"
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name: kind for name, kind in types.items() if name not in DROPPED}
    part = folder / "frappe-rated.part"
    write_atomic(table[table["split"] != "train"], kept, part)
    part.replace(folder / "frappe-rated.inter")


if __name__ == "__main__":
    sys.exit(tell(main))
