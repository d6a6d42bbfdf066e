"""Data parallelism: every rank has the whole network and a part of each batch.

The loss of a batch is the mean over its n images, and rank r has n_r of them. A gradient is linear in the
cotangent that backward starts from, so

    dL/dw = 1/n * sum over all images of dl_i/dw = sum over r of (1/n * sum over the images of r of dl_i/dw)

Each rank walks back from 1/n times the *sum* of its own losses, n being the images of all ranks together, and the sum
over the ranks is the gradient of the whole batch: also if a rank has fewer images than others, or none.

The sums travel while backward goes on. Gradients come from the last layer to the first; as soon as BUCKET bytes of them
are ready they travel together, because every message has a fixed cost. (Li et al., PyTorch Distributed, VLDB 2020,
section 3.2.)

    compute     | fc8 fc7 |  fc6  | conv5 conv4 conv3 conv2 conv1 |
    network               | fc8 fc7  |  fc6           | conv5 ... conv1 |
"""

from itertools import accumulate

from tinynet.backend import array_module, use_device
from tinynet.nn import Dropout
from tinynet.parallel.ranks import Ranks

BUCKET = 2**23  # bytes


class DataParallel:
    """What a training step needs to run on one rank or on many:

        n = data_parallel.start(len(labels))                         # images on all ranks
        loss = F.cross_entropy(logits, labels, reduction="sum") / n
        data_parallel.backward(loss)                                 # as loss.backward(), summed over the ranks

    bucket: bytes of gradients that travel together. sync: what start() exchanges the counts with (Interrupts.sync, to
    hear of signals as well). A HybridAlexNet's split parameters keep their own gradients. All ranks must record the
    same graph, as they do for one model.
    """

    def __init__(self, model, ranks=None, sync=None, bucket=BUCKET):
        self.ranks, self.bucket = ranks or Ranks(), bucket
        self.sync = sync or self.ranks.all_gather_object
        self.dropouts = [module for module in model.modules() if isinstance(module, Dropout)]
        split = set(getattr(model, "split_parameters", list)())
        self.shared = [p for p in model.parameters() if p not in split]
        self.split = split
        self.filling = {}  # device -> parameters of the bucket that is not full yet
        self.sent = []  # (work, the array that travels)

    def start(self, count):
        """Begin a step with `count` images on this rank. Returns how many there are on all ranks.

        Dropout is told which of the batch's images are here, so that the mask is that of a single process.
        """
        counts = self.sync(count)
        for dropout in self.dropouts:
            dropout.first_row = sum(counts[: self.ranks.rank])
        return sum(counts)

    def backward(self, loss):
        """Add dL/dw, summed over the ranks, to the .grad of every parameter."""
        if self.ranks.world_size == 1:
            loss.backward()
            return
        before = {p: p.grad for p in self.shared if p.grad is not None}  # sums already: they must not travel again
        for p in before:
            p.grad = None
        loss.backward(on_grad_ready=self.ready)
        for device in list(self.filling):
            self.send(self.filling.pop(device))
        for work, _ in self.sent:
            work.wait()
        self.sent.clear()
        for p, grad in before.items():
            with use_device(p.device):
                p.grad = grad if p.grad is None else p.grad + grad

    def ready(self, parameter):
        if parameter in self.split:
            return
        bucket = self.filling.setdefault(parameter.device, [])
        bucket.append(parameter)
        if sum(p.grad.nbytes for p in bucket) >= self.bucket:
            self.send(self.filling.pop(parameter.device))
        for work, _ in self.sent:
            work.push()

    def send(self, bucket):
        """The gradients of a bucket as one flat array, of which each .grad becomes a view; a single one as it is."""
        flat = bucket[0].grad
        if len(bucket) > 1 or not flat.flags.c_contiguous:
            ends = accumulate(p.size for p in bucket)
            with use_device(bucket[0].device):
                flat = array_module(flat).concatenate([p.grad.reshape(-1) for p in bucket])
                for p, end in zip(bucket, ends, strict=True):
                    p.grad = flat[end - p.size : end].reshape(p.shape)
        self.sent.append((self.ranks.all_reduce(flat), flat))
