"""Who is trained on and who is tested."""

from aura.learning.splits.folds import Fold, Split, check, deal
from aura.learning.splits.personal import Personal
from aura.learning.splits.subjects import BySubject, KFold, LeaveOneSubjectOut, Official

__all__ = ["BySubject", "Fold", "KFold", "LeaveOneSubjectOut", "Official", "Personal", "Split", "check", "deal"]
