"""Splits of a corpus into training and test recordings."""

from aura.learning.splits.folds import Fold, Split, assign_folds, check_folds
from aura.learning.splits.personal import Personal
from aura.learning.splits.subjects import BySubject, KFold, LeaveOneSubjectOut, Official

__all__ = [
    "BySubject",
    "Fold",
    "KFold",
    "LeaveOneSubjectOut",
    "Official",
    "Personal",
    "Split",
    "assign_folds",
    "check_folds",
]
