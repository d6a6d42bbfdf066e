"""Data parallelism: every rank has the whole network and a part of each batch.

The loss of a batch is the mean over its N images, and rank r has N_r of them. A gradient is linear
in the cotangent that backward starts from, so

    dL/dw = 1/N * sum over all images of dl_i/dw = sum over r of (1/N * sum over the images of r of dl_i/dw)

Each rank walks back from its own *sum* of losses with the cotangent 1/N, N being the images of all ranks
together, and the sum over the ranks is the gradient of the whole batch: also where a rank has fewer images
than others, or none.

The sums go over the network while backward goes on. Gradients come from the last layer to the first; as
soon as BUCKET bytes of them are there they travel together, for a message costs time even if it is
short. (Li et al., PyTorch Distributed, VLDB 2020, section 3.2.)

    compute     | fc8 fc7 |  fc6  | conv5 conv4 conv3 conv2 conv1 |
    network               | fc8 fc7  |  fc6           | conv5 ... conv1 |
"""

from itertools import accumulate

from tinynet.backend import array_module, use_device

BUCKET = 2**23  # bytes


class Buckets:
    """(loss * (1 / N)).backward(on_grad_ready=buckets.ready), buckets.finish(): each .grad is the sum over all ranks.

    own: parameters that only this rank has, whose gradients stay here. The others become ready in the same
    order on each rank, since all have the same graph.
    """

    def __init__(self, ranks, own=(), bucket=BUCKET):
        self.ranks, self.own, self.bucket = ranks, set(own), bucket
        self.filling = {}  # device -> parameters of the bucket that is not full yet
        self.sent = []

    def ready(self, parameter):
        if self.ranks.size == 1 or parameter in self.own:
            return
        bucket = self.filling.setdefault(parameter.device, [])
        bucket.append(parameter)
        if sum(p.grad.nbytes for p in bucket) >= self.bucket:
            self.send(self.filling.pop(parameter.device))
        for pending, _ in self.sent:
            pending.push()

    def send(self, bucket):
        """The gradients of a bucket as one flat array, of which each .grad becomes a part; a single one as it is."""
        flat = bucket[0].grad
        if len(bucket) > 1 or not flat.flags.c_contiguous:
            ends = accumulate(p.size for p in bucket)
            with use_device(bucket[0].device):
                flat = array_module(flat).concatenate([p.grad.reshape(-1) for p in bucket])
                for p, end in zip(bucket, ends, strict=True):
                    p.grad = flat[end - p.size : end].reshape(p.shape)
        self.sent.append((self.ranks.sum(flat), flat))

    def finish(self):
        """Send what is left and wait for all sums."""
        for device in list(self.filling):
            self.send(self.filling.pop(device))
        for pending, _ in self.sent:
            pending.wait()
        self.sent.clear()
