"""Paths of the package, its configuration and the project."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
# An installed package contains conf/, experiments/ and deploy/graphene/; in a checkout they are beside the package.
INSTALLED = (PACKAGE / "conf").is_dir()
SHIPPED = PACKAGE if INSTALLED else PACKAGE.parent
CONF = SHIPPED / "conf"
# Folder of mlflow.db: the checkout, or the current folder of an installation. conf/tracking/ reads the variable.
PROJECT = Path.cwd() if INSTALLED else PACKAGE.parent
os.environ["AURA_PROJECT"] = str(PROJECT)
