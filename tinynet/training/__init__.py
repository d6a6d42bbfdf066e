"""What a long run needs and no lesson should have to read. The loop itself stays in the program that calls these parts.

options        each option declared once: command line, range, what may change
start          what must hold before the first step
run_folder     config.json, and the folder's name
checkpoint     everything that a run needs to go on
interrupts     signals
progress       metrics.csv, the bar, and losses that are not finite
evaluate       loss and accuracy on a validation set
out_of_memory  which batch would fit
"""

from tinynet.training.checkpoint import Checkpoint, CheckpointError, load
from tinynet.training.evaluate import evaluate, results
from tinynet.training.interrupts import Interrupts
from tinynet.training.options import option, parse, resumed
from tinynet.training.out_of_memory import or_what_fits
from tinynet.training.progress import Progress
from tinynet.training.run_folder import report_skipped, run_info
from tinynet.training.start import check_images, check_ranks_agree, check_sizes, set_up_process, start

__all__ = [
    "Checkpoint", "CheckpointError", "Interrupts", "Progress", "check_images", "check_ranks_agree", "check_sizes",
    "evaluate", "load", "option", "or_what_fits", "parse", "report_skipped", "results", "resumed", "run_info",
    "set_up_process", "start",
]
