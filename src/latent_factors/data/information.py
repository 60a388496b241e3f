"""How much one field of items tells of another."""

import torch
from torch import Tensor

from latent_factors.data.attributes import Side

Values = tuple[Tensor, Tensor]
"""What a field holds in R rows: values (R, W) and their weights (R, W), which sum to 1 in a row."""


def mutual_information(one: Values, other: Values, mass: Tensor) -> Tensor:
    """Return Σ_ab p(a, b) ln (p(a, b) / p(a) p(b)) () in nats between two fields.

    The pair (a, b) is what comes of drawing a row by its mass (R,), and of each field one of its values by its weight.
    """
    share = mass.double() / mass.sum()
    joint = share[:, None, None] * one[1][:, :, None] * other[1][:, None]  # (R, W, W')
    drawn = joint > 0
    joint = joint[drawn]
    pairs = (values.expand_as(drawn)[drawn] for values in (one[0][:, :, None], other[0][:, None]))
    a, b = (values.unique(return_inverse=True)[1] for values in pairs)
    cells, cell = torch.stack([a, b]).unique(dim=1, return_inverse=True)
    p, p_a, p_b = (joint.new_zeros(int(place.max()) + 1).index_add(0, place, joint) for place in (cell, a, b))
    return (p * (p / (p_a[cells[0]] * p_b[cells[1]])).log()).sum()


def between_fields(side: Side, mass: Tensor) -> Tensor:
    """Return the mutual information (1 + F, 1 + F) of the fields of some rows; the first is the row's own id.

    A row without a value in a field has that field's default there. The diagonal is each field's entropy.
    """
    rows = torch.arange(len(side.ids), device=side.ids.device)[:, None]
    fields: list[Values] = [(rows, torch.ones_like(rows))]
    for number, default in enumerate(side.defaults.tolist()):
        columns = side.field == number
        values, held = side.ids[:, columns], side.held[:, columns].double()
        held[:, 0] += ~held.any(1)
        fields.append((values.where(held > 0, default), held / held.sum(1, keepdim=True)))
    pairs = [[mutual_information(one, other, mass) for other in fields] for one in fields]
    return torch.stack([torch.stack(row) for row in pairs])
