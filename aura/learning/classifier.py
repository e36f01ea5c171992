"""What is asked of a classifier, in training and in serving alike."""

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import numpy as np
import skops.io
from scipy.special import expit, logit
from sklearn._loss.loss import HalfBinomialLoss
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.ensemble._hist_gradient_boosting.binning import _BinMapper
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier
from sklearn.tree._tree import Tree
from skops.io.exceptions import UntrustedTypesFoundException

from aura.core.arrays import Bools, Floats, Ints, Singles
from aura.core.errors import AuraError
from aura.core.former_paths import CURRENT
from aura.learning.labels import LEFT_OUT, TARGET

# What skops calls its table of types.
SCHEMA = "schema.json"
# Types that skops does not know as harmless, and that are.
TRUSTED_TYPES = (
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "aura.learning.baselines.OneFeature",
)

# Classifiers that can be served, by their full names, since LightGBM need not be installed. Others of scikit-learn may
# follow what a file says into foreign memory.
CLASSIFIERS = {
    f"{one.__module__}.{one.__qualname__}"
    for one in (RandomForestClassifier, ExtraTreesClassifier, HistGradientBoostingClassifier)
} | {"lightgbm.sklearn.LGBMClassifier", "aura.learning.baselines.OneFeature"}

# What skops and the types above raise on files that are damaged or made up.
DAMAGED = (
    ArithmeticError,
    AttributeError,
    BadZipFile,
    EOFError,
    ImportError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    MemoryError,
    struct.error,
)
# Probabilities nearer to 0 and 1 are those of too few windows to tell.
CLOSEST = 1e-4


class Predictor(Protocol):
    """What is needed of a model to use it."""

    def predict_proba(self, x: Floats | Singles) -> Floats:
        """(n_windows, 2) probabilities of (n_windows, n_features) features, NaN where missing."""


class Classifier(Predictor, Protocol):
    """What is needed of a scikit-learn classifier."""

    def get_params(self) -> dict[str, Any]:
        """Its parameters by name."""

    def set_params(self, **params: Any) -> object:
        """Set some of them."""

    def fit(self, x: Floats | Singles, y: Ints) -> object:
        """Fit it to (n_windows, n_features) features, NaN where missing, and labels of 0 and 1."""


def fit(model: Classifier, x: Floats | Singles, labels: Ints) -> Classifier:
    """Fit a model to all windows that have features and are not left out.

    Parameters
    ----------
    model
        Unfitted; it is fitted in place.
    x
        (n_windows, n_features) features, NaN where missing.
    labels
        (n_windows,) as in `aura.learning.labels.Labels`.

    Returns
    -------
    Classifier
        The model; it predicts in one thread.
    """
    used = np.flatnonzero((labels != LEFT_OUT) & _described(x))
    if not (labels[used] == TARGET).any() or (labels[used] == TARGET).all():
        raise AuraError(
            f"nothing to learn from: of {len(used)} windows with a label and a feature, "
            f"{(labels[used] == TARGET).sum()} are to be found; the windows may be too long for the recordings"
        )
    model.fit(x[used], (labels[used] == TARGET).astype(np.int64))
    if "n_jobs" in model.get_params():
        # Threads that predict add up the trees in the order they end, which changes the last digit from run to run;
        # and a server answers one small request at a time.
        model.set_params(n_jobs=1)
    return model


def seizure_probability(model: Predictor, x: Floats | Singles) -> Floats:
    """Probability of a seizure for each row of features; NaN where a window has none.

    A forest would give a number for such a row too, made up from whatever is missing most often.

    Parameters
    ----------
    model
        Fitted.
    x
        (n_windows, n_features) features, NaN where missing.

    Returns
    -------
    (n_windows,) Floats
        Between 0 and 1, or NaN.
    """
    out = np.full(len(x), np.nan)
    described = _described(x)
    if described.any():
        out[described] = _probability(model, x, described)
    return out


