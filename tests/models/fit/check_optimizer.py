# Loads an optimizer's state_dict as a user would, checks it against what optimizer_state_test.cpp
# wrote, and takes a step with it.
import sys

import torch

path, kind = sys.argv[1:]
state = torch.load(path)
net = torch.nn.Linear(3, 2)
vectors = len(state["param_groups"]) == 2
groups = [{"params": [net.weight]}, {"params": [net.bias]}] if vectors else net.parameters()
if kind == "sgd":
    optimizer = torch.optim.SGD(groups, lr=1.0, momentum=0.5)
else:
    optimizer = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[kind](groups, lr=1.0)
optimizer.load_state_dict(state)
first, last = optimizer.param_groups[0], optimizer.param_groups[-1]
assert first["lr"] == 0.25, first
assert abs(first["weight_decay"] - 0.01) < 1e-8, first
assert last["weight_decay"] == (0 if vectors else first["weight_decay"]), last
names = {"sgd": ["momentum_buffer"]}.get(kind, ["exp_avg", "exp_avg_sq"])
for parameter, first_value in [(net.weight, 1.0), (net.bias, 7.0)]:
    kept = optimizer.state[parameter]
    for offset, name in enumerate(names):
        flat = kept[name].flatten()
        wanted = torch.arange(flat.numel()) + first_value + 100 * offset
        assert torch.equal(flat, wanted), (name, flat)
    if kind != "sgd":
        assert float(kept["step"]) == 12, kept["step"]
if kind == "sgd":
    assert first["momentum"] == 0.875 and first["nesterov"], first
else:
    assert abs(first["betas"][1] - 0.999) < 1e-6, first
net(torch.ones(1, 3)).sum().backward()
optimizer.step()
