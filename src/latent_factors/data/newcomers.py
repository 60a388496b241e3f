"""Hold out items and events: validation and test see items that training has, and items that it lacks."""

import numpy as np

from latent_factors.data.splits import Parts
from latent_factors.data.table import Interactions
from latent_factors.errors import UserError
from latent_factors.sections import NewItems


def split_with_new_items(interactions: Interactions, settings: NewItems) -> Parts:
    """Cut the events: those of two shares `items` of the items, drawn with `seed`, are validation and test.

    Of all other events the shares `validation` and `test` go there too, drawn with the same seed.

    Raises UserError when a part lacks items of either kind.
    """
    generator = np.random.default_rng(settings.seed)
    codes = interactions.item.codes
    present = np.unique(codes)
    drawn, held = generator.permutation(present), round(settings.items * len(present))
    group = np.zeros(len(interactions.item.categories), np.int8)
    group[drawn[:held]], group[drawn[held : 2 * held]] = 2, 1
    part = group[codes]
    old = generator.permutation(np.flatnonzero(part == 0))
    test, validation = (round(share * len(old)) for share in (settings.test, settings.validation))
    part[old[:test]], part[old[test : test + validation]] = 2, 1
    parts = Parts(*(np.flatnonzero(part == number) for number in range(3)))
    seen = np.isin(codes, codes[parts.train])
    for name, rows in (("validation", parts.validation), ("test", parts.test)):
        if not seen[rows].any() or seen[rows].all():
            raise UserError(
                f"{interactions.dataset}: {name} has not both items that training has and items that it lacks; choose"
                " larger shares or more data"
            )
    return parts
