"""2-d convolution, or to be exact cross-correlation: the filter is not flipped.

Forward. Filter k, of size C x R x S, slides over the image; at output position (p, q) it gives

    y[n,k,p,q] = b[k] + sum_{c,r,s} w[k,c,r,s] * x[n,c,h,v]
                 with h = p*stride + r*dilation - padding,   v = q*stride + s*dilation - padding

where x is 0 outside the image. If every window is laid out as one column of a matrix (im2col), the
sum is a matrix product. With `cols` of shape (C*R*S, P*Q) for one image,

    y = w @ cols + b           (K, P*Q) = (K, C*R*S) @ (C*R*S, P*Q) + (K, 1)

Backward. First the backward pass of that product, then that of the layout:

    db    = dy summed over n, p, q       (K,)
    dw    = dy @ cols.T        (K, C*R*S), summed over the images
    dcols = w.T @ dy           (C*R*S, P*Q)
    dx    = col2im(dcols)                (C, H, W)

The last line is the step that is not obvious. im2col only copies: pixel x[n,c,h,v] goes into the
column of every window that covers it. So its cotangent is the sum over those copies: col2im adds
each column back to where it was taken from.

For a fixed pixel h, a larger p means a smaller r: the pixel meets the filter's rows in reverse. So
with stride 1 there is a second way to compute dx: correlate dy with the filters rotated by 180 degrees,
with C and K exchanged and dilation*(R-1) - padding zeros around dy. It needs the columns of dy and no
col2im, and is the faster way if those are no larger than the columns of x.

Groups. With groups = G the channels and the filters are divided into G equal groups that ignore each
other: w has shape (K, C/G, R, S), and a filter of group g sees only the channels of group g. The
formulas hold within each group. (AlexNet's conv2, conv4 and conv5: Krizhevsky et al., 2012, figure 2.)

Saved: x and w. The columns are about R*S / stride^2 times as large as x, and laying them out again
takes a twentieth to a fifth of the product's time: both passes build them a few images at a time and
never keep them.
"""

from typing import NamedTuple

import numpy as np

from tinynet import kernels
from tinynet.autograd import Function
from tinynet.backend import bounds, num_threads, on_gpu, parallel_for, workspace
from tinynet.ops.dims import check_image, check_tensor, integer, pair, require_floating
from tinynet.ops.pairwise_sum import pairwise_sum
from tinynet.windows import col2im, im2col, output_size, pad_image


class Conv2d(Function):
    arguments = ("input", "weight", "bias")

    def __init__(self, geometry):
        self.geometry = geometry

    def forward(self, x, w, b=None):  # x: (N, C, H, W)  w: (K, C/G, R, S)  b: (K,)
        self.save(x, w)
        return correlate(x, w, b, self.geometry)  # (N, K, P, Q)

    def backward(self, dy):  # dy: (N, K, P, Q)
        x, w = self.saved
        needs = self.needs_input_grad
        dx = input_gradient(dy, w, x.shape, self.geometry) if needs[0] else None
        dw = filter_gradient(dy, x, w.shape, self.geometry) if needs[1] else None
        if len(needs) == 2:
            return dx, dw
        return dx, dw, pairwise_sum(pairwise_sum(dy, (2, 3)), (0,)) if needs[2] else None


class Geometry(NamedTuple):
    """How the filters move over the image. Pairs are (height, width)."""

    stride: tuple
    padding: tuple
    dilation: tuple
    groups: int

    @property
    def border(self):
        """(top, bottom, left, right): how many rows and columns of zeros surround the image."""
        return (self.padding[0],) * 2 + (self.padding[1],) * 2

    def rotated(self, kernel):
        """How the rotated filters move over dy to give dx; None if a correlation cannot."""
        padding = tuple(d * (size - 1) - p for d, size, p in zip(self.dilation, kernel, self.padding, strict=True))
        return self._replace(padding=padding) if self.stride == (1, 1) and min(padding) >= 0 else None

    def places(self, image, kernel):
        """(P, Q): how many output positions a filter of size (R, S) has on an image of size (H, W)."""
        return tuple(map(output_size, image, kernel, self.stride, self.padding, self.dilation))


