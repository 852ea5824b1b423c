# The learning rates of torch.optim.lr_scheduler by step, a case a line, for schedule_test.cpp:
# the case's name and a rate a step.
import sys
import warnings

import torch
from torch.optim import lr_scheduler as schedulers

warnings.filterwarnings("ignore")
EPOCHS, STEPS = 5, 8
ALL = EPOCHS * STEPS


def rates(make, rate=0.1):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)
    scheduler = make(optimizer)
    result = []
    for _ in range(ALL):
        result.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return result


def warm(make, steps):
    def made(optimizer):
        first = schedulers.LinearLR(optimizer, start_factor=1 / (steps + 1), total_iters=steps)
        return schedulers.SequentialLR(optimizer, [first, make(optimizer)], milestones=[steps])
    return made


cases = {
    "constant": lambda o: schedulers.ConstantLR(o, factor=1.0),
    "step": lambda o: schedulers.StepLR(o, step_size=2 * STEPS, gamma=0.3),
    "multi-step": lambda o: schedulers.MultiStepLR(o, milestones=[STEPS, 4 * STEPS], gamma=0.1),
    "cosine": lambda o: schedulers.CosineAnnealingLR(o, T_max=ALL),
    "cosine to minimum": lambda o: schedulers.CosineAnnealingLR(o, T_max=ALL, eta_min=0.02),
    "one-cycle": lambda o: schedulers.OneCycleLR(o, max_lr=0.1, total_steps=ALL),
    "one-cycle, other shape": lambda o: schedulers.OneCycleLR(
        o, max_lr=0.1, total_steps=ALL, pct_start=0.5, div_factor=10, final_div_factor=100),
    "warm cosine": warm(lambda o: schedulers.CosineAnnealingLR(o, T_max=ALL - 6), 6),
    "warm constant": warm(lambda o: schedulers.ConstantLR(o, factor=1.0), 6),
}
with open(sys.argv[1], "w") as file:
    for name, make in cases.items():
        file.write(name + ":" + " ".join(repr(rate) for rate in rates(make)) + "\n")
