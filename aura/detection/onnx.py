"""Write a fitted classifier in ONNX: the same probabilities, without a call per tree.

A live detector predicts single windows. For each of them scikit-learn makes a call per tree.
"""

from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from aura.core.arrays import Floats, Singles
from aura.core.errors import AuraError
from aura.core.series import RRSeries
from aura.features import FeatureSpec, extract_features, feature_names

# Largest difference of a probability: ONNX adds up the trees in single precision.
TOLERANCE = 1e-5
MISSING = "the runtime onnx is not installed; pip install 'aura-ecg[onnx]', or write serving.runtime=sklearn"
OPSETS = {"": 18, "ai.onnx.ml": 3}
INPUT_NAME = "windows"


class OnnxModel:
    """A classifier that ONNX Runtime computes in one thread.

    Parameters
    ----------
    data
        Content of an ``.onnx`` file, as `export_onnx` returns it.
    """

    def __init__(self, data: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    def check(self, n_features: int) -> None:
        """Raise AuraError unless inputs and outputs are those that `export_onnx` writes."""
        inputs = [(node.name, node.type, node.shape[1:]) for node in self._session.get_inputs()]
        outputs = [(node.type, node.shape[1:]) for node in self._session.get_outputs()][1:]
        if inputs != [(INPUT_NAME, "tensor(float)", [n_features])] or outputs != [("tensor(float)", [2])]:
            raise AuraError(f"the ONNX model does not compute probabilities from {n_features} features")

    def predict_proba(self, x: Floats | Singles) -> Floats:
        """Compute (n_windows, 2) probabilities from (n_windows, n_features) features, which may be NaN."""
        _, output = self._session.run(None, {INPUT_NAME: x.astype(np.float32)})
        probability: Floats = output.astype(np.float64)
        return probability


def check_exportable(model: Any) -> None:
    """Raise AuraError if `export_onnx` cannot write a classifier; call it before fitting.

    Parameters
    ----------
    model
        Classifier, fitted or not.

    Raises
    ------
    AuraError
        If the classifier is not a forest of scikit-learn, or the ONNX packages are not installed.
    """
    if not isinstance(model, RandomForestClassifier | ExtraTreesClassifier):
        # skl2onnx 1.20 cannot write boosted trees with onnx 1.23, nor those of LightGBM.
        raise AuraError(
            f"serving.runtime=onnx: {type(model).__name__} cannot be written in ONNX; allowed for it is sklearn"
        )
    if not (find_spec("skl2onnx") and find_spec("onnxruntime")):
        raise AuraError(MISSING)


def load_onnx(data: bytes, *, n_features: int) -> OnnxModel:
    """Load a classifier that `export_onnx` wrote.

    Parameters
    ----------
    data
        Content of an ``.onnx`` file, which may come from a stranger.
    n_features
        Number of features that the classifier must take.

    Raises
    ------
    AuraError
        If ONNX Runtime is not installed, or the file is not such a classifier.
    """
    try:
        from onnxruntime.capi import onnxruntime_pybind11_state as errors
    except ImportError as error:
        raise AuraError(MISSING) from error
    invalid = (errors.InvalidProtobuf, errors.InvalidGraph, errors.InvalidArgument, errors.NotImplemented)
    try:
        model = OnnxModel(data)
    except (*invalid, errors.Fail, errors.RuntimeException) as error:
        raise AuraError(f"the ONNX model cannot be read: {' '.join(str(error).split())}") from error
    model.check(n_features)
    return model


def export_onnx(model: Any, spec: FeatureSpec) -> bytes:
    """Write a fitted classifier in ONNX, and check that it computes the same probabilities.

    Parameters
    ----------
    model
        Fitted forest of scikit-learn.
    spec
        Features it was fitted on. Both classifiers predict the features of a synthetic heart.

    Returns
    -------
    bytes
        Content of an ``.onnx`` file.

    Raises
    ------
    AuraError
        If the classifier cannot be written in ONNX, or its probabilities differ by more than `TOLERANCE`.
    """
    check_exportable(model)
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    x = _make_features(spec)
    exported = to_onnx(
        model,
        initial_types=[(INPUT_NAME, FloatTensorType([None, x.shape[1]]))],
        options={id(model): {"zipmap": False}},
        target_opset=OPSETS,
    )
    _route_missing(exported, [tree.tree_ for tree in model.estimators_])
    data: bytes = exported.SerializeToString()
    largest = float(np.abs(load_onnx(data, n_features=x.shape[1]).predict_proba(x) - model.predict_proba(x)).max())
    if not largest <= TOLERANCE:
        raise AuraError(
            f"serving.runtime=onnx: in ONNX, probabilities of this {type(model).__name__} differ by up to "
            f"{largest:.2g}; allowed for it is sklearn"
        )
    return data


def _route_missing(exported: Any, trees: list[Any]) -> None:
    """Send missing values down the branch that the trees learned for them.

    skl2onnx 1.20 does not write these branches (https://github.com/onnx/sklearn-onnx/issues/1253).
    """
    from onnx import helper

    (node,) = exported.graph.node
    values = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    go_left = [
        int(trees[tree].missing_go_to_left[number])
        for tree, number in zip(values["nodes_treeids"], values["nodes_nodeids"], strict=True)
    ]
    (old,) = [attribute for attribute in node.attribute if attribute.name == "nodes_missing_value_tracks_true"]
    old.CopyFrom(helper.make_attribute(old.name, go_left))


def _make_features(spec: FeatureSpec) -> Floats:
    """Make the features of a synthetic heart with changing rate, early beats and gaps, some of them missing."""
    rng = np.random.default_rng(0)
    n = 3000
    rr_ms = 60_000 / (85 + 35 * np.sin(np.arange(n) / 150) + rng.normal(0, 4, n))
    rr_ms[rng.random(n) < 0.02] *= 0.6
    gap_s = np.where(rng.random(n) < 0.003, 40.0, 0.0)
    t_s = np.cumsum(rr_ms / 1000 + gap_s)
    windows = extract_features(RRSeries(t_s, rr_ms, float(t_s[-1])), spec)
    x = windows[feature_names(windows)].to_numpy()
    incomplete = np.where(rng.random(x.shape) < 0.1, np.nan, x)
    rows: Floats = np.concatenate((x, incomplete))
    with_features: Floats = rows[~np.isnan(rows).all(axis=1)]
    return with_features