def _probability(model: Predictor, x: Floats | Singles, described: Bools) -> Floats:
    """Probability of a seizure for each of the rows that are described."""
    if not isinstance(model, RandomForestClassifier | ExtraTreesClassifier):
        return model.predict_proba(x[described])[:, 1]
    # What its predict_proba does, without what it does around each tree: that is most of a single row's time, and
    # sets the filters of warnings, which threads share.
    rows = np.ascontiguousarray(x, dtype=np.float32)[described]
    total = np.zeros(len(rows))
    for tree in model.estimators_:
        total += tree.tree_.value[:, 0, 1].take(tree.tree_.apply(rows))
    return np.asarray(total / len(model.estimators_), dtype=np.float64)


@dataclass(frozen=True)
class Calibration:
    """A correction of probabilities that keeps their order: a straight line through their log odds (Platt 1999).

    Parameters
    ----------
    slope, intercept
        Of the line; the defaults leave all as it is.

    Examples
    --------
    >>> Calibration(1.0, np.log(0.5))(np.array([0.5, np.nan])).round(3)
    array([0.333,   nan])
    """

    slope: float = 1.0
    intercept: float = 0.0

    def __call__(self, probability: Floats) -> Floats:
        """Correct probabilities."""
        if self == Calibration():
            return probability
        corrected: Floats = expit(self.slope * log_odds(probability) + self.intercept)
        return corrected


def log_odds(probability: Floats) -> Floats:
    """Logarithm of the odds; of 0 and 1, that of what is next to them."""
    odds: Floats = logit(np.clip(probability, CLOSEST, 1 - CLOSEST))
    return odds


def check_types(model: Classifier, n_features: int) -> None:
    """Refuse a fitted model that `load_classifier` would not load again.

    Raises
    ------
    AuraError
        With the types that skops does not know as harmless, or with the classifiers that can be served.
    """
    unknown = set(skops.io.get_untrusted_types(data=skops.io.dumps(model))) - set(TRUSTED_TYPES)
    if unknown:
        raise AuraError(f"model: {type(model).__name__} cannot be served; it holds {', '.join(sorted(unknown))}")
    try:
        _check_model(model, n_features)
    except (TypeError, ValueError) as error:
        raise AuraError(f"model: {type(model).__name__} cannot be served; {error}") from error


def load_classifier(path: Path, *, n_features: int) -> Classifier:
    """Read a fitted model that skops wrote, and check that it can be used; no code of the file is run.

    The file may come from a stranger. It has to be one of `CLASSIFIERS`, made of types of scikit-learn and
    `TRUSTED_TYPES`; its arrays are read without pickle; and all trees of scikit-learn are checked, since it would
    follow a node that does not exist into foreign memory.

    Parameters
    ----------
    path
        The file.
    n_features
        Columns that the model has to take.

    Raises
    ------
    AuraError
        For a file that is not such a model.
    """
    try:
        with ZipFile(path) as archive:
            # skops does not compress, so its files cannot be larger than they look.
            if any(member.compress_type != ZIP_STORED for member in archive.infolist()):
                raise AuraError(f"{path.name} has compressed parts, which skops does not write")
        model: Any = skops.io.loads(_with_current_paths(path), trusted=list(TRUSTED_TYPES))
        if _full_name(model) not in CLASSIFIERS:
            raise AuraError(f"{path.name} holds a {type(model).__name__}; {_allowed()}")
        if (taken := _columns_of(model)) != n_features:
            raise AuraError(f"{path.name} takes {taken} features, but detector.json names {n_features}")
        _check_model(model, n_features)
        # What else is missing or wrong shows where it is used.
        seizure_probability(model, np.zeros((1, n_features), dtype=np.float32))
    except UntrustedTypesFoundException as error:
        raise AuraError(f"{path.name} holds types that are not trusted: {' '.join(str(error).split())}") from error
    except DAMAGED as error:
        raise AuraError(f"{path.name} is not a model that skops wrote: {' '.join(str(error).split())}") from error
    checked: Classifier = model
    return checked


