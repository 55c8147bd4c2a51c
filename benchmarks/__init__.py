"""Side by side with the tools that people use today: ``python -m benchmarks`` (``make bench``).

Whole processes, start-up included, over the same server, in shuffled order, each timed to the end of ``sync -f`` on the
destination. What is printed, tabled and drawn comes from the run's own JSON; no figure is typed by hand.
"""
