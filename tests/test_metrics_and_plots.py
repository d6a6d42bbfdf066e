import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from PIL import Image

from tinynet import plot
from tinynet.metrics import MetricsFile, topk_correct


def test_hits_count_the_best(rng):
    scores, labels = rng.standard_normal((50, 7)), rng.integers(0, 7, 50)
    order = np.argsort(-scores, axis=1)
    for k in (1, 2, 5, 7):
        expected = [label in row[:k] for label, row in zip(labels, order, strict=True)]
        assert topk_correct(scores, labels, k).tolist() == expected


def test_one_answer_for_all_is_not_always_right():
    scores, labels = np.zeros((4, 10)), np.array([0, 1, 4, 5])
    assert topk_correct(scores, labels, 1).tolist() == [True, False, False, False]
    assert topk_correct(scores, labels, 5).tolist() == [True, True, True, False]


def test_a_score_that_is_no_number_is_never_right():
    assert topk_correct(np.full((3, 10), np.nan), np.array([0, 1, 2]), 5).tolist() == [False] * 3


def filled(path):
    metrics = MetricsFile(path, 0)
    for step in range(1, 9):
        metrics.add_step(step=step, epoch=(step - 1) // 4, lr=0.1, loss=1 / step, top1=step / 10, top5=0.9)
        if step % 4 == 0:
            metrics.add_evaluation(loss=0.5, top1=0.5, top5=0.95)
    return metrics


def test_metrics_go_on_after_a_checkpoint(tmp_path):
    metrics = filled(tmp_path / "m.csv")
    assert metrics.recent("top1", 2) == 0.75
    again = MetricsFile(tmp_path / "m.csv", 5)
    again.add_step(step=6, epoch=1, lr=0.1, loss=0.25, top1=0, top5=0)
    lines = (tmp_path / "m.csv").read_text().splitlines()
    assert lines[0] == "step,epoch,lr,loss,top1,top5,val_loss,val_top1,val_top5"
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2", "3", "4", "5", "6"]
    assert lines[4].endswith("0.9,0.5,0.5,0.95") and lines[6].endswith(",0.25,0,0,,,")


def test_a_row_that_a_kill_cut_off_is_dropped(tmp_path):
    filled(tmp_path / "m.csv")
    whole = (tmp_path / "m.csv").read_text()
    (tmp_path / "m.csv").write_text(whole + "9,2,0.1,0.")
    again = MetricsFile(tmp_path / "m.csv", 100)
    assert [int(row["step"]) for row in again.rows] == list(range(1, 9))
    assert again.recent("top5", 50) == 0.9


@pytest.mark.parametrize("saved", [False, True])
def test_a_validation_loss_of_0_is_in_the_curves(tmp_path, monkeypatch, saved):
    rows = filled(tmp_path / "m.csv").rows
    rows[7] |= {"val_loss": 0.0, "val_top1": 1.0, "val_top5": 1.0}
    if saved:  # as text, and empty where nothing was evaluated
        rows = [{name: str(row.get(name, "")) for name in MetricsFile.fields} for row in rows]
    drawn, draw = [], Axes.plot

    def spy(axes, x, y, **options):
        drawn.append((options.get("label"), np.asarray(x).tolist(), np.asarray(y).tolist()))
        return draw(axes, x, y, **options)

    monkeypatch.setattr(Axes, "plot", spy)
    plot.curves(tmp_path / "a.png", rows, 4, "title")
    assert ("validation", [1.0, 2.0], [0.5, 0.0]) in drawn
    assert ("validation, top-1", [1.0, 2.0], [50.0, 0.0]) in drawn


def test_figures_are_pictures(tmp_path, rng):
    plot.curves(tmp_path / "a.png", filled(tmp_path / "m.csv").rows, 4, "title")
    plot.curves(tmp_path / "a1.png", filled(tmp_path / "m.csv").rows[:1], 4, "before any evaluation")
    plot.filters(tmp_path / "b.png", rng.standard_normal((48, 3, 11, 11)), ["a", "b"], "title")
    plot.filters(tmp_path / "b1.png", rng.standard_normal((10, 3, 11, 11)), ["a"], "title")
    pictures = rng.integers(0, 256, (7, 20, 20, 3)).astype("uint8")
    plot.nearest(tmp_path / "c.png", [[(p, "cat") for p in pictures]] * 2, "title")
    for name in ("a.png", "a1.png", "b.png", "b1.png", "c.png"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 100
            assert len(set(picture.convert("L").tobytes())) > 10, "not blank"


def test_a_figure_is_returned_and_saved_only_where_asked(tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    weight = rng.standard_normal((16, 3, 5, 5))
    figure = plot.filters(None, weight, ["a"], "title")
    assert not list(tmp_path.iterdir())
    assert plot.filters("filters.png", weight, ["a"], "title").get_suptitle() == figure.get_suptitle() == "title"
    figure.savefig("again.png", dpi=130)
    assert Image.open("again.png").tobytes() == Image.open("filters.png").tobytes()
    picture = rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)
    assert len(plot.nearest(None, [[(picture, "cat")] * 3] * 2, "title").axes) == 6


def test_predictions_show_which_class_is_right(rng):
    """The right class has a bar of its own color, of any of the five; the frame says whether it is the first."""
    picture = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    guesses = [("a $x$ name of more than 22 letters", 0.5), ("cat", 0.3), ("dog", 0.1), ("fox", 0.06), ("owl", 0.04)]
    names = [guesses[0][0], "dog", "pig", None, "cat", "owl"]
    figure = plot.predictions(None, [(picture, name, guesses) for name in names], "title")
    cells = np.array(figure.axes).reshape(4, 5)
    above, below = cells[::2].ravel(), cells[1::2].ravel()  # five columns, two rows, the last with one picture
    for name, image, bars in zip(names, above, below, strict=False):
        assert image.get_xlabel() == ("a $x$ name of more th…" if name == names[0] else name or "not known")
        frame = plot.INK if name is None else plot.SAME if name == names[0] else plot.HELD_OUT
        assert {to_hex(spine.get_edgecolor()) for spine in image.spines.values()} == {frame}
        expected = [plot.RIGHT if guess == name else plot.FAINT for guess, _ in guesses]
        assert [to_hex(bar.get_facecolor()) for bar in bars.patches] == expected
        assert [bar.get_width() for bar in bars.patches] == [0.5, 0.3, 0.1, 0.06, 0.04]
        assert [text.get_text() for text in bars.texts[1::2]] == ["50%", "30%", "10%", "6%", "4%"]
    assert not any(axes.images or axes.patches for axes in (*above[6:], *below[6:]))


def test_a_single_picture_of_two_classes(tmp_path):
    plot.predictions(tmp_path / "a.png", [(np.zeros((4, 4, 3), np.uint8), "b", [("a", 0.9), ("b", 0.1)])], "title")
    with Image.open(tmp_path / "a.png") as picture:
        assert min(picture.size) > 300
