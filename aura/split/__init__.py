"""Who is trained on and who is tested."""

from aura.split.folds import Fold, Split, check, deal
from aura.split.personal import Personal
from aura.split.subjects import BySubject, KFold, LeaveOneSubjectOut, Official

__all__ = ["BySubject", "Fold", "KFold", "LeaveOneSubjectOut", "Official", "Personal", "Split", "check", "deal"]
