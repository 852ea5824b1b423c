#!/usr/bin/env python3
"""Whole networks trained for some steps by PyTorch: what training on a device is held against.

usage: reference_training.py FOLDER [--large]

With --large also the networks that take hundreds of megabytes.

Two right programs part ways where rounding decides: one value near 0 that a ReLU passes in one and
not in the other changes gradients by hundredths, and so may one window of the max-pool whose two
largest values are nearly equal, of which the other is taken; more such choices follow. From the
data of ResNet-50 here, PyTorch's float32 is off its own float64 by 1e-2 at the first gradients, by
one ReLU; with those out of the way it is off by 8e-4 at the fourth step's, by one window, and after
ten steps by 8e-2 in a momentum. With neither, its two ways to add differ by 2e-5 after ten. So two
things keep such choices out of the comparison. Before each step pixels are moved by hundredths and
batch-norms' biases by thousandths, until nothing is so near; whoever repeats a run takes these
images, and sets these biases. And a run is made twice, the second time by PyTorch's other
convolutions, which add in another order; one in which these two are not well within the bounds of
each other is refused, and needs a smaller rate or fewer steps.

Writes to FOLDER:

  NET.pth             a state_dict to begin from: PyTorch's own initialisation, running statistics
                      of the first images
  RUN.images.npy      float32 [steps, N, C, H, W]
  RUN.biases.pth      to set before each step, as STEP.NAME
  RUN.gradients.pth   of the first step, as NAME.grad
  RUN.states.pth      after the last step: parameters, running statistics, the optimizer's states
                      as NAME.momentum_buffer, NAME.exp_avg, NAME.exp_avg_sq
  manifest.json       the bounds, and the runs with their losses and how far the second was off;
                      written last

A folder that this very script has filled already is left as it is.
"""

import hashlib
import json
import pathlib
import sys

import numpy
import torch
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "architectures"))
from reference_nets import make_net  # noqa: E402

# Relative differences: of the loss of each step, and, as L2, of each tensor of the others.
BOUNDS = dict(loss=1e-3, states=1e-3, gradients=1e-4)
MARGIN = 3  # PyTorch's own two runs are that many times nearer to each other.

SGD = dict(kind="sgd", momentum=0.9, weight_decay=1e-4)
# Of CIFAR nets 10 classes, of others 1,000.
CIFAR = dict(architecture="cifar_resnet20", batch=32, size=32, steps=5, rate=0.1, optimizer=SGD)
RESNET18 = dict(architecture="resnet18", batch=8, size=64, optimizer=SGD)
RESNET50 = RESNET18 | dict(architecture="resnet50")
RUNS = [
    CIFAR | dict(name="cifar_resnet20", steps=20, rate=0.1),
    CIFAR | dict(name="frozen_batch_norm", batch_norm="frozen", rate=0.01),
    CIFAR | dict(name="frozen_trunk", batch_norm="frozen", trained="linear."),
    CIFAR | dict(name="nesterov", rate=0.02, optimizer=SGD | dict(nesterov=True)),
    CIFAR | dict(name="adam", rate=1e-4, optimizer=dict(kind="adam", weight_decay=1e-4)),
    CIFAR | dict(name="adamw", rate=1e-3, optimizer=dict(kind="adamw", weight_decay=1e-2)),
    CIFAR | dict(name="smoothing_and_class_weights", smoothing=0.1,
                 class_weights=[0.5 + 0.25 * i for i in range(10)]),
    CIFAR | dict(name="accumulation", batch_norm="frozen", parts=2, rate=0.01),
    CIFAR | dict(name="clipping", optimizer=SGD | dict(max_norm=0.5)),
]
LARGE_RUNS = [
    RESNET18 | dict(name="resnet18", steps=10, rate=0.1),
    RESNET18 | dict(name="resnet18_few_steps", steps=3, rate=0.1),  # For slow drivers.
    RESNET50 | dict(name="resnet50", steps=10, rate=0.1),
    RESNET50 | dict(name="resnet50_few_steps", steps=2, rate=0.1),
]
DEFAULTS = dict(batch_norm="train", trained="", smoothing=0.0, class_weights=[], parts=1)


def net_name(run):
    return f"{run['architecture']}_b{run['batch']}_{run['size']}x{run['size']}"


