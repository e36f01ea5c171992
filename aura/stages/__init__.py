"""Entry points: each public module declares a `aura.config.stage.Stage` and is cheap to import.

Most are packages: ``__init__`` declares the entry point and its section of the configuration, ``run`` does the work.
"""
