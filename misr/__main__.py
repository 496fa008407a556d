"""python -m misr"""

from misr.cli import main

main()
