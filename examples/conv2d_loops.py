"""Convolution as seven nested loops: what tinynet/ops/conv2d.py computes, before matrices, threads and kernels.

x: N images of C x H x W. w: K filters of C x R x S. b: K biases. y: (N, K, P, Q). Pairs are (height, width).
"""

import numpy as np


def forward(x, w, b, stride=(1, 1), padding=(0, 0)):
    """y[n,k,p,q] = b[k] + the sum of w[k,c,r,s] * x[n,c,h,v]. Outside the image x is 0."""
    (N, C, H, W), (K, _, R, S) = x.shape, w.shape
    P, Q = (H + 2 * padding[0] - R) // stride[0] + 1, (W + 2 * padding[1] - S) // stride[1] + 1
    y = np.zeros((N, K, P, Q))
    for n in range(N):
        for k in range(K):
            for p in range(P):
                for q in range(Q):
                    y[n, k, p, q] = b[k]
                    for c in range(C):
                        for r in range(R):
                            for s in range(S):
                                h, v = p * stride[0] + r - padding[0], q * stride[1] + s - padding[1]
                                if 0 <= h < H and 0 <= v < W:
                                    y[n, k, p, q] += w[k, c, r, s] * x[n, c, h, v]
    return y


def backward(dy, x, w, stride=(1, 1), padding=(0, 0)):
    """(dx, dw, db). The same loops: each product w * x in y sends dy * w back to x, and dy * x back to w."""
    (N, C, H, W), (K, _, R, S), (P, Q) = x.shape, w.shape, dy.shape[2:]
    dx, dw, db = np.zeros(x.shape), np.zeros(w.shape), np.zeros(K)
    for n in range(N):
        for k in range(K):
            for p in range(P):
                for q in range(Q):
                    db[k] += dy[n, k, p, q]
                    for c in range(C):
                        for r in range(R):
                            for s in range(S):
                                h, v = p * stride[0] + r - padding[0], q * stride[1] + s - padding[1]
                                if 0 <= h < H and 0 <= v < W:
                                    dx[n, c, h, v] += dy[n, k, p, q] * w[k, c, r, s]
                                    dw[k, c, r, s] += dy[n, k, p, q] * x[n, c, h, v]
    return dx, dw, db


if __name__ == "__main__":
    import tinynet

    how, rng = dict(stride=(2, 1), padding=(1, 2)), np.random.default_rng(0)
    x, w, b = (rng.standard_normal(shape) for shape in [(2, 3, 7, 6), (4, 3, 3, 2), (4,)])
    tensors = [tinynet.tensor(a, requires_grad=True) for a in (x, w, b)]
    y = tinynet.functional.conv2d(*tensors, **how)
    dy = rng.standard_normal(y.shape)
    y.backward(dy)
    by_loops = forward(x, w, b, **how), *backward(dy, x, w, **how)
    for array, expected in zip(by_loops, [y.data, *(t.grad for t in tensors)], strict=True):
        np.testing.assert_allclose(array, expected, rtol=1e-10, atol=1e-10)
    print("y, dx, dw and db are those of tinynet.functional.conv2d, to rounding")
