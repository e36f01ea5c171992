"""From raw ECG recordings to a registered, served seizure detector.

The way of the data, each step a module that can be used on its own:

1. ``aura.corpora`` finds the recordings of a corpus, ``aura.formats`` reads their ECG and annotations;
2. ``aura.ecg`` detects the heartbeats and turns them into RR intervals;
3. ``aura.features`` describes sliding windows of them, ``aura.learning.labels`` says which are ictal;
4. ``aura.learning`` fits a classifier, ``aura.detection`` raises alarms, ``aura.evaluation`` scores them;
5. ``aura.tracking`` logs all of it to MLflow, ``aura.serving`` answers over HTTP.

``python -m aura`` lists the stages that put these together.
"""

__version__ = "0.1.0"
