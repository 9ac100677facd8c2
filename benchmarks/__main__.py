"""`make bench`."""

from benchmarks.goals import main

main()
