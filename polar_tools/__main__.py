"""`python -m polar_tools` is `polar-tools`."""

from polar_tools.cli import main

main()
