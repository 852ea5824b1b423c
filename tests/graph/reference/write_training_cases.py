"""The operators of training, as write_cases.py writes those of inference: gradients by PyTorch's
autograd, steps by torch.optim, and dropout's random numbers by a second writing of Philox.

A case of a node that updates has, for each value that it updates, what it holds before and after.
"""
import itertools

import numpy
import torch
import torch.nn.functional as F

from case_writer import ACTIVATIONS, random

TAKES_OUTPUT = {"relu", "relu6", "sigmoid"}

SCALARS = ["learning_rate", "apply", "loss_scale", "bias_correction1", "bias_correction2",
           "statistics_share", "seed", "step"]


def scalars(**values):
    defaults = dict(learning_rate=0, apply=1, loss_scale=1, bias_correction1=1,
                    bias_correction2=1, statistics_share=1, seed=0, step=1)
    defaults.update(values)
    return torch.tensor([[float(defaults[name]) for name in SCALARS]])


def f32(x):
    return numpy.float32(x).item()


# Gradients of y with respect to each of xs, all in double, for a random gradient dy of y.
def gradients(function, *xs):
    xs = [x.double().requires_grad_() for x in xs]
    y = function(*xs)
    dy = random(*y.shape)
    return dy, y.detach(), torch.autograd.grad(y, xs, dy.double())


def batch_norms(out):
    for shape in [(2, 5, 3, 4), (3, 7), (4, 1, 1, 1), (1, 2, 5, 5)]:
        count, c = int(numpy.prod(shape)) // shape[1], shape[1]
        dims = [d for d in range(len(shape)) if d != 1]
        x, weight, bias = random(*shape) * 2 + 3, random(c), random(c)
        mean, var = x.double().mean(dims), x.double().var(dims, unbiased=False)
        statistics = torch.stack([mean, var])
        out.case(str(list(shape)), "batch_statistics", {}, [x], statistics)
        out.case(str(list(shape)), "frozen_statistics", {}, [bias, weight],
                 torch.stack([bias, weight]))
        for residual, activation in [(False, "none"), (False, "silu"), (True, "relu")]:
            # Statistics as a float holds them, which is what the operator reads.
            m, v = statistics.float().double()
            y = F.batch_norm(x.double(), m, v, weight.double(), bias.double(), False, 0.1, 1e-3)
            inputs = [x, statistics, weight, bias]
            if residual:
                inputs.append(random(*shape))
                y = y + inputs[-1].double()
            out.case("%s %s" % (list(shape), activation), "normalize",
                     dict(eps=1e-3, residual=residual, activation=activation), inputs,
                     ACTIVATIONS[activation](y))

        for momentum, step in [(0.1, 1), (0.25, 3), (None, 1), (None, 4)]:
            module = torch.nn.BatchNorm2d(c) if len(shape) == 4 else torch.nn.BatchNorm1d(c)
            module = module.double()
            module.momentum = momentum
            before = [random(c), torch.rand(c) + 0.5]
            module.running_mean.copy_(before[0])
            module.running_var.copy_(before[1])
            module.num_batches_tracked.fill_(step - 1)
            module(x.double())
            attrs = dict(momentum=momentum or 0.9, cumulative=momentum is None, count=count)
            out.case("%s momentum %s, step %d" % (list(shape), momentum, step), "update_running",
                     attrs, [statistics, scalars(statistics_share=1 / step)], None,
                     [(before[0], module.running_mean), (before[1], module.running_var)])

        for activation in ACTIVATIONS:
            trained = lambda x, w, b: ACTIVATIONS[activation](
                F.batch_norm(x, None, None, w, b, True, 0.1, 1e-3))
            dy, _, (dx, dweight, dbias) = gradients(trained, x, weight, bias)
            operands = [dy, x, statistics, weight, bias]
            attrs = dict(eps=1e-3, activation=activation)
            name = "%s %s" % (list(shape), activation)
            sums = torch.stack([dbias, dweight])
            out.case(name, "normalize_sums", attrs, operands, sums)
            held = [random(c), random(c)]
            added = [(held[0], held[0] + dweight), (held[1], held[1] + dbias)]
            for asked in [(True, True), (True, False), (False, True)]:
                out.case("%s, added to%s%s" % (name, " weight" * asked[0], " bias" * asked[1]),
                         "normalize_sums",
                         dict(attrs, weight_gradient=asked[0], bias_gradient=asked[1]), operands,
                         sums, [change for change, taken in zip(added, asked) if taken])
            out.case(name, "normalize_gradient", dict(attrs, frozen=False), operands + [sums], dx)

            mean, var = random(c), torch.rand(c) + 0.5
            frozen = lambda x, w, b: ACTIVATIONS[activation](
                F.batch_norm(x, mean.double(), var.double(), w, b, False, 0.1, 1e-3))
            dy, _, (dx, dweight, dbias) = gradients(frozen, x, weight, bias)
            operands = [dy, x, torch.stack([mean, var]), weight, bias]
            out.case(name + ", frozen", "normalize_sums", attrs, operands,
                     torch.stack([dbias, dweight]))
            out.case(name, "normalize_gradient", dict(attrs, frozen=True), operands, dx)


