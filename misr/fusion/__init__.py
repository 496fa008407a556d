"""Pictures of one place into one: the method, tile by tile, with a journal, and a report of what was found."""

from misr.fusion.batch import bursts_in, fuse_folders
from misr.fusion.job import Job, plan
from misr.fusion.render import Fusion, fuse, run
from misr.fusion.report import report_of, write_report
from misr.fusion.settings import Fusing
from misr.fusion.summary import lines

__all__ = [
    "Fusing",
    "Fusion",
    "Job",
    "bursts_in",
    "fuse",
    "fuse_folders",
    "lines",
    "plan",
    "report_of",
    "run",
    "write_report",
]
