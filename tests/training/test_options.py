"""Options: one declaration, from which come command line, ranges, and what a checkpoint may say."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from tinynet.errors import RunError
from tinynet.training import CheckpointError, option, parse, resumed_options
from tinynet.training.checkpoint import Saved
from tinynet.training.options import fingerprint
from tinynet.training.run_folder import write_config


@dataclass
class Options:
    name: str = option("a", "a name", may_change=True, may_differ=True)
    kind: str = option("x", choices=["x", "y"])
    rate: float = option(0.1, above=0)
    steps: int = option(0, least=0, may_change=True)
    seed: int = option(1, least=0)
    fast: bool = option(False)
    share: float = option(0.5, least=0, below=1)
    parts: str = option("a", "which", names=["a", "b", "c"])


def test_what_is_given_and_what_is_not():
    given, *rest = parse(Options, "", ["--rate", "2", "--fast"])
    assert given == {"rate": 2.0, "fast": True} and rest == [None, False, [], [], None]
    arguments = parse(Options, "", ["--out", "here", "--resume"])
    assert arguments.checkpoints == [Path("here/checkpoint.safetensors")] and arguments.given == {}
    assert parse(Options, "", ["--evaluate", "x", "y"]).checkpoints == [Path("x"), Path("y")]
    assert parse(Options, "", []).checkpoints == [None]


@pytest.mark.parametrize("line", ["a.safetensors b.safetensors cat.jpg dog", "cat.jpg a.safetensors dog b.safetensors"])
def test_checkpoints_and_pictures_are_told_apart(line):
    arguments = parse(Options, "", ["--predict", *line.split()])
    assert arguments.checkpoints == [Path("a.safetensors"), Path("b.safetensors")]
    assert arguments.pictures == [Path("cat.jpg"), Path("dog")]


@pytest.mark.parametrize("line, message", [
    ("--rate 0", "--rate must be more than 0, got 0.0"), ("--rate nan", "--rate must be more than 0, got nan"),
    ("--rate inf", "--rate must be more than 0, got inf"), ("--seed -1", "--seed must be 0 or more, got -1"),
    ("--steps -1", "--steps must be 0 or more, got -1"),
    ("--steps 10000000000", "--steps must be at most 1,000,000,000, got 10,000,000,000"),
    ("--kind z", "argument --kind: invalid choice: 'z'"), ("--steps 1.5", "argument --steps: invalid int value: '1.5'"),
    ("--nonsense", "unrecognized arguments: --nonsense"), ("--name=", "--name must not be empty"),
    ("--share 1", "--share must be less than 1, got 1.0"), ("--share -1", "--share must be 0 or more, got -1.0"),
    ("--parts a,x,y", "--parts must be names out of a, b, c, got x, y"),
    ("--resume", "--resume needs --out"), ("--resume --evaluate x", "--resume and --evaluate cannot be combined"),
    ("--evaluate x --predict x.safetensors y.png", "--evaluate and --predict cannot be combined"),
    ("--predict x.safetensors", "--predict needs a checkpoint, such as runs/NAME/checkpoint.safetensors, and pictures; "
     "got x.safetensors"),
    ("--predict a b c d", "and pictures; got a, b, c, ..."), ("--csv x.csv", "--csv needs --evaluate or --predict"),
    ("--evaluate x --csv .", "--csv must be a file in a folder that exists, got ."),
    ("--evaluate x --csv no/such.csv", "--csv must be a file in a folder that exists, got no/such.csv"),
])
def test_bad_values_are_one_line(line, message):
    with pytest.raises(RunError) as error:
        parse(Options, "", line.split())
    assert message in str(error.value) and "\n" not in str(error.value) and error.value.code == 2


@pytest.mark.parametrize("line", ["--evaluate x y", "--predict x.safetensors y.png", "--evaluate x --csv y.csv"])
def test_what_one_process_does_alone(line):
    parse(Options, "", line.split())
    with pytest.raises(RunError, match="run it without mpiexec"):
        parse(Options, "", line.split(), processes=2)
    parse(Options, "", ["--evaluate", "x"], processes=2)


def test_a_folder_that_holds_a_run_is_refused_for_a_new_run_only(tmp_path):
    (tmp_path / "checkpoint.safetensors").write_bytes(b"")
    with pytest.raises(RunError, match="already holds a run"):
        parse(Options, "", ["--out", str(tmp_path)])
    parse(Options, "", ["--out", str(tmp_path), "--predict", "x.safetensors", "y.png"])


@pytest.mark.parametrize("text", ["", "a", "c,a"])
def test_some_names_or_none(text):
    assert parse(Options, "", [f"--parts={text}"]).given == {"parts": text}


@pytest.mark.parametrize("name, text, refused", [
    ("config.json", "{}", True), ("config.json", "garbage", True),
    ("config.json", '{"versions": {"tinynet": "0"}}', False), ("metrics.csv", "a,b", True), ("notes.txt", "", False),
])
def test_other_peoples_files_are_not_overwritten(tmp_path, name, text, refused):
    (tmp_path / name).write_text(text)
    if refused:
        with pytest.raises(RunError, match=f"{name} is not of a run of this program"):
            parse(Options, "", ["--out", str(tmp_path)])
    else:
        parse(Options, "", ["--out", str(tmp_path)])
    assert (tmp_path / name).read_text() == text


@pytest.mark.parametrize("before", ["[]", "3", '{"versions": 1}', "{", ""])
def test_a_config_that_is_none_does_not_stop_a_resumed_run(tmp_path, before):
    (tmp_path / "config.json").write_text(before)
    write_config(tmp_path, Options())
    assert json.loads((tmp_path / "config.json").read_text())["name"] == "a"


def saved(**stored):
    info = {"options": asdict(Options()) | stored, "classes": [], "files": "", "threads": 1}
    return Saved(Path("c"), {}, {}, info)


def test_a_resumed_run_keeps_its_options():
    assert resumed_options(Options, saved(rate=3), {"name": "b", "steps": 5}) == Options(name="b", rate=3, steps=5)
    assert resumed_options(Options, saved(rate=3), {"rate": 3}) == Options(rate=3)
    with pytest.raises(RunError, match="c was trained with --rate 3, got 4"):
        resumed_options(Options, saved(rate=3), {"rate": 4})


@pytest.mark.parametrize("stored, message", [
    ({"rate": "0.1"}, "its rate is '0.1', expected float"), ({"rate": None}, "its rate is None, expected float"),
    ({"seed": 1.5}, "its seed is 1.5, expected int"), ({"seed": True}, "its seed is True, expected int"),
    ({"seed": -1}, "its --seed must be 0 or more"), ({"rate": 0}, "its --rate must be more than 0"),
    ({"kind": "z"}, "its --kind must be one of x, y, got z"), ({"later": 1}, "options that this program lacks: later"),
    ({"steps": 10**30}, "its --steps must be at most"),
])
def test_what_a_checkpoint_cannot_say(stored, message):
    with pytest.raises(CheckpointError, match=message):
        resumed_options(Options, saved(**stored), {})


def test_a_checkpoint_of_another_program_is_named():
    for missing in ("options", "classes", "files", "threads"):
        state = saved()
        del state.info[missing]
        with pytest.raises(CheckpointError, match="not of this program"):
            resumed_options(Options, state, {})


def test_what_ranks_may_differ_in_is_not_compared():
    assert fingerprint(Options(name="b")) == fingerprint(Options()) != fingerprint(Options(seed=2))
