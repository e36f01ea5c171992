"""A fitted model in ONNX: the same probabilities, without the overhead of a call per tree.

A live detector asks for a single window, of which scikit-learn makes a call per tree.
"""

from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from aura.core.arrays import Floats, Singles
from aura.core.errors import AuraError
from aura.core.series import RRSeries
from aura.features import FeatureSpec, extract_features, feature_names

# ONNX adds up the trees in single precision.
TOLERANCE = 1e-5
MISSING = "the runtime onnx is not installed; pip install 'aura-ecg[onnx]', or give serving.runtime=sklearn"
OPSETS = {"": 18, "ai.onnx.ml": 3}
NAME = "windows"


class OnnxModel:
    """A model that ONNX Runtime computes, in one thread.

    Parameters
    ----------
    data
        The model, as `export` gives it.
    """

    def __init__(self, data: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    def check(self, n_features: int) -> None:
        """Refuse a model that takes or gives anything else than `export` writes."""
        takes = [(one.name, one.type, one.shape[1:]) for one in self._session.get_inputs()]
        gives = [(one.type, one.shape[1:]) for one in self._session.get_outputs()][1:]
        if takes != [(NAME, "tensor(float)", [n_features])] or gives != [("tensor(float)", [2])]:
            raise AuraError(f"the ONNX model does not give probabilities of {n_features} features")

    def predict_proba(self, x: Floats | Singles) -> Floats:
        """(n_windows, 2) probabilities of (n_windows, n_features) features, NaN where missing."""
        _, probability = self._session.run(None, {NAME: x.astype(np.float32)})
        found: Floats = probability.astype(np.float64)
        return found


def require(model: Any) -> None:
    """Refuse, before it is fitted, a model that `export` cannot write.

    Parameters
    ----------
    model
        Classifier.

    Raises
    ------
    AuraError
        For other models than forests of scikit-learn, and where what writes them is not installed.
    """
    if not isinstance(model, RandomForestClassifier | ExtraTreesClassifier):
        # skl2onnx 1.20 writes no boosted trees with onnx 1.23, and none of LightGBM.
        raise AuraError(
            f"serving.runtime=onnx: {type(model).__name__} cannot be written in ONNX; allowed for it is sklearn"
        )
    if not (find_spec("skl2onnx") and find_spec("onnxruntime")):
        raise AuraError(MISSING)


def load_onnx(data: bytes, *, n_features: int) -> OnnxModel:
    """Make a model from what `export` gave.

    Parameters
    ----------
    data
        Content of an ``.onnx`` file, which may come from a stranger.
    n_features
        Columns that the model has to take.

    Raises
    ------
    AuraError
        Where ONNX Runtime is not installed, or for a file that is not such a model.
    """
    try:
        from onnxruntime.capi import onnxruntime_pybind11_state as errors
    except ImportError as error:
        raise AuraError(MISSING) from error
    refused = (errors.InvalidProtobuf, errors.InvalidGraph, errors.InvalidArgument, errors.NotImplemented)
    try:
        model = OnnxModel(data)
    except (*refused, errors.Fail, errors.RuntimeException) as error:
        raise AuraError(f"the ONNX model cannot be read: {' '.join(str(error).split())}") from error
    model.check(n_features)
    return model


def export(model: Any, spec: FeatureSpec) -> bytes:
    """Write a fitted model in ONNX, and see that it says the same.

    Parameters
    ----------
    model
        Fitted forest of scikit-learn.
    spec
        The features it was fitted on; of a made-up heart, both are asked about them.

    Returns
    -------
    bytes
        The content of an ``.onnx`` file.

    Raises
    ------
    AuraError
        Where it cannot be written so, or says something else.
    """
    require(model)
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    x = _rows(spec)
    made = to_onnx(
        model,
        initial_types=[(NAME, FloatTensorType([None, x.shape[1]]))],
        options={id(model): {"zipmap": False}},
        target_opset=OPSETS,
    )
    _send_missing(made, [tree.tree_ for tree in model.estimators_])
    data: bytes = made.SerializeToString()
    largest = float(np.abs(load_onnx(data, n_features=x.shape[1]).predict_proba(x) - model.predict_proba(x)).max())
    if not largest <= TOLERANCE:
        raise AuraError(
            f"serving.runtime=onnx: as ONNX this {type(model).__name__} differs by up to {largest:.2g} in its "
            f"probability; allowed for it is sklearn"
        )
    return data


def _send_missing(made: Any, trees: list[Any]) -> None:
    """Have missing values go the way they learned in the trees of a forest.

    skl2onnx 1.20 forgets it (its issue 1253).
    """
    from onnx import helper

    (node,) = made.graph.node
    values = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    go_left = [
        int(trees[tree].missing_go_to_left[number])
        for tree, number in zip(values["nodes_treeids"], values["nodes_nodeids"], strict=True)
    ]
    (old,) = [one for one in node.attribute if one.name == "nodes_missing_value_tracks_true"]
    old.CopyFrom(helper.make_attribute(old.name, go_left))


def _rows(spec: FeatureSpec) -> Floats:
    """Features of half an hour of a made-up heart that races, skips, and is lost now and then."""
    rng = np.random.default_rng(0)
    n = 3000
    rr_ms = 60_000 / (85 + 35 * np.sin(np.arange(n) / 150) + rng.normal(0, 4, n))
    rr_ms[rng.random(n) < 0.02] *= 0.6
    gap_s = np.where(rng.random(n) < 0.003, 40.0, 0.0)
    t_s = np.cumsum(rr_ms / 1000 + gap_s)
    windows = extract_features(RRSeries(t_s, rr_ms, float(t_s[-1])), spec)
    x = windows[feature_names(windows)].to_numpy()
    spoilt = np.where(rng.random(x.shape) < 0.1, np.nan, x)
    both: Floats = np.concatenate((x, spoilt))
    described: Floats = both[~np.isnan(both).all(axis=1)]
    return described
