"""Imported first by jobs that compute: the hub's clients then stay off the network, whatever a checkpoint names."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
