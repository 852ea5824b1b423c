"""Where write_cases.py and write_training_cases.py put their cases, and what both draw from."""
import json
import os

import torch
import torch.nn.functional as F

ACTIVATIONS = {
    "none": lambda x: x,
    "relu": F.relu,
    "relu6": F.relu6,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "hard_swish": F.hardswish,
}


class Writer:
    def __init__(self, folder):
        self.folder = folder
        self.cases = []
        self.data = open(os.path.join(folder, "data.bin"), "wb")
        self.offset = 0

    def tensor(self, x):
        values = x.detach().to(torch.float32).contiguous()
        described = {"shape": list(values.shape), "offset": self.offset}
        self.data.write(values.numpy().tobytes())
        self.offset += values.numel()
        return described

    # `updates` are pairs of what a value holds before and after; `output` is None where a node
    # only updates.
    def case(self, name, op, attrs, inputs, output, updates=()):
        self.cases.append({
            "name": name,
            "op": op,
            "attrs": attrs,
            "inputs": [self.tensor(x) for x in inputs],
            "output": None if output is None else self.tensor(output),
            "updates": [{"before": self.tensor(before), "after": self.tensor(after)}
                        for before, after in updates],
        })

    def close(self):
        self.data.close()
        with open(os.path.join(self.folder, "cases.json"), "w") as file:
            json.dump(self.cases, file)


def random(*shape):
    return torch.randn(*shape, dtype=torch.float64).float()
