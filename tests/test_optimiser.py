"""Adam gives torch's own bytes, without what torch imports for it; averages are those of paper and pencil."""

import subprocess
import sys

import torch
from torch import nn

from latent_factors.optimiser import Adam, Average

IMPORTED = """
import sys
import torch
from latent_factors.optimiser import Adam
weight = torch.nn.Parameter(torch.ones(2))
adam = Adam([weight], 0.1)
weight.sum().backward()
adam.step()
assert (weight < 1).all()
print("torch._dynamo" in sys.modules)
"""


def test_steps_are_those_of_torch():
    generator = torch.Generator().manual_seed(0)
    ours = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((50, 7), (3,))]
    theirs = [nn.Parameter(weight.detach().clone()) for weight in ours]
    still = nn.Parameter(torch.ones(2), requires_grad=False)
    adam, oracle = Adam([*ours, still], 0.02), torch.optim.Adam(theirs, lr=0.02, fused=True)
    for _ in range(5):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        adam.step()
        oracle.step()
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)
        assert torch.equal(adam.memory[one].mean, oracle.state[other]["exp_avg"])
    assert torch.equal(still, torch.ones(2))
    adam.zero_grad()
    assert all(weight.grad is None for weight in ours)


def test_weights_are_averaged_plainly_at_first_and_then_forgotten():
    moved = nn.Linear(1, 1, bias=False)
    average, means = Average(moved, 0.75), []
    for weight in (4.0, 8.0, 0.0, 8.0, 1.0):
        with torch.no_grad():
            moved.weight.fill_(weight)
        average.step()
        means.append(average.model.weight.item())
    assert means == [4, 6, 4, 5, 4]  # the means of one to four, then 5 · 3/4 + 1/4
    assert moved.weight.item() == 1


def test_the_compiler_stays_out():
    done = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
