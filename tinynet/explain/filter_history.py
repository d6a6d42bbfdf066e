"""The filters of conv1 while a network learns."""

import numpy as np


class FilterHistory:
    """conv1's filters before training and after epochs 1, 2, 4, 8, ...: a part of a run's checkpoint.

    model: one with its initial weights. filters: {epoch: array (K, 3, R, S)}.
    """

    def __init__(self, model):
        self.filters = {}
        self.note(0, model)

    def note(self, epoch, model):
        """After each epoch, counted from 1. Keeps the filters if the epoch is a power of 2."""
        if epoch & (epoch - 1) == 0:
            parts = dict(model.named_arrays())["conv1.weight"]
            self.filters[epoch] = np.concatenate([part.numpy() for part in parts])

    def state_dict(self):
        return {str(epoch): filters for epoch, filters in self.filters.items()}

    def load_state_dict(self, state):
        """An empty state, from a checkpoint that has no history, leaves the initial filters. Raises ValueError."""
        for epoch, filters in state.items():
            if not epoch.isdecimal() or np.shape(filters) != self.filters[0].shape or not np.isfinite(filters).all():
                expected = f"finite filters {self.filters[0].shape} by epoch"
                raise ValueError(f"FilterHistory: expected {expected}, got {epoch}: {np.shape(filters)}")
        if state:
            self.filters = {int(epoch): filters for epoch, filters in sorted(state.items(), key=lambda x: int(x[0]))}
