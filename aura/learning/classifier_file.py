"""Read a fitted classifier from a file, without running any code of the file."""

import io
import struct
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import numpy as np
import skops.io
from sklearn._loss.loss import HalfBinomialLoss
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.ensemble._hist_gradient_boosting.binning import _BinMapper
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier
from sklearn.tree._tree import Tree
from skops.io.exceptions import UntrustedTypesFoundException

from aura.core.arrays import Bools, Ints
from aura.core.errors import AuraError
from aura.core.former_paths import CURRENT
from aura.learning.classifier import Classifier, seizure_probability

# Table of types in a file of skops.
SCHEMA = "schema.json"
# Harmless types that skops does not trust by default.
TRUSTED_TYPES = (
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "aura.learning.baselines.OneFeature",
)

# Classifiers that can be served, by their full names, since LightGBM may not be installed. Other classifiers of
# scikit-learn may read foreign memory if a file tells them to.
CLASSIFIERS = {
    f"{kind.__module__}.{kind.__qualname__}"
    for kind in (RandomForestClassifier, ExtraTreesClassifier, HistGradientBoostingClassifier)
} | {"lightgbm.sklearn.LGBMClassifier", "aura.learning.baselines.OneFeature"}

# Errors of skops, and of the types above, for damaged or forged files.
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


def check_class(model: Classifier) -> None:
    """Raise AuraError unless a model is of a class that `load_classifier` loads."""
    if _full_name(model) not in CLASSIFIERS:
        raise AuraError(f"model: {type(model).__name__} cannot be served; {_allowed()}")


def check_types(model: Classifier, n_features: int) -> None:
    """Raise if `load_classifier` would not load a fitted model again.

    Raises
    ------
    AuraError
        Naming the untrusted types, or the classifiers that can be served.
    """
    unknown = set(skops.io.get_untrusted_types(data=skops.io.dumps(model))) - set(TRUSTED_TYPES)
    if unknown:
        raise AuraError(f"model: {type(model).__name__} cannot be served; it holds {', '.join(sorted(unknown))}")
    try:
        _check_model(model, n_features)
    except (TypeError, ValueError) as error:
        raise AuraError(f"model: {type(model).__name__} cannot be served; {error}") from error


def load_classifier(path: Path, *, n_features: int) -> Classifier:
    """Load a fitted model from a file of skops, and check that it can be used; no code of the file is run.

    The file may come from a stranger. The model must be one of `CLASSIFIERS`, made of types of scikit-learn and
    `TRUSTED_TYPES`. Arrays are read without pickle. All trees of scikit-learn are checked, since it would follow a node
    that does not exist into foreign memory.

    Parameters
    ----------
    path
        The file.
    n_features
        Number of columns that the model must accept.

    Raises
    ------
    AuraError
        If the file does not hold such a model.
    """
    try:
        with ZipFile(path) as archive:
            # skops does not compress, so a file cannot unpack to more than its size.
            if any(member.compress_type != ZIP_STORED for member in archive.infolist()):
                raise AuraError(f"{path.name} has compressed parts, which skops does not write")
        model: Any = skops.io.loads(_with_current_paths(path), trusted=list(TRUSTED_TYPES))
        if _full_name(model) not in CLASSIFIERS:
            raise AuraError(f"{path.name} holds a {type(model).__name__}; {_allowed()}")
        if (taken := _count_columns(model)) != n_features:
            raise AuraError(f"{path.name} takes {taken} features, but detector.json names {n_features}")
        _check_model(model, n_features)
        # Anything else that is missing or wrong shows in use.
        seizure_probability(model, np.zeros((1, n_features), dtype=np.float32))
    except UntrustedTypesFoundException as error:
        raise AuraError(f"{path.name} holds types that are not trusted: {' '.join(str(error).split())}") from error
    except DAMAGED as error:
        raise AuraError(f"{path.name} is not a model that skops wrote: {' '.join(str(error).split())}") from error
    checked: Classifier = model
    return checked


def _with_current_paths(path: Path) -> bytes:
    """Read a file of skops, with types of Aura under their current import paths."""
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
    """Return the import path of the type of a value."""
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _allowed() -> str:
    """List the classifiers that can be served, for an error."""
    names = sorted(name.rpartition(".")[2] for name in CLASSIFIERS)
    return f"allowed are {', '.join(names)}"


def _count_columns(model: Any) -> int:
    """Return the number of columns that a model accepts."""
    return len(model.columns) if hasattr(model, "columns") else int(model.n_features_in_)


def _check_model(model: Any, n_features: int) -> None:
    """Raise if a model is not one of `CLASSIFIERS`, or could read foreign memory.

    Raises
    ------
    TypeError, ValueError
        Naming what is wrong.
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
    """Raise if a part of a model has another type than allowed."""
    if type(part) not in allowed:
        raise TypeError(f"a {type(part).__name__} in the place of a {allowed[0].__name__}")


def _check_tree(tree: Tree, n_features: int) -> None:
    """Raise if a row could leave a tree of a forest, or never reach a leaf."""
    _check_part(tree, Tree)
    if tree.value.shape != (tree.node_count, 1, 2):
        raise ValueError("a tree does not give the probabilities of two classes")
    left = tree.children_left
    _check_nodes(left, tree.children_right, tree.feature, left != -1, n_features)


def _check_boosting(model: HistGradientBoostingClassifier, n_features: int) -> None:
    """Raise unless boosted trees are for two classes and numbers only, and no row could leave a tree."""
    _check_part(model._loss, HalfBinomialLoss)
    _check_part(model._bin_mapper, _BinMapper)
    # Categories are looked up in bit tables at offsets that a file could choose. No feature is a category.
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
    """Raise if an inner node of (n_nodes,) leads out of the tree or back, or uses a feature that does not exist."""
    n_nodes = len(left)
    number = np.arange(n_nodes)
    # scikit-learn numbers children after their parent.
    valid = (left > number) & (left < n_nodes) & (right > number) & (right < n_nodes)
    valid &= (feature >= 0) & (feature < n_features)
    if not n_nodes or not valid[inner].all():
        raise ValueError("a tree has nodes that do not exist")
