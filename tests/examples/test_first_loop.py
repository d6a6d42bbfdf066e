import re
import subprocess
import sys
from pathlib import Path


def test_the_smallest_loop_learns():
    command = [sys.executable, Path(__file__).parents[2] / "examples" / "first_loop.py"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout.splitlines()
    pattern = r"epoch +\d+: mean loss (\S+), validation accuracy (\S+)%"
    numbers = [re.fullmatch(pattern, line) for line in lines]
    losses, right = zip(*((float(x[1]), float(x[2])) for x in numbers), strict=True)
    assert losses[0] > 2.2 > 0.7 > losses[-1] and right[0] < 30 < 60 < right[-1]
