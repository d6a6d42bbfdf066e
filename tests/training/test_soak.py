import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_nothing_grows_while_a_run_goes_on():
    """Longer: python tests/training/soak.py --steps 10000"""
    command = [sys.executable, Path(__file__).with_name("soak.py"), "--steps", "300", "--trace"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stdout.endswith("no leaks\n"), done.stdout + done.stderr
