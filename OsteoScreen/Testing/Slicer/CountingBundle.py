"""A localisation bundle whose network is set by hand: it counts vertebrae by a rod that says in HU which is beside it.

The rod stands upright in the phantom, and its HU grow evenly from head to foot, by HU_PER_VERTEBRA from the middle of a
body to that of the next. What the network answers is made of straight pieces of that: exact, and without training.
"""

import numpy as np

# T11 is first from the head; the rod is brighter than the phantom's bone, which the window leaves out.
NAMES = ("T11", "T12", "L1", "L2", "L3")
HU_OF_FIRST, HU_PER_VERTEBRA = 1100.0, 100.0
WINDOW_HU = (800.0, 1800.0)
# In the phantom's slices (OsteoScreenTestCase): the middle of a body to that of the next, and of the uppermost.
PITCH, FIRST_SLICE = 18, 78
SLICES = 90
# How sure the network is of its names, as the logarithm of the share of the right one to that of its neighbours.
_SURE = 8.0
_SILENT = -9.0


def withRod(voxels):
    """Return the phantom's voxels (slices, rows, columns), made SLICES high, with the rod in them."""
    tall = np.concatenate([voxels, voxels[PITCH:]])
    tall = np.concatenate([tall, tall])[:SLICES].copy()
    for k in range(SLICES):
        tall[k, 230:290, 60:120] = HU_OF_FIRST + HU_PER_VERTEBRA * (FIRST_SLICE - k) / PITCH
    return tall


def sliceOf(name):
    """Return the slice through the middle of a vertebra."""
    return FIRST_SLICE - PITCH * NAMES.index(name)


def writeBundle(folder, temperature=1.0, ribs=True):
    """Write the bundle into a folder.

    :param temperature: divides the evidence for the names: the higher, the less certain they are.
    :param ribs: whether T11 and T12 are seen to bear ribs; else nothing fixes the count.
    """
    from OsteoScreenLib.localisation import channels
    from OsteoScreenLib.models import save_bundle

    description = {
        "name": "counting-rod",
        "version": "0.0.1",
        "role": "localisation",
        "architecture": {
            "name": "spine_localiser",
            "parameters": {"out_channels": len(channels.CHANNELS), "widths": [16, 2]},
        },
        "preprocessing": {"window_hu": list(WINDOW_HU), "grid_mm": list(channels.GRID_MM)},
        "postprocessing": {"temperature": temperature},
        "classes": list(channels.CHANNELS),
        "training": {"data": "none: set by hand for tests", "kind": "none"},
        "metrics": [],
        "licence": "Apache-2.0",
    }
    save_bundle(folder, description, _network(ribs), half=False)


def _network(ribs):
    """The stem hands on every voxel as it is, the blocks pass it through, and the last layers bend it."""
    import torch

    from OsteoScreenLib.localisation import channels
    from OsteoScreenLib.networks import SpineLocaliser

    network = SpineLocaliser(len(channels.CHANNELS), (16, 2)).eval()
    knots, answers = _answers(ribs)
    slopes = np.diff(answers, axis=1) / np.diff(knots)
    bends = np.diff(slopes, axis=1, prepend=0.0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm3d):
                module.weight.fill_(1.0)
                module.eps = 0.0
        network.stem[0].weight[0, 0, 2, 2, 2] = 1.0
        bend, last = network.output
        bend[0].weight[: len(knots) - 1, 0] = 1.0
        bend[1].bias[: len(knots) - 1] = -torch.tensor(knots[:-1], dtype=torch.float32)
        last.weight[:, : len(knots) - 1, 0, 0, 0] = torch.tensor(bends, dtype=torch.float32)
        last.bias.copy_(torch.tensor(answers[:, 0], dtype=torch.float32))
    return network


def _answers(ribs):
    """Return knots (n), the input's values from 0 (beside the rod) up, and the channels' answers at each (channels, n).

    A quarter of the way from a body to the next is enough: the phase's cosine and sine are 0 or 1 there.
    """
    from OsteoScreenLib.localisation import channels

    at = np.arange(-1.0, len(NAMES) + 0.01, 0.25)
    hu = HU_OF_FIRST + HU_PER_VERTEBRA * at
    knots = np.concatenate([[0.0], (hu - WINDOW_HU[0]) / (WINDOW_HU[1] - WINDOW_HU[0])])
    answers = np.full((len(channels.CHANNELS), len(knots)), _SILENT)
    cosine = np.cos(2 * np.pi * at)
    answers[channels.BODY, 1:] = 10 * (cosine + 0.4)
    answers[channels.DISC, 1:] = -10 * (cosine + 0.4)
    answers[channels.COS, 1:], answers[channels.SIN, 1:] = cosine, np.sin(2 * np.pi * at)
    answers[[channels.COS, channels.SIN], 0] = 0.0
    if ribs:
        above = np.clip(24 * (NAMES.index("T12") + 0.5 - at), -6, 6)
        answers[channels.RIBBED_LEFT : channels.RIBBED_RIGHT + 1, 1:] = above
    first = channels.NAMES.index(NAMES[0])
    for place in range(len(channels.NAMES)):
        # The tangents of a parabola: each is the highest where the rod says its name, and straight everywhere.
        number = place - first - (place > channels.NAMES.index("T13"))
        answers[channels.FIRST_NAME + place, 1:] = 2 * _SURE * (number * at - number**2 / 2)
    answers[channels.FIRST_NAME + channels.NAMES.index("T13")] = -100.0
    return knots, answers