def make_data(run):
    """The net to begin from, images and labels, the same for every run of a net."""
    name = net_name(run)
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    torch.manual_seed(seed)
    net = make_net(run["architecture"])
    steps = max(other["steps"] for other in RUNS + LARGE_RUNS if net_name(other) == name)
    images = torch.randn(steps, run["batch"], 3, run["size"], run["size"])
    classes = list(net.parameters())[-1].numel()
    labels = torch.randint(classes, (steps, run["batch"]))
    # Running statistics that fit the net, since some runs normalise by them.
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    for module in norms:
        module.momentum = None
    # Branches that begin weak, as Goyal et al. have them (arXiv 1706.02677, 5.1; at 0 there): an
    # untrained net amplifies rounding much less so.
    for module in net.modules():
        branch = getattr(module, "bn3", getattr(module, "bn2", None))
        if branch is not None:
            nn.init.constant_(branch.weight, 0.2)
    with torch.no_grad():
        net.train()(images[0])
    for module in norms:
        module.momentum = 0.1
    return net, images, labels


def make_optimizer(net, run):
    given = dict(run["optimizer"])
    given.pop("max_norm", None)
    kind = dict(sgd=torch.optim.SGD, adam=torch.optim.Adam, adamw=torch.optim.AdamW)
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    return kind[given.pop("kind")](trained, lr=run["rate"], **given)


@torch.no_grad()
def keep_off_ties(net, images):
    """Moves pixels, by hundredths, until no window of the max-pool has two largest values that are
    near each other."""
    near = hasattr(net, "maxpool")  # CIFAR nets have none.
    while near:
        x = net.conv1(images)
        x /= x.std((0, 2, 3), keepdim=True)  # Batch-norm and ReLU after it keep the order.
        x = functional.pad(x, [1] * 4, value=-torch.inf)
        windows = x.unfold(2, 3, 2).unfold(3, 3, 2).flatten(4)  # [N, C, rows, columns, 9]
        largest = windows.topk(2).values
        found = (largest[..., 0] - largest[..., 1]).amin(1) < 1e-4  # [N, rows, columns]
        image, row, column = found.nonzero().T
        images[image, :, 4 * row, 4 * column] += 0.01  # What all nine values see.
        near = len(image) > 0


@torch.no_grad()
def keep_off_kinks(net, images):
    """Moves batch-norms' biases, by thousandths, until no value that a ReLU is given is near 0."""
    last = []
    relu = functional.relu

    def moved_relu(x, inplace=False):
        flat = x.transpose(0, 1).flatten(1)  # [C, values]
        values = flat.sort().values
        near = ((values < 0).sum(1, keepdim=True) + torch.arange(-32, 32)).clamp(
            0, values.shape[1] - 1)
        values = values.gather(1, near)
        gaps = values.diff()
        at = gaps.argmax(1, keepdim=True)
        shift = -(values.gather(1, at) + gaps.gather(1, at) / 2)[:, 0]
        shift[flat.abs().amin(1) > gaps.amax(1) / 2] = 0
        last[0].bias += shift
        return relu(x + shift[None, :, None, None])

    hooks = [module.register_forward_hook(lambda module, *_: last.__setitem__(slice(1), [module]))
             for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    kept = {name: value.clone() for name, value in net.named_buffers()}
    functional.relu = moved_relu
    net(images)
    functional.relu = relu
    for hook in hooks:
        hook.remove()
    for name, value in net.named_buffers():
        value.copy_(kept[name])


def train(run, given=None):
    """Images and losses by step, gradients of the first, states after the last, biases before each
    step. Images and biases are those of the run `given`, if it is."""
    net, images, labels = make_data(run)
    images = images[:run["steps"]] if given is None else given["images"]
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d) and run["batch_norm"] == "frozen":
            module.eval()
    for name, parameter in net.named_parameters():
        parameter.requires_grad = name.startswith(run["trained"])
    weights = torch.tensor(run["class_weights"]) if run["class_weights"] else None
    criterion = nn.CrossEntropyLoss(weight=weights, label_smoothing=run["smoothing"])
    optimizer = make_optimizer(net, run)
    trained = {name: parameter for name, parameter in net.named_parameters()
               if parameter.requires_grad}

    losses, gradients, used = [], {}, {}
    for step in range(run["steps"]):
        if given is None and not run["trained"]:  # Else no gradient passes a ReLU.
            keep_off_ties(net, images[step])
            keep_off_kinks(net, images[step])
        for name, module in net.named_modules():
            if isinstance(module, nn.BatchNorm2d) and f"{name}.bias" in trained:
                key = f"{step}.{name}.bias"
                if given is not None:
                    module.bias.data.copy_(given["biases"][key])
                used[key] = module.bias.detach().clone()
        optimizer.zero_grad()
        loss = criterion(net(images[step]), labels[step])
        loss.backward()
        if step == 0:
            gradients = {f"{name}.grad": parameter.grad.clone()
                         for name, parameter in trained.items()}
        if "max_norm" in run["optimizer"]:
            norm = nn.utils.clip_grad_norm_(trained.values(), run["optimizer"]["max_norm"])
            assert norm > run["optimizer"]["max_norm"], "nothing to clip"
        optimizer.step()
        losses.append(loss.item())

    states = {name: parameter.detach() for name, parameter in trained.items()}
    for name, parameter in trained.items():
        for kind, value in optimizer.state[parameter].items():
            if kind != "step":
                states[f"{name}.{kind}"] = value
    if run["batch_norm"] == "train":
        states |= {name: value for name, value in net.named_buffers()
                   if not name.endswith("num_batches_tracked")}
    return dict(images=images, losses=losses, gradients=gradients, states=states, biases=used)


