"""Copy a model into an organisation of your own, or anywhere else.

python examples/mirror_model.py microsoft/DialoGPT-medium your-name/my-dialogpt
python examples/mirror_model.py microsoft/DialoGPT-medium s3://bucket/models/dialogpt
"""

import sys

from polar_tools import pull_and_push_repo

if len(sys.argv) != 3:
    sys.exit(__doc__)
source, target = sys.argv[1:]
# Weights that other frameworks load stay behind, and so do pickles: the safetensors are what is copied.
print(pull_and_push_repo(source, target, ignore_patterns=["*.h5", "*.msgpack", "*.onnx", "*.bin", "*.pt"]))