def _with_current_paths(path: Path) -> bytes:
    """Read a file that skops wrote, with types of Aura under their import paths of today."""
    with ZipFile(path) as archive:
        schema = archive.read(SCHEMA).decode()
        moved = schema
        for former, current in CURRENT.items():
            (old, name), (new, _) = former.rsplit(".", 1), current.rsplit(".", 1)
            if f'"{name}"' in schema:
                moved = moved.replace(f'"__module__": "{old}"', f'"__module__": "{new}"')
        if moved == schema:
            return path.read_bytes()
        buffer = io.BytesIO()
        with ZipFile(buffer, "w", ZIP_STORED) as rewritten:
            for member in archive.infolist():
                rewritten.writestr(member, moved if member.filename == SCHEMA else archive.read(member))
        return buffer.getvalue()


def _full_name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _allowed() -> str:
    names = sorted(name.rpartition(".")[2] for name in CLASSIFIERS)
    return f"allowed are {', '.join(names)}"


def _columns_of(model: Any) -> int:
    return len(model.columns) if hasattr(model, "columns") else int(model.n_features_in_)


def _check_model(model: Any, n_features: int) -> None:
    """Refuse a model that is not of `CLASSIFIERS`, or that could read foreign memory.

    Raises
    ------
    TypeError, ValueError
        With what is wrong.
    """
    if _full_name(model) not in CLASSIFIERS:
        raise TypeError(_allowed())
    if isinstance(model, RandomForestClassifier | ExtraTreesClassifier):
        for estimator in model.estimators_:
            _check_part(estimator, DecisionTreeClassifier, ExtraTreeClassifier)
            _check_tree(estimator.tree_, n_features)
    elif isinstance(model, HistGradientBoostingClassifier):
        _check_boosting(model, n_features)
    elif hasattr(model, "_Booster") and _full_name(model._Booster) != "lightgbm.basic.Booster":
        raise TypeError(f"a {type(model._Booster).__name__} in the place of a Booster")


def _check_part(part: object, *allowed: type) -> None:
    """Refuse a part of a model that is of another type."""
    if type(part) not in allowed:
        raise TypeError(f"a {type(part).__name__} in the place of a {allowed[0].__name__}")


def _check_tree(tree: Tree, n_features: int) -> None:
    """Refuse a tree of a forest in which a row could leave the tree, or go round for ever."""
    _check_part(tree, Tree)
    if tree.value.shape != (tree.node_count, 1, 2):
        raise ValueError("a tree does not give the probabilities of two classes")
    left = tree.children_left
    _check_nodes(left, tree.children_right, tree.feature, left != -1, n_features)


def _check_boosting(model: HistGradientBoostingClassifier, n_features: int) -> None:
    """Refuse boosted trees that are not for two classes and numbers alone, or with a tree that a row could leave."""
    _check_part(model._loss, HalfBinomialLoss)
    _check_part(model._bin_mapper, _BinMapper)
    # Categories are found by tables of bits, whose places a file could choose. No feature is a category.
    if model._preprocessor is not None or np.any(model._bin_mapper.is_categorical_):
        raise ValueError("it takes categories, which no feature is")
    if model.n_trees_per_iteration_ != 1:
        raise ValueError("a tree does not give the probabilities of two classes")
    for trees in model._predictors:
        for tree in trees:
            _check_part(tree, TreePredictor)
            nodes = tree.nodes
            inner = nodes["is_leaf"] == 0
            if np.any(nodes["is_categorical"][inner]):
                raise ValueError("it takes categories, which no feature is")
            _check_nodes(nodes["left"], nodes["right"], nodes["feature_idx"], inner, n_features)


def _check_nodes(left: Ints, right: Ints, feature: Ints, inner: Bools, n_features: int) -> None:
    """Refuse (n_nodes,) nodes of a tree whose inner ones lead out of it or back, or ask for a feature there is not."""
    n_nodes = len(left)
    number = np.arange(n_nodes)
    # Children come after their parent, as scikit-learn numbers them.
    sound = (left > number) & (left < n_nodes) & (right > number) & (right < n_nodes)
    sound &= (feature >= 0) & (feature < n_features)
    if not n_nodes or not sound[inner].all():
        raise ValueError("a tree has nodes that do not exist")


def _described(x: Floats | Singles) -> Bools:
    """Windows with at least one feature."""
    return np.asarray(~np.isnan(x).all(axis=1), dtype=np.bool_)