def relative(a, b):
    return (torch.linalg.norm(a.double() - b.double()) / torch.linalg.norm(b.double())).item()


def differences(run, found, expected):
    """The worst of each kind of value."""
    result = dict(loss=max(abs(a - b) / abs(b)
                           for a, b in zip(found["losses"], expected["losses"])))
    for kind in ("gradients", "states"):
        result[kind] = max(relative(found[kind][name], expected[kind][name])
                           for name in expected[kind])
    print(run["name"], result, flush=True)
    for kind, bound in BOUNDS.items():
        if not result[kind] * MARGIN <= bound:
            sys.exit(f"{run['name']}: PyTorch's own runs differ by {result[kind]:.1e} in {kind}, "
                     f"too near the bound of {bound:.0e}: take a smaller rate or fewer steps")
    return result


def write_run(folder, run):
    run = DEFAULTS | run
    net, _, labels = make_data(run)
    files = dict(file=f"{net_name(run)}.pth", images=f"{run['name']}.images.npy",
                 **{kind: f"{run['name']}.{kind}.pth"
                    for kind in ("gradients", "states", "biases")})
    torch.save(net.state_dict(), folder / files["file"])
    first = train(run)
    numpy.save(folder / files["images"], first["images"].numpy())
    with torch.backends.mkldnn.flags(enabled=False):
        second = train(run, first)
    for kind in ("gradients", "states", "biases"):
        torch.save(first[kind], folder / files[kind])
    return run | dict(labels=labels[:run["steps"]].tolist(), losses=first["losses"],
                      between=differences(run, second, first), files=files)


def main():
    large = sys.argv[2:] == ["--large"]
    if len(sys.argv) != 2 + large:
        sys.exit(__doc__)
    chosen = RUNS + LARGE_RUNS if large else RUNS
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / "manifest.json"
    here = pathlib.Path(__file__).resolve()
    sources = [here, here.parent.parent / "architectures" / "reference_nets.py"]
    maker = " ".join(hashlib.sha256(path.read_bytes()).hexdigest() for path in sources)
    maker += f" torch {torch.__version__}"
    if manifest.exists():
        old = json.loads(manifest.read_text())
        there = all((folder / file).exists() for run in old["runs"]
                    for file in run["files"].values())
        if old["maker"] == maker and len(old["runs"]) >= len(chosen) and there:
            return
        manifest.unlink()

    runs = [write_run(folder, run) for run in chosen]
    partial = folder / "manifest.json.partial"
    partial.write_text(json.dumps(dict(maker=maker, bounds=BOUNDS, runs=runs), indent=1))
    partial.rename(manifest)


if __name__ == "__main__":
    main()
