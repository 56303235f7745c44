"""What a bracelet sends of what it feels: a burst around each hard impact."""

import numpy as np

RATE_HZ = 50
BEFORE, AFTER = 2 * RATE_HZ, 4 * RATE_HZ
# An impact: |a| is at least this and the highest within 2 s to both sides. The softest of the recorded falls has
# 28 m/s²; the elders' walking stays below 20.
TRIGGER_MPS2 = 20.0
ALONE = 2 * RATE_HZ
# Counts of the bracelet's int16: m/s² and rad/s.
PER_COUNT = np.array([0.01, 0.01, 0.01, 0.002, 0.002, 0.002])


def impacts(signal):
    """The samples around which a burst is sent."""
    size = np.linalg.norm(signal[:, :3], axis=1)
    found = []
    for index in np.flatnonzero(size >= TRIGGER_MPS2):
        before, after = size[max(0, index - ALONE) : index], size[index : index + ALONE + 1]
        if size[index] == after.max() and (before < size[index]).all():
            found.append(int(index))
    return found


def burst(signal, impact):
    """The burst around `impact`: (BEFORE + AFTER) × 6.

    A trial may end earlier than a bracelet would stop recording: then its last second goes to and fro.
    """
    index = np.arange(impact - BEFORE, impact + AFTER)
    last = len(signal) - 1
    index = np.where(index < 0, _to_and_fro(-index - 1), index)
    index = np.where(index > last, last - _to_and_fro(index - last - 1), index)
    return np.round(signal[np.clip(index, 0, last)] / PER_COUNT) * PER_COUNT


def _to_and_fro(steps):
    steps = steps % (2 * RATE_HZ)
    return np.where(steps < RATE_HZ, steps, 2 * RATE_HZ - 1 - steps)