def activations(out):
    # Not the corners at +-3 of hard-swish, where PyTorch's versions differ.
    special = torch.tensor([[-0.0, 0.0, 6.0, 6.5, -100.0, 100.0, 1e-30, 1e30, 2.9999, -2.9999,
                             -3.0001, 3.0001]])
    for activation, x in itertools.product(ACTIVATIONS, [random(2, 3, 4, 5) * 4, special]):
        x64 = x.double().requires_grad_()
        y = ACTIVATIONS[activation](x64)
        dy = random(*x.shape)
        dx, = torch.autograd.grad(y, x64, dy.double())
        # Activations that are known by their output are read as a float holds it.
        v = y if activation in TAKES_OUTPUT else x
        if activation == "sigmoid":
            v = v.float().double()
            dx = dy.double() * v * (1 - v)
        out.case("%s %s" % (activation, list(x.shape)), "activation_gradient",
                 {"activation": activation}, [dy, v], dx)
    # Number by number: at a NaN PyTorch's scalar loop does what it does on GPUs, its vector loop
    # what no other does.
    nan, inf = float("nan"), float("inf")
    pairs = list(itertools.product([nan, inf, -inf, -1.0, 0.0, 1.0, 6.0, 7.0], [2.0, nan, inf]))
    for activation in ACTIVATIONS:
        xs = [torch.tensor([x], dtype=torch.float64).requires_grad_() for x, _ in pairs]
        ys = [ACTIVATIONS[activation](x) for x in xs]
        dys = [torch.tensor([dy], dtype=torch.float64) for _, dy in pairs]
        dxs = [torch.autograd.grad(y, x, dy)[0] for x, y, dy in zip(xs, ys, dys)]
        if activation == "sigmoid":
            ys = [y.float().double() for y in ys]
            dxs = [dy * y * (1 - y) for y, dy in zip(ys, dys)]
        vs = ys if activation in TAKES_OUTPUT else xs
        out.case(activation + ", NaN and infinities", "activation_gradient",
                 {"activation": activation}, [torch.stack(dys), torch.stack(vs)],
                 torch.stack(dxs))


