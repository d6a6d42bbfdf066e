"""ReLU against tanh (section 3.1, figure 1): epochs until a four-layer network's training error is below 25 %, and what
figure 2 has learned after as many epochs with the one and with the other.

As in the paper, there is no regularization of any kind, and each network has a learning rate of its own: the one of
RATES with which seed 1 is there first. Except at the paper's size, 200 images of each class are used.
"""

from tinynet.experiments.page import epochs_to, spread, times_as_long

CLAIM = "a four-layer network with ReLUs reaches 25 % training error six times as fast as one with tanh (3.1, figure 1)"
RATES = [0.001, 0.003, 0.01]
GOAL = 0.25


def run(lab):
    plain = dict(augment="", weight_decay=0.0, schedule="constant", until=GOAL, epochs=5 * lab.base.epochs,
                 per_class=0 if lab.base.width == 1 else 200)
    best = {}
    for label, variant in (("ReLU", ""), ("tanh", "tanh")):
        settings = {rate: lab.four_layers(variant=variant, lr=rate, **plain) for rate in RATES}
        tried = lab.train(settings, seeds=1)
        lab.page.table([f"{label}: learning rate", "epochs to 25 % (seed 1)"],
                       [[f"{rate:g}", text(runs[0])] for rate, runs in tried.items()])
        best[label] = settings[min(RATES, key=lambda rate: epochs_to(tried[rate][0], GOAL))]
    runs = lab.train(best)
    epochs = {label: [epochs_to(run, GOAL) for run in own] for label, own in runs.items()}
    lab.page.table(["", "learning rate", "epochs to 25 % training error"],
                   [[label, f"{best[label]['lr']:g}", ", ".join(map(text, own))] for label, own in runs.items()])
    if max(map(max, epochs.values())) < float("inf"):
        ratios = [slow / fast for fast, slow in zip(epochs["ReLU"], epochs["tanh"], strict=True)]
        lab.page.text(f"- tanh / ReLU, epochs by seed: {spread(ratios, 2)}; the paper: 6.")
    else:
        lab.page.text(f"- Not all runs got there within {plain['epochs']} epochs.")
    large = lab.train({"figure 2, ReLU": {}, "figure 2, tanh": {"variant": "tanh"}})
    lab.page.results(large)
    lab.page.difference(large, "figure 2, tanh", "figure 2, ReLU", "several times slower to learn")
    times = times_as_long(*reversed(large.values()))
    lab.page.text(f"- Epochs to the same training loss, tanh / ReLU: {spread(times, 2)}.")
    lab.page.curves(runs | large)


def text(run):
    epochs = epochs_to(run, GOAL)
    return f"{epochs:.1f}" if epochs < float("inf") else f"more than {len(run.result['epochs'])}"
