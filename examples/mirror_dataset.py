"""Copy a private dataset as a private one, and keep a record that `polar-tools verify` compares with the copy later.

python examples/mirror_dataset.py org/reviews your-name/reviews reviews.json
"""

import sys

from polar_tools import pull_and_push_repo

if len(sys.argv) != 4:
    sys.exit(__doc__)
source, target, manifest = sys.argv[1:]
print(pull_and_push_repo(source, target, source_repo_type="dataset", private=True, commit_message="Mirror", manifest=manifest))
