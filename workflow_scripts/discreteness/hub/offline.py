"""Jobs that compute import this module first: the hub's clients then never use the network."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
