"""Support for long runs, kept out of the example. The loop itself stays there and calls these parts.

options        each option declared once: command line, range, what may change
begin          what must hold before the first step
run_folder     config.json, and the folder's name
checkpoint     everything that a run needs to go on
interrupts     signals
progress       metrics.csv, the bar, and losses that are not finite
evaluate       loss and accuracy on a validation set
pictures       files and folders of them, to be named by a trained network
predict        what networks say of pictures: one or the average of several, as lines, a figure, a table
out_of_memory  which batch would fit
"""

from tinynet.training.begin import begin, check_images, check_ranks_agree, check_sizes, set_up_process
from tinynet.training.checkpoint import Checkpoint, CheckpointError, load
from tinynet.training.evaluate import evaluate, result_lines
from tinynet.training.interrupts import Interrupts
from tinynet.training.options import RunOptions, option, parse, resumed_options
from tinynet.training.out_of_memory import with_batch_size_hint
from tinynet.training.pictures import Pictures
from tinynet.training.predict import answer
from tinynet.training.progress import Progress
from tinynet.training.run_folder import report_skipped, run_info

__all__ = [
    "Checkpoint", "CheckpointError", "Interrupts", "Pictures", "Progress", "RunOptions", "answer", "begin",
    "check_images", "check_ranks_agree", "check_sizes", "evaluate", "load", "option", "parse", "report_skipped",
    "result_lines", "resumed_options", "run_info", "set_up_process", "with_batch_size_hint",
]