# ------- the three products on plain arrays: im2col and BLAS for NumPy, one kernel launch each on a GPU


def correlate(x, w, b, geometry):
    """y = w @ cols + b. x: (N, C, H, W), w: (K, C/G, R, S), b: (K,) or None -> (N, K, P, Q)."""
    if on_gpu(x):
        return kernels.conv2d(x, w, b, *geometry)
    G, K, kernel = geometry.groups, len(w), w.shape[2:]
    P, Q = geometry.places(x.shape[2:], kernel)
    y = np.empty((len(x), K, P, Q), x.dtype)
    w = w.reshape(G, K // G, -1)  # (G, K/G, C/G*R*S)
    b = 0 if b is None else b[:, None, None]

    def images(start, stop):
        for i, j in chunks(start, stop, P * Q):
            cols = columns(x[i:j], kernel, P, Q, geometry)  # (G, C/G*R*S, B*P*Q)
            product = workspace("product", (G, K // G, (j - i) * P * Q), x.dtype)
            np.matmul(w, cols, out=product)
            np.add(product.reshape(K, j - i, P, Q).swapaxes(0, 1), b, out=y[i:j])

    parallel_for(len(x), images, x)
    return y


def filter_gradient(dy, x, w_shape, geometry):
    """dw = dy @ cols.T, summed over the images. dy: (N, K, P, Q), x: (N, C, H, W) -> w_shape.

    Computed as dw.T = cols @ dy.T: with the larger matrix first, BLAS is 6 to 17 % faster on AlexNet's layers.
    """
    if on_gpu(x):
        return kernels.conv2d_filter_gradient(dy, x, w_shape, *geometry)
    G, (K, _, *kernel) = geometry.groups, w_shape
    N, _, P, Q = dy.shape
    # One sum per worker, added up in a fixed order, so that two runs give the same bits.
    parts = bounds(N, max(1, min(N, num_threads())))
    sums = np.zeros((len(parts), G, w_shape[1] * kernel[0] * kernel[1], K // G), x.dtype)

    def images(first, last):
        for part in range(first, last):
            for i, j in chunks(*parts[part], P * Q):
                cols = columns(x[i:j], kernel, P, Q, geometry)  # (G, C/G*R*S, B*P*Q)
                dy_chunk = channel_rows(dy[i:j], G)  # (G, K/G, B*P*Q)
                sums[part] += np.matmul(cols, dy_chunk.swapaxes(1, 2))

    parallel_for(len(parts), images, x)
    return np.ascontiguousarray(sums.sum(0).swapaxes(1, 2)).reshape(w_shape)


def input_gradient(dy, w, x_shape, geometry):
    """dx = col2im(w.T @ dy), or by rotated filters. dy: (N, K, P, Q), w: (K, C/G, R, S) -> x_shape = (N, C, H, W)."""
    if on_gpu(dy):
        return kernels.conv2d_input_gradient(dy, w, x_shape, *geometry)
    G, (K, _, R, S) = geometry.groups, w.shape
    (N, C, H, W), (P, Q) = x_shape, dy.shape[2:]
    rotated = geometry.rotated((R, S))
    if rotated and K * H * W <= C * P * Q:  # the columns of dy are no larger than those of x
        return correlate(dy, rotate_180(w, G), None, rotated)
    top, bottom, left, right = geometry.border
    dx = np.empty(x_shape, dy.dtype)
    w_t = w.reshape(G, K // G, -1).swapaxes(1, 2)  # (G, C/G*R*S, K/G)

    def images(start, stop):
        for i, j in chunks(start, stop, P * Q):
            dcols = workspace("columns", (G, C // G * R * S, (j - i) * P * Q), dy.dtype)
            np.matmul(w_t, channel_rows(dy[i:j], G), out=dcols)
            padded = workspace("image", (j - i, C, top + H + bottom, left + W + right), dy.dtype)
            padded[...] = 0
            dcols = dcols.reshape(C, R, S, j - i, P, Q)
            col2im(dcols, padded, geometry.stride, geometry.dilation)
            dx[i:j] = padded[..., top : top + H, left : left + W]

    parallel_for(N, images, dy)
    return dx


def columns(x, kernel, P, Q, geometry):
    """The windows of a few images: (B, C, H, W) -> (G, C/G*R*S, B*P*Q), in a reused buffer."""
    B, C = x.shape[:2]
    x = pad_image(x, geometry.border)
    if tuple(kernel) == geometry.stride == (1, 1):  # each window is a single pixel
        return channel_rows(x, geometry.groups)
    cols = workspace("columns", (C, *kernel, B, P, Q), x.dtype)
    im2col(x, kernel, P, Q, geometry.stride, geometry.dilation, cols)
    return cols.reshape(geometry.groups, -1, B * P * Q)


def channel_rows(a, G):
    """(B, C, H, W) -> (G, C/G, B*H*W): one row per channel, ordered as in the columns. A single image is not copied."""
    B, C, H, W = a.shape
    return a.swapaxes(0, 1).reshape(G, C // G, B * H * W)


def rotate_180(w, G):
    """(K, C/G, R, S) -> (C, K/G, R, S), rotated by 180 degrees: the filters that turn dy into dx."""
    K, C, R, S = w.shape
    w = w[..., ::-1, ::-1].reshape(G, K // G, C, R, S)
    return w.swapaxes(1, 2).reshape(G * C, K // G, R, S)


def chunks(start, stop, columns_per_image):
    """Bounds (i, j) of a few images at a time: enough columns for a product to run at full speed."""
    step = max(1, COLUMNS // columns_per_image)
    return [(i, min(i + step, stop)) for i in range(start, stop, step)]


COLUMNS = 384  # two images of conv3 to conv5; more would not stay in the cache


# ------------------------------------------------------------------------------ public function


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Correlate every image with every filter.

    input: (N, C, H, W); weight: (K, C / groups, R, S); bias: (K,) or None. stride, padding,
    dilation: an int, or (height, width). Returns (N, K, P, Q) with
    P = (H + 2 * padding - dilation * (R - 1) - 1) // stride + 1, and Q likewise.
    Raises ValueError if the shapes do not match or no window fits, TypeError if the dtypes differ.
    """
    check_image("conv2d", input)
    for argument, x in [("weight", weight)] + ([] if bias is None else [("bias", bias)]):
        check_tensor("conv2d", argument, x)
        require_floating("conv2d", argument, x)
    geometry = Geometry(
        pair("conv2d", "stride", stride, 1),
        pair("conv2d", "padding", padding, 0),
        pair("conv2d", "dilation", dilation, 1),
        integer("conv2d", "groups", groups, 1),
    )
    C, K = input.shape[1], weight.shape[0] if weight.ndim == 4 else 0
    if C % groups or K % groups or weight.ndim != 4:
        raise ValueError(
            f"conv2d: weight must be (K, C/groups, R, S), and groups must divide both C and K; got "
            f"weight {weight.shape}, C={C} from input {input.shape}, groups={groups}"
        )
    if weight.shape[1] * groups != C:
        raise ValueError(
            f"conv2d: input has {C} channels but weight {weight.shape} with groups={groups} "
            f"expects {weight.shape[1] * groups}"
        )
    if bias is not None and bias.shape != (K,):
        raise ValueError(f"conv2d: bias must have shape ({K},), got {bias.shape}")
    if min(geometry.places(input.shape[2:], weight.shape[2:])) < 1:
        raise ValueError(
            f"conv2d: a filter of {weight.shape[2:]} with dilation {geometry.dilation} does not "
            f"fit into an image of {input.shape[2:]} with padding {geometry.padding}"
        )
    inputs = (input, weight) if bias is None else (input, weight, bias)
    return Conv2d(geometry)(*inputs)
