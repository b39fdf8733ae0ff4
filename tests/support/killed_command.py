"""A command in a process of its own, whose hub is a stand-in; whoever holds its id can kill it."""

import multiprocessing
import os
import sys
from collections.abc import Sequence
from multiprocessing.process import BaseProcess

from huggingface_hub import constants

from magistral_mlx.commands.main import main


def start_command(arguments: Sequence[str], endpoint: str) -> BaseProcess:
    """Starts `magistral` with `arguments`, the hub library turned to `endpoint`."""
    context = multiprocessing.get_context("spawn" if sys.platform == "darwin" else "forkserver")
    process = context.Process(target=_run, args=(list(arguments), endpoint))
    process.start()
    return process


def _run(arguments: list[str], endpoint: str) -> None:
    constants.ENDPOINT = endpoint
    constants.HF_HUB_OFFLINE = False
    constants.HF_HUB_DISABLE_XET = True
    os.environ["HF_TOKEN"] = "hf_of_a_test"
    sys.exit(main(arguments))