CONVOLUTIONS = [
    # x, output channels, kernel, stride, padding, dilation, groups
    ((1, 3, 5, 4), 2, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((2, 4, 7, 5), 3, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((1, 3, 16, 16), 8, (7, 7), (2, 2), (3, 3), (1, 1), 1),
    ((1, 5, 7, 7), 6, (1, 1), (2, 2), (0, 0), (1, 1), 1),
    ((2, 3, 13, 17), 5, (3, 5), (2, 3), (1, 4), (3, 2), 1),
    ((1, 2, 11, 11), 3, (3, 3), (1, 1), (2, 2), (2, 2), 1),
    ((1, 2, 3, 3), 3, (2, 2), (1, 1), (4, 5), (1, 1), 1),
    ((1, 2, 8, 8), 3, (3, 3), (4, 4), (0, 0), (1, 1), 1),
    ((3, 2, 5, 4), 3, (5, 4), (1, 1), (0, 0), (1, 1), 1),
    ((2, 6, 7, 7), 9, (3, 3), (1, 1), (1, 1), (1, 1), 3),
    ((2, 6, 9, 8), 4, (3, 3), (2, 1), (2, 1), (2, 1), 2),
    ((2, 7, 9, 9), 7, (3, 3), (2, 2), (1, 1), (1, 1), 7),
    ((1, 5, 6, 6), 10, (3, 3), (1, 1), (0, 0), (1, 1), 5),
    ((2, 4, 8, 8), 6, (3, 3), (2, 2), (1, 1), (1, 1), 1),
    ((1, 3, 9, 8), 5, (4, 5), (3, 2), (1, 2), (1, 1), 1),
    ((1, 2, 6, 7), 3, (2, 2), (2, 2), (1, 1), (1, 1), 1),
    ((1, 3, 11, 10), 4, (5, 3), (2, 3), (0, 2), (1, 1), 1),
    ((1, 4, 1, 2), 6, (3, 3), (2, 2), (1, 1), (1, 1), 2),
]


def convolutions(out):
    for x, o, kernel, stride, padding, dilation, groups in CONVOLUTIONS:
        name = "%s to %d, k%s s%s p%s d%s g%d" % (x, o, kernel, stride, padding, dilation, groups)
        x, weight = random(*x), random(o, x[1] // groups, *kernel)
        attrs = dict(stride=stride, padding=padding, dilation=dilation, groups=groups)
        dy, _, (dx, dweight) = gradients(
            lambda x, w: F.conv2d(x, w, None, stride, padding, dilation, groups), x, weight)
        held = random(*weight.shape)
        out.case(name, "conv2d_weight_gradient", attrs, [x, dy], None, [(held, held + dweight)])
        # Not one operator but those that make up this gradient.
        out.case(name, "conv2d_data_gradient", attrs, [dy, weight], dx)
        grouped = weight.reshape(groups, o // groups, x.shape[1] // groups, *kernel)
        out.case(name, "transpose_weight", dict(groups=groups), [weight],
                 grouped.transpose(1, 2).reshape(x.shape[1], o // groups, *kernel).flip(2, 3))
        for first in [(0, 0), (kernel[0] - 1, 0), (kernel[0] // 2, kernel[1] // 2)]:
            taken = grouped[..., first[0]::2, first[1]::3].transpose(1, 2)
            out.case("%s, taps from %s" % (name, first), "transpose_weight",
                     dict(groups=groups, first=first, stride=(2, 3)), [weight],
                     taken.reshape(x.shape[1], o // groups, *taken.shape[-2:]).flip(2, 3))

    x, weight = random(5, 7), random(3, 7)
    dy, _, (dx, dweight) = gradients(F.linear, x, weight)
    held = random(3, 7)
    out.case("linear", "conv2d_weight_gradient",
             dict(stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1), [x, dy], None,
             [(held, held + dweight)])
    out.case("linear", "transpose_weight", dict(groups=1), [weight], weight.t())
    out.case("linear, by its transposed weight", "linear",
             dict(bias=False, residual=False, activation="none"), [dy, weight.t()], dx)
    for shape in [(2, 5, 3, 4), (3, 7), (1, 1, 1, 1)]:
        dy, held = random(*shape), random(shape[1])
        dims = [d for d in range(len(shape)) if d != 1]
        out.case(str(list(shape)), "bias_gradient", {}, [dy], None,
                 [(held, held + dy.double().sum(dims))])


def pools(out):
    kernels, strides = [(1, 1), (2, 2), (3, 3), (3, 2), (2, 5)], [(1, 1), (2, 2), (3, 2), (4, 5)]
    images = [(7, 7), (6, 9), (3, 2)]

    def max_pool(name, x, kernel, stride, padding, dilation, ceil_mode):
        try:
            dy, _, (dx,) = gradients(
                lambda x: F.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode), x)
        except RuntimeError:
            return  # The output would be empty.
        # PyTorch's places are pixels of the image; ours are taps of the window, row by row.
        _, places = F.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode, True)
        rows, columns = places // x.shape[3], places % x.shape[3]
        ky = (rows - torch.arange(dy.shape[2])[:, None] * stride[0] + padding[0]) // dilation[0]
        kx = (columns - torch.arange(dy.shape[3]) * stride[1] + padding[1]) // dilation[1]
        places = (ky * kernel[1] + kx).float()
        out.case("%s %s k%s s%s p%s d%s ceil %s" % (name, list(x.shape), kernel, stride, padding,
                                                    dilation, ceil_mode),
                 "max_pool2d_gradient",
                 dict(kernel=kernel, stride=stride, padding=padding, dilation=dilation,
                      ceil_mode=ceil_mode, input=x.shape[2:]), [dy, places], dx)

    for image, kernel, stride, ceil_mode in itertools.product(images, kernels, strides,
                                                              [False, True]):
        for padding in {(0, 0), (kernel[0] // 2, kernel[1] // 2)}:
            for dilation in [(1, 1), (2, 1)]:
                # A window whose taps all fall beside the image has no greatest.
                if dilation[0] > 1 and padding[0] > 0 and image[0] < 4:
                    continue
                # Few different numbers: windows overlap and hold equals.
                x = torch.randint(0, 3, (2, 2, *image)).float()
                max_pool("ties", x, kernel, stride, padding, dilation, ceil_mode)
    x = random(1, 3, 9, 9)
    x[0, 0, 4, 4] = x[0, 0, 4, 6] = x[0, 1, 0, 0] = float("nan")
    x[0, 1, 8, 7] = float("-inf")
    x[0, 2] = float("-inf")
    max_pool("NaN and minus infinity", x, (3, 3), (2, 2), (1, 1), (1, 1), False)
    max_pool("NaN and minus infinity", x, (3, 3), (1, 1), (1, 1), (2, 2), False)

    for image, kernel, stride, ceil_mode, count in itertools.product(images, kernels, strides,
                                                                     [False, True], [False, True]):
        for padding in {(0, 0), (kernel[0] // 2, kernel[1] // 2)}:
            try:
                dy, _, (dx,) = gradients(
                    lambda x: F.avg_pool2d(x, kernel, stride, padding, ceil_mode, count),
                    random(2, 2, *image))
            except RuntimeError:
                continue  # The output would be empty.
            out.case("%s k%s s%s p%s ceil %s count %s" % (image, kernel, stride, padding,
                                                          ceil_mode, count),
                     "avg_pool2d_gradient",
                     dict(kernel=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode,
                          count_include_pad=count, input=image), [dy], dx)
    for image, output in itertools.product([(7, 7), (1, 1), (5, 13), (32, 9)],
                                           [(1, 1), (7, 7), (3, 5), (2, 1), (10, 16)]):
        dy, _, (dx,) = gradients(lambda x: F.adaptive_avg_pool2d(x, output), random(2, 3, *image))
        out.case("%s to %s" % (image, output), "adaptive_avg_pool2d_gradient", dict(input=image),
                 [dy], dx)


# numpy's Philox is 4x64; this is the 4x32 of the paper, in Python's integers.
def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c[0], 1 << 32)
        high1, low1 = divmod(0xCD9E8D57 * c[2], 1 << 32)
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
        k = [(k[0] + 0x9E3779B9) % (1 << 32), (k[1] + 0xBB67AE85) % (1 << 32)]
    return c


def rearrangements(out):
    for shape, stride, offset, size in [
            ((2, 3, 4, 5), (2, 2), (0, 0), (8, 10)), ((1, 2, 3, 3), (1, 1), (2, 1), (6, 7)),
            ((1, 2, 3, 3), (3, 2), (1, 0), (7, 4)), ((1, 2, 4, 4), (2, 3), (-3, -1), (5, 8)),
            ((1, 1, 1, 1), (2, 2), (5, 5), (3, 3))]:
        x = random(*shape)
        y = torch.zeros(*shape[:2], *size)
        for h, w in itertools.product(range(shape[2]), range(shape[3])):
            to = h * stride[0] + offset[0], w * stride[1] + offset[1]
            if 0 <= to[0] < size[0] and 0 <= to[1] < size[1]:
                y[:, :, to[0], to[1]] = x[:, :, h, w]
        out.case("%s s%s o%s" % (list(shape), stride, offset), "upsample_zeros",
                 dict(stride=stride, offset=offset, size=size), [x], y)
    for stride, size, edge in [((2, 2), (6, 6), 0), ((2, 3), (7, 8), 2), ((1, 4), (1, 3), 1)]:
        whole = random(2, 5, *size)
        phases, parts = [], []
        for at in itertools.product(range(min(stride[0], size[0])), range(min(stride[1], size[1]))):
            taken = whole[:, :, at[0]::stride[0], at[1]::stride[1]]
            parts.append(F.pad(taken, (edge, 1, edge + at[0], 0), value=9.0))
            phases.append(dict(at=at, start=(edge + at[0], edge)))
        out.case("%s by %s" % (size, stride), "interleave",
                 dict(stride=stride, size=size, phases=phases), parts, whole)
    for shape in [(2, 3, 4, 5), (1, 7, 1, 1)]:
        x = random(*shape)
        out.case(str(list(shape)), "sum_pixels", {}, [x], x.double().sum((2, 3), keepdim=True))
        out.case(str(list(shape)), "unflatten", dict(channels=shape[1], size=shape[2:]),
                 [x.flatten(1)], x)
    for shape, probability, stream, seed, step in [((2, 3, 5, 7), 0.5, 0, 1, 1),
                                                   ((3, 11), 0.25, 7, 16777215, 123456),
                                                   ((1, 1, 1, 1), 0.0, 2, 0, 0)]:
        x = random(*shape)
        count = x.numel()
        words = [philox((i // 4, step, stream, 0), (seed, 0x5eed))[i % 4] for i in range(count)]
        uniform = torch.tensor([(word >> 8) / 2**24 for word in words], dtype=torch.float64)
        kept = (uniform >= probability).reshape(shape)
        out.case("%s p %g" % (list(shape), probability), "dropout_mask",
                 dict(probability=probability, stream=stream), [x, scalars(seed=seed, step=step)],
                 torch.where(kept, x.double() / (1 - probability), torch.zeros(1).double()))


def losses(out):
    for name, x in [("2-d", random(3, 10)), ("4-d", random(2, 5, 3, 4)), ("one class", random(2, 1)),
                    ("large logits", random(2, 7) * 100)]:
        y = F.softmax(x.double(), 1).float()
        dy = random(*x.shape)
        dx = y.double() * (dy.double() - (dy.double() * y.double()).sum(1, keepdim=True))
        if name != "large logits":
            x64 = x.double().requires_grad_()
            dx, = torch.autograd.grad(F.softmax(x64, 1), x64, dy.double())
        out.case(name, "softmax_gradient", {}, [dy, y], dx)
    for n, classes, smoothing, scale in [(4, 10, 0.0, 1), (3, 7, 0.1, 1024), (1, 2, 0.5, 1),
                                         (5, 1000, 0.1, 65536)]:
        logits, labels = random(n, classes) * 5, torch.randint(0, classes, (n,))
        targets = (1 - smoothing) * F.one_hot(labels, classes).double() + smoothing / classes
        logits64 = logits.double().requires_grad_()
        loss = F.cross_entropy(logits64, labels, reduction="none", label_smoothing=smoothing)
        name = "%dx%d, smoothing %g" % (n, classes, smoothing)
        out.case(name, "cross_entropy", {}, [logits, targets], loss[:, None])
        # PyTorch's mean over the batch: the targets bear the division by it.
        mean = F.cross_entropy(logits64, labels, label_smoothing=smoothing)
        gradient, = torch.autograd.grad(mean, logits64)
        out.case(name, "cross_entropy_gradient", {},
                 [logits, targets / n, scalars(loss_scale=scale)], gradient * scale)
    logits = torch.tensor([[1e4, -1e4, 0.0]])
    targets = torch.tensor([[0.2, 0.3, 0.6]])
    loss = -(targets.double() * F.log_softmax(logits.double(), 1)).sum(1, keepdim=True)
    out.case("large logits, targets that do not sum to one", "cross_entropy", {},
             [logits, targets], loss)
    logits = random(3, 7)
    logits[0, 0] = float("nan")
    logits[1, 4] = float("inf")
    logits64 = logits.double().requires_grad_()
    targets = torch.full((3, 7), 1 / 7)
    loss = -(targets.double() * F.log_softmax(logits64, 1)).sum(1, keepdim=True)
    out.case("NaN and infinity", "cross_entropy", {}, [logits, targets], loss)
    gradient, = torch.autograd.grad(loss.sum(), logits64)
    out.case("NaN and infinity", "cross_entropy_gradient", {}, [logits, targets, scalars()],
             gradient)
    for scale in [1, 128]:
        xs = [random(5), random(2, 3, 3, 3), random(4, 6)]
        squares = [(x.double() / scale).square().sum() for x in xs]
        out.case("loss scale %d" % scale, "gradient_norms", {}, xs + [scalars(loss_scale=scale)],
                 torch.stack([sum(squares), *squares])[None])


def optimizers(out):
    # Name, kind, attributes, which PyTorch's constructors take as they are.
    cases = [
        ("sgd", dict()),
        ("sgd", dict(weight_decay=f32(0.05))),
        ("sgd", dict(momentum=f32(0.9))),
        ("sgd", dict(momentum=f32(0.9), weight_decay=f32(0.05))),
        ("sgd", dict(momentum=f32(0.9), nesterov=True, weight_decay=f32(0.05))),
        ("adam", dict()),
        ("adam", dict(weight_decay=f32(0.05))),
        ("adamw", dict(weight_decay=f32(0.05))),
        ("adamw", dict(betas=(f32(0.5), f32(0.75)), eps=f32(1e-2), weight_decay=f32(0.5))),
    ]
    for (kind, options), (max_norm, scale, ema) in itertools.product(
            cases, [(0, 1, 0), (0.5, 1, f32(0.75)), (1e6, 256, 0), (2, 256, 0)]):
        steps(out, kind, options, max_norm, scale, ema)


def steps(out, kind, options, max_norm, scale, ema):
    shapes = [(3, 2, 3, 3), (5,), (4, 3)]
    parameters = [random(*shape).double().requires_grad_() for shape in shapes]
    if kind != "sgd":
        options = dict(betas=(f32(0.9), f32(0.999)), eps=f32(1e-8)) | options
    make = dict(sgd=torch.optim.SGD, adam=torch.optim.Adam, adamw=torch.optim.AdamW)[kind]
    optimizer = make(parameters, lr=1, **options)
    averages = [p.detach().clone() for p in parameters]
    kept = dict(sgd=["momentum_buffer"] if options.get("momentum") else [],
                adam=["exp_avg", "exp_avg_sq"], adamw=["exp_avg", "exp_avg_sq"])[kind]
    beta1, beta2 = options.get("betas", (0.9, 0.999))
    attrs = dict(kind=kind, momentum=options.get("momentum", 0),
                 nesterov=options.get("nesterov", False), beta1=beta1, beta2=beta2,
                 eps=options.get("eps", 1e-8), weight_decay=options.get("weight_decay", 0),
                 max_norm=max_norm, ema_decay=ema)

    def held(gradients):
        states = [[optimizer.state[p][name] if name in optimizer.state[p] else torch.zeros(p.shape)
                   for p in parameters] for name in kept]
        groups = [[p.detach() for p in parameters], gradients, *states]
        if ema:
            groups.append(averages)
        return [x.clone() for group in groups for x in group]

    name = "%s, %s, norm %g, scale %g, average %g" % (kind, options, max_norm, scale, ema)
    run = dict(op="optimizer_steps", name=name, attrs=attrs, steps=[],
               before=[out.tensor(x) for x in held([torch.zeros(shape) for shape in shapes])])
    for t in range(1, 6):
        given = [random(*shape) * scale for shape in shapes]
        learning_rate = f32(0.1 / t)
        before = held(given)
        for p, g in zip(parameters, given):
            p.grad = g.double() / scale
        squares = [p.grad.square().sum() for p in parameters]
        if max_norm:
            torch.nn.utils.clip_grad_norm_(parameters, max_norm)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        optimizer.step()
        averages = [ema * a + (1 - ema) * p.detach() for a, p in zip(averages, parameters)]
        after = held([torch.zeros(shape) for shape in shapes])
        norms = torch.stack([sum(squares), *squares])[None]
        told = scalars(learning_rate=learning_rate, loss_scale=scale, step=t,
                       bias_correction1=1 - beta1**t, bias_correction2=1 - beta2**t)
        out.case(name + ", step %d" % t, "optimizer", attrs, [norms, told], None,
                 list(zip(before, after)))
        run["steps"].append(dict(scalars=out.tensor(told), gradients=[out.tensor(g) for g in given],
                                 after=[out.tensor(x) for x in after]))
    out.cases.append(run)

    # Not applied: nothing changes. Norm not finite: gradients are cleared, and that is all.
    given = [random(*shape) for shape in shapes]
    before = held(given)
    norms = torch.ones(1, 1 + len(shapes))
    out.case(name + ", not applied", "optimizer", attrs,
             [norms, scalars(learning_rate=0.1, apply=0)], None, list(zip(before, before)))
    cleared = held([torch.zeros(shape) for shape in shapes])
    for total in [float("inf"), float("nan")]:
        out.case(name + ", norm %g" % total, "optimizer", attrs,
                 [norms * total, scalars(learning_rate=0.1)], None, list(zip(before, cleared)))


def write(out):
    for part in [batch_norms, activations, convolutions, pools, rearrangements, losses, optimizers]:
        part(out)
