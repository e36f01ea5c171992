"""From raw ECG recordings to a registered, served seizure detector.

The way of the data, each step a module that can be used on its own:

1. ``aura.datasets`` finds the recordings of a corpus and reads their ECG and annotations;
2. ``aura.beats`` detects the heartbeats, ``aura.rr`` turns them into RR and NN intervals;
3. ``aura.features`` describes sliding windows of them, ``aura.labels`` says which are ictal;
4. ``aura.split``, ``aura.training``, ``aura.alarms`` and ``aura.scoring`` fit a detector and say how good it is;
5. ``aura.tracking`` logs all of it to MLflow, ``aura.serving`` is the model that answers over HTTP.

``python -m aura`` lists the stages that put these together.
"""

__version__ = "0.1.0"
