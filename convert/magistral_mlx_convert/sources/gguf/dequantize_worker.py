"""A process that unpacks rows of GGUF tensors: packed bytes on stdin, float32 on stdout, until stdin ends.

A request is `REQUEST` (ggml's type code, rows, bytes) and the packed rows; the answer is `ANSWER` (1 and the
number of bytes that follow; 0 where the bytes are a message) and the rows. It ends with its parent, however
that ends, because the pipe does.
"""

import importlib.util
import struct
import sys
import types
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

REQUEST = struct.Struct("<IQQ")
ANSWER = struct.Struct("<?Q")


def _library() -> Any:
    """`gguf.quants`, without what `gguf` itself imports: tokenizers and OpenCV, 70 MB for every worker."""
    found = importlib.util.find_spec("gguf")
    if found is None or found.submodule_search_locations is None:
        raise ImportError("the gguf library is not installed")
    package = types.ModuleType("gguf")
    package.__path__ = list(found.submodule_search_locations)
    sys.modules["gguf"] = package
    return importlib.import_module("gguf.quants"), importlib.import_module("gguf.constants")


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answers every request."""
    quants, constants = _library()
    while head := requests.read(REQUEST.size):
        code, rows, nbytes = REQUEST.unpack(head)
        packed = np.frombuffer(requests.read(nbytes), np.uint8).reshape(rows, -1)
        kind = constants.GGMLQuantizationType(code)
        try:
            # A spoiled scale overflows; the converter looks at every number anyway.
            with np.errstate(all="ignore"):
                unpacked = cast(NDArray[np.float32], quants.dequantize(packed, kind))
        except (NotImplementedError, ValueError) as error:
            message = str(error).encode()
            answers.write(ANSWER.pack(False, len(message)) + message)
        else:
            numbers = np.ascontiguousarray(unpacked, np.float32)
            answers.write(ANSWER.pack(True, numbers.nbytes))
            answers.write(numbers.data)
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
