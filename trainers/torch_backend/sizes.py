"""How much the backend holds at a time; free of torch, so that memory can be predicted by it."""

VOCABULARY_CHUNK = 256  # positions projected to the vocabulary at a time
DECODE_BLOCK = 16  # places for new tokens that are added at a time
PACKED_HEAD = 512 * 2**20  # bytes of the largest output layer that ONNX Runtime packs
