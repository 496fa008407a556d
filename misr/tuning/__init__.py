"""What is best for one clip on one machine: facts of the clip, speeds of the models, two commands, and a sheet to look at."""

from misr.tuning.facts import Facts
from misr.tuning.lines import lasting
from misr.tuning.race import Command
from misr.tuning.run import Tuned, Tuning, tune
from misr.tuning.speed import Pace

__all__ = ["Command", "Facts", "Pace", "Tuned", "Tuning", "lasting", "tune"]
