"""Copy a space, and let the copy stay the same as the source: run again, it sends what changed and deletes what is gone.

python examples/mirror_space.py org/demo your-name/demo
"""

import sys

from polar_tools import pull_and_push_repo
from polar_tools.errors import PolarError

if len(sys.argv) != 3:
    sys.exit(__doc__)
source, target = sys.argv[1:]
try:
    print(pull_and_push_repo(source, target, source_repo_type="space", delete_extra=True))
except PolarError as error:  # its message says what to do; all else would be a bug
    sys.exit(f"{error}")
