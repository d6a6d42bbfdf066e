"""Answers as a student would write them into a stub, plainly and unlike the library's own: all are right."""

import pytest

from course_answers import filled, verdict_on
from tinynet.course.exercises import EXERCISES

GRAPH = {
    "topological_order": """
        order, done, todo = [], set(), [last]
        while todo:
            function = todo[-1]
            waiting = [p for p in parents(function) if p not in done]
            if waiting:
                todo += waiting
            else:
                todo.pop()
                if function not in done:
                    done.add(function)
                    order.append(function)
        return order
    """,
    "accumulate": """
        if x.leaf is not None:
            if x.leaf.grad is None:
                x.leaf.grad = dx
            else:
                x.leaf.grad += dx
            return
        if x.function not in cotangents:
            cotangents[x.function] = [None for _ in x.function.outputs]
        before = cotangents[x.function][x.output_index]
        cotangents[x.function][x.output_index] = dx if before is None else before + dx
    """,
}
RELU = {
    "Relu.forward": "self.save(x)\nreturn np.where(x > 0, x, 0).astype(x.dtype)",
    "Relu.backward": "return dy * (self.saved[0] > 0)",
}
LINEAR = {
    "Linear.forward": """
        self.save(x, w)
        y = x @ w.T
        return y if b is None else y + b
    """,
    "Linear.backward": """
        x, w = self.saved
        x2, dy2 = rows(x), rows(dy)
        dxs = dy @ w, dy2.T @ x2, dy2.sum(0)
        return dxs[:len(self.needs_input_grad)]
    """,
}
SOFTMAX = {
    "probabilities": """
        if x.size == 0:
            return x.copy()
        y = np.exp(x - x.max(axis, keepdims=True))
        return y / y.sum(axis, keepdims=True)
    """,
    "Softmax.backward": """
        (y,) = self.saved
        return y * (dy - (y * dy).sum(self.axis, keepdims=True))
    """,
}
CROSS_ENTROPY = {
    "CrossEntropy.losses": """
        x = x - x.max(1, keepdims=True)
        log_p = x - np.log(np.exp(x).sum(1, keepdims=True))
        losses = -q_true * self.positions.pick(log_p)
        return losses if q_smooth is None else losses - (q_smooth * log_p).sum(1)
    """,
    "CrossEntropy.slopes": """
        q = np.zeros_like(x)
        q[self.positions.at] = q_true
        if q_smooth is not None:
            q += q_smooth
        p = probabilities(x, 1)
        dl = np.broadcast_to(dl, q_true.shape)[:, None]
        return (p * q.sum(1, keepdims=True) - q) * dl
    """,
}
SGD = {
    "SGD.update": """
        g = g + wd * w
        if m == 0:
            w -= lr * g
            return
        v = m * state.get("velocity", 0) + (1 - dampening) * g
        state["velocity"] = v
        w -= lr * (g + m * v if nesterov else v)
    """
}
ADAM = {
    "Adam.update": """
        g = g + wd * w
        t = state["t"] = state.get("t", 0) + 1
        mean = state["mean"] = b1 * state.get("mean", 0) + (1 - b1) * g
        square = state["square"] = b2 * state.get("square", 0) + (1 - b2) * g**2
        w -= lr * (mean / (1 - b1**t)) / (np.sqrt(square / (1 - b2**t)) + eps)
    """
}
CONV2D = {
    "Conv2d.backward": """
        dx = input_gradient(dy, w, x.shape, self.geometry)
        dw = filter_gradient(dy, x, w.shape, self.geometry)
        return (dx, dw, dy.sum((0, 2, 3)))[:len(self.needs_input_grad)]
    """,
    "correlate": """
        y = w.reshape(G, K // G, -1) @ cols
        y = y.reshape(K, len(x), P, Q).swapaxes(0, 1)
        return y if b is None else y + b[:, None, None]
    """,
    "filter_gradient": """
        dw = np.zeros(w_shape, x.dtype)
        for n in range(len(x)):
            cols = columns(x[n : n + 1], w_shape[2:], *dy.shape[2:], geometry)
            dw += (channel_rows(dy[n : n + 1], geometry.groups) @ cols.swapaxes(1, 2)).reshape(w_shape)
        return dw
    """,
    "input_gradient": """
        G, (K, _, R, S), (N, C, H, W), (P, Q) = geometry.groups, w.shape, x_shape, dy.shape[2:]
        top, bottom, left, right = geometry.border
        padded = np.zeros((N, C, top + H + bottom, left + W + right), dy.dtype)
        dcols = w.reshape(G, K // G, -1).swapaxes(1, 2) @ channel_rows(dy, G)
        col2im(dcols.reshape(C, R, S, N, P, Q), padded, geometry.stride, geometry.dilation)
        return padded[..., top : top + H, left : left + W]
    """,
}
COL2IM = {
    "col2im": """
        for r in range(R):
            for s in range(S):
                for p in range(P):
                    for q in range(Q):
                        h, v = p * stride[0] + r * dilation[0], q * stride[1] + s * dilation[1]
                        x[:, :, h, v] += columns[:, r, s, :, p, q].T
    """
}
MAX_POOL2D = {
    "pool": """
        image = pad_image(x, windows.border(x.shape[2:]), -np.inf)
        seen = np.stack([image[where] for _, where in windows.cells(P, Q)])
        return seen.max(0), seen.argmax(0)
    """,
    "pool_backward": """
        (N, C, H, W), (P, Q) = x_shape, dy.shape[2:]
        padded = np.zeros((N, C, top + H + bottom, left + W + right), dy.dtype)
        for i, where in windows.cells(P, Q):
            padded[where] += np.where(winner == i, dy, 0)
        return padded[..., top : top + H, left : left + W]
    """,
}
LOCAL_RESPONSE_NORM = {
    "LocalResponseNorm.normalize": "return x / self.energy(x) ** self.beta",
    "LocalResponseNorm.energy": "return self.k + self.alpha / self.size * window_sum(x**2, self.size)",
    "LocalResponseNorm.normalize_backward": """
        s = self.energy(x)
        through_s = -self.beta * dy * x * s ** (-self.beta - 1)
        return dy * s**-self.beta + 2 * self.alpha / self.size * x * window_sum(through_s, self.size)
    """,
    "window_sum": """
        out = np.zeros_like(a)
        for i in range(a.shape[1]):
            out[:, i] = a[:, max(i - size // 2, 0) : i + size // 2 + 1].sum(1)
        return out
    """,
}
DROPOUT = {
    "Dropout.forward": "return self.masked(x)",
    "Dropout.backward": "return self.masked(dy)",
    "Dropout.masked": "return x * (u >= self.p) / (1 - self.p) if self.p < 1 else np.zeros_like(x)",
}
ALL_GATHER = {
    "AllGather.backward": """
        total = sum(dys)
        return tuple(total[where] for where in self.slices)
    """
}


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)
def test_a_plain_answer_is_right(exercise):
    bodies = globals().get(exercise.name.upper())
    if bodies is None:
        pytest.skip("not in Python")
    verdict = verdict_on(exercise.name, filled(exercise, bodies))
    assert verdict.state == "right", (verdict.failed, verdict.lines, verdict.hint)
