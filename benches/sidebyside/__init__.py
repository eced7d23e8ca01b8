"""The parts of benches/side_by_side.py. Python's standard library only."""
